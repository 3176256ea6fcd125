#include "text/merge_table.h"

#include <bit>

#include "base/check.h"

namespace millrace::text {
namespace {

uint64_t KeyOf(TokenId left, TokenId right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

}  // namespace

void MergeTable::Reset(size_t count) {
  slots_.assign(std::bit_ceil(2 * count + 2), Slot{});
  merged_.clear();
  merged_.reserve(count);
}

void MergeTable::Add(TokenId left, TokenId right, TokenId merged) {
  CHECK(2 * merged_.size() < slots_.size(), "more merges than Reset made room for");
  Slot& slot = slots_[Find(KeyOf(left, right))];
  slot = {KeyOf(left, right), static_cast<uint32_t>(merged_.size())};
  merged_.push_back(merged);
}

uint32_t MergeTable::Rank(TokenId left, TokenId right) const {
  return slots_.empty() ? kNoRank : slots_[Find(KeyOf(left, right))].rank;
}

size_t MergeTable::Find(uint64_t key) const {
  const size_t mask = slots_.size() - 1;
  uint64_t hash = key * 0x9E3779B97F4A7C15ULL;
  hash ^= hash >> 29;
  size_t slot = hash & mask;
  while (slots_[slot].rank != kNoRank && slots_[slot].key != key) slot = (slot + 1) & mask;
  return slot;
}

}  // namespace millrace::text
