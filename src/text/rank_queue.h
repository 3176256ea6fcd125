// The pairs that may merge, lowest rank first and leftmost first among equal ranks: what a long piece works through.
//
// One bucket per rank, and a heap of the ranks in use. Hostile text has few ranks and long buckets that fill in order, so nearly all
// entries cost constant time, where one heap of all entries would cost a walk through memory for each; no text costs more than
// O(log n) an entry.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace millrace::text {

class RankQueue {
 public:
  struct Entry {
    uint32_t rank;
    uint32_t place;
  };

  // All ranks will be below `ranks`. Call once, before the first Push.
  void Reserve(size_t ranks);
  bool reserved() const { return !bucket_of_.empty(); }

  void Push(Entry entry);
  // The entry of lowest (rank, place); nothing when the queue is empty.
  std::optional<Entry> Pop();

 private:
  static constexpr uint32_t kNone = ~0U;
  struct Bucket {
    std::vector<uint32_t> ordered;  // ascending; those before `taken` are gone
    size_t taken = 0;
    std::vector<uint32_t> late;  // a heap, smallest first: places that came after a larger one

    bool empty() const { return taken == ordered.size() && late.empty(); }
    void Push(uint32_t place);
    uint32_t Pop();
  };

  std::vector<uint32_t> bucket_of_;  // by rank; kNone = no bucket
  std::vector<Bucket> buckets_;
  std::vector<uint32_t> free_;   // buckets that are empty and belong to no rank
  std::vector<uint32_t> ranks_;  // a heap, smallest first: ranks that have a bucket
};

}  // namespace millrace::text
