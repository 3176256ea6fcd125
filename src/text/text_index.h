// Token ids by text: an open hash table of ids only. The texts live with the owner, who says how to read them: `text_of(id)`.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace millrace::text {

class TextIndex {
 public:
  // Room for `capacity` ids at most half of the slots taken.
  explicit TextIndex(size_t capacity = 0) : slots_(std::bit_ceil(2 * capacity + 2), kNoToken) {}

  // kNoToken when no id has this text.
  template <typename TextOf>
  TokenId Find(std::string_view text, const TextOf& text_of) const {
    return slots_[SlotOf(text, text_of)];
  }

  // Adds `id`, whose text is text_of(id), unless an id with this text is there: then returns that one, else kNoToken.
  template <typename TextOf>
  TokenId Insert(TokenId id, const TextOf& text_of) {
    TokenId& slot = slots_[SlotOf(text_of(id), text_of)];
    if (slot != kNoToken) return slot;
    slot = id;
    return kNoToken;
  }

 private:
  template <typename TextOf>
  size_t SlotOf(std::string_view text, const TextOf& text_of) const {
    const size_t mask = slots_.size() - 1;
    size_t slot = Hash(text) & mask;
    while (slots_[slot] != kNoToken && text_of(slots_[slot]) != text) slot = (slot + 1) & mask;
    return slot;
  }

  // Eight bytes a step; words are short, so a stronger hash would cost more than the collisions it saves.
  static size_t Hash(std::string_view text) {
    uint64_t hash = text.size() * 0x9E3779B97F4A7C15ULL;
    for (; !text.empty(); text.remove_prefix(text.size() < 8 ? text.size() : 8)) {
      uint64_t chunk = 0;
      std::memcpy(&chunk, text.data(), text.size() < 8 ? text.size() : 8);
      hash = (hash ^ chunk) * 0xD6E8FEB86659FD93ULL;
      hash ^= hash >> 32;
    }
    return hash;
  }

  std::vector<TokenId> slots_;  // a power of two
};

}  // namespace millrace::text
