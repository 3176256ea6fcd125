#include "text/pair_table.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace millrace::text {

void PairTable::Reset(size_t count) {
  slots_.assign(std::bit_ceil(2 * count + 2), Slot{});
  shift_ = 64 - std::countr_zero(slots_.size());
  pairs_ = 0;
  ranks_ = 0;
}

void PairTable::Add(TokenId left, TokenId right, Merged merged) {
  CHECK(2 * pairs_ < slots_.size(), "more pairs than Reset made room for");
  ++pairs_;
  const uint64_t key = KeyOf(left, right);
  slots_[SlotOf(key)] = {key, merged};
  ranks_ = std::max(ranks_, merged.rank + 1);
}

}  // namespace millrace::text
