#include "text/whole_pieces.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace millrace::text {

void WholePieces::Reset(size_t count, size_t ids) {
  slots_.assign(std::bit_ceil(2 * count + 2), Slot{});
  texts_.clear();
  longest_ = 0;
  answers_ = std::make_unique<std::atomic<Answer>[]>(ids);
}

void WholePieces::Add(std::string_view piece, TokenId token) {
  if (piece.empty()) return;
  const uint64_t hash = Hash(piece);
  Slot& slot = slots_[SlotOf(piece, hash)];
  if (slot.size != 0) return;
  slot = {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(piece.size()), static_cast<uint32_t>(texts_.size()), token};
  texts_ += piece;
  longest_ = std::max(longest_, piece.size());
}

TokenId WholePieces::Find(std::string_view piece) const {
  if (piece.size() > longest_) return kNoToken;
  return slots_[SlotOf(piece, Hash(piece))].token;
}

uint64_t WholePieces::Hash(std::string_view piece) {
  // Eight bytes a step; pieces are short, so a stronger hash would cost more than the collisions it saves.
  uint64_t hash = piece.size() * 0x9E3779B97F4A7C15ULL;
  while (piece.size() > 8) {
    uint64_t chunk = 0;
    std::memcpy(&chunk, piece.data(), 8);
    hash = (hash ^ chunk) * 0xD6E8FEB86659FD93ULL;
    hash ^= hash >> 32;
    piece.remove_prefix(8);
  }
  uint64_t chunk = 0;
  std::memcpy(&chunk, piece.data(), piece.size());
  hash = (hash ^ chunk) * 0xD6E8FEB86659FD93ULL;
  return hash ^ hash >> 32;
}

size_t WholePieces::SlotOf(std::string_view piece, uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  const auto tag = static_cast<uint32_t>(hash >> 32);
  size_t at = hash & mask;
  for (;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.size == 0) return at;
    if (slot.hash == tag && slot.size == piece.size() &&
        std::memcmp(texts_.data() + slot.begin, piece.data(), piece.size()) == 0) {
      return at;
    }
  }
}

}  // namespace millrace::text
