// Which pairs of symbols merge, how early, into what: a flat hash table, built once, read from any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "base/types.h"

namespace millrace::text {

class PairTable {
 public:
  static constexpr uint32_t kNoRank = std::numeric_limits<uint32_t>::max();
  struct Merged {
    uint32_t rank = kNoRank;  // the lowest merges first; kNoRank: the two do not merge
    TokenId token = kNoToken;
  };

  // Makes room for `count` pairs; forgets what was there.
  void Reset(size_t count);

  // At most as many pairs as Reset was told; of equal pairs the last counts.
  void Add(TokenId left, TokenId right, Merged merged);

  Merged Find(TokenId left, TokenId right) const {
    const Slot& slot = slots_[SlotOf(KeyOf(left, right))];
    return slot.merged;
  }
  uint32_t ranks() const { return ranks_; }  // every rank is below

 private:
  struct Slot {
    uint64_t key = 0;
    Merged merged;  // of kNoRank: free
  };
  static uint64_t KeyOf(TokenId left, TokenId right) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
  }
  size_t SlotOf(uint64_t key) const {
    const size_t mask = slots_.size() - 1;
    size_t slot = ((key ^ (key >> 29)) * 0x9E3779B97F4A7C15ULL) >> shift_;
    while (slots_[slot].merged.rank != kNoRank && slots_[slot].key != key) slot = (slot + 1) & mask;
    return slot;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(2);  // a power of two, at most half full
  int shift_ = 63;                                  // 64 less the logarithm of the slots
  size_t pairs_ = 0;
  uint32_t ranks_ = 0;
};

}  // namespace millrace::text
