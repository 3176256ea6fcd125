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
  explicit TextIndex(size_t capacity = 0) : slots_(std::bit_ceil(2 * capacity + 2)) {}

  // kNoToken when no id has this text.
  template <typename TextOf>
  TokenId Find(std::string_view text, const TextOf& text_of) const {
    return slots_[SlotOf(text, Hash(text), text_of)].id;
  }

  // Adds `id`, whose text is text_of(id), unless an id with this text is there: then returns that one, else kNoToken.
  template <typename TextOf>
  TokenId Insert(TokenId id, const TextOf& text_of) {
    const std::string_view text = text_of(id);
    const uint64_t hash = Hash(text);
    Slot& slot = slots_[SlotOf(text, hash, text_of)];
    if (slot.id != kNoToken) return slot.id;
    slot = {TagOf(hash), id};
    return kNoToken;
  }

 private:
  struct Slot {
    uint32_t tag = 0;  // of the hash: texts are read only where it is equal
    TokenId id = kNoToken;
  };
  static uint32_t TagOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }

  template <typename TextOf>
  size_t SlotOf(std::string_view text, uint64_t hash, const TextOf& text_of) const {
    const size_t mask = slots_.size() - 1;
    const uint32_t tag = TagOf(hash);
    size_t slot = hash & mask;
    while (slots_[slot].id != kNoToken && (slots_[slot].tag != tag || text_of(slots_[slot].id) != text)) slot = (slot + 1) & mask;
    return slot;
  }

  // Eight bytes a step; words are short, so a stronger hash would cost more than the collisions it saves.
  static uint64_t Hash(std::string_view text) {
    uint64_t hash = text.size() * 0x9E3779B97F4A7C15ULL;
    for (; !text.empty(); text.remove_prefix(text.size() < 8 ? text.size() : 8)) {
      uint64_t chunk = 0;
      std::memcpy(&chunk, text.data(), text.size() < 8 ? text.size() : 8);
      hash = (hash ^ chunk) * 0xD6E8FEB86659FD93ULL;
      hash ^= hash >> 32;
    }
    return hash;
  }

  std::vector<Slot> slots_;  // a power of two
};

}  // namespace millrace::text
