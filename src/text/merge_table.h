// Which pairs of tokens merge, in which order, into what: a flat hash table, built once, read from any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "base/types.h"

namespace millrace::text {

class MergeTable {
 public:
  static constexpr uint32_t kNoRank = std::numeric_limits<uint32_t>::max();

  // Makes room for `count` pairs; forgets what was there.
  void Reset(size_t count);

  // Pairs come in the order of their rank (0 is merged first), at most as many as Reset was told. Of equal pairs the last counts.
  void Add(TokenId left, TokenId right, TokenId merged);

  // kNoRank when the two do not merge.
  uint32_t Rank(TokenId left, TokenId right) const;
  TokenId Merged(uint32_t rank) const { return merged_[rank]; }
  size_t size() const { return merged_.size(); }

 private:
  struct Slot {
    uint64_t key = 0;
    uint32_t rank = kNoRank;  // kNoRank = free
  };
  size_t Find(uint64_t key) const;

  std::vector<Slot> slots_;  // a power of two, at most half full
  std::vector<TokenId> merged_;
};

}  // namespace millrace::text
