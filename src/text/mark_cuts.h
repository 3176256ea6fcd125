// Cutting a long piece in front of each run of "▁", the mark that SentencePiece writes for a space.
//
// Where no token spans a place of the text, what lies on its left and right is encoded independently: a merge across the place would make
// a token that spans it, and merges on one side neither see nor change the other, so each side goes through the same merges, in the same
// order among themselves, as it does alone. A token that spans a cut has a "▁" somewhere behind another code point; models whose tokens
// have none may cut. Words then go through tables and short searches instead of one queue for the whole text.
#pragma once

#include <cstring>
#include <string_view>

namespace millrace::text {

inline constexpr std::string_view kMark = "\u2581";

// True when some "▁" of `token` follows another code point.
inline bool HasInnerMark(std::string_view token) {
  while (token.starts_with(kMark)) token.remove_prefix(kMark.size());
  return token.find(kMark) != std::string_view::npos;
}

// The bytes of `text` (well-formed UTF-8) up to its first cut, which is not at 0; all of them when there is none.
inline size_t FirstPartSize(std::string_view text) {
  size_t at = 0;
  while (text.substr(at).starts_with(kMark)) at += kMark.size();
  while (at < text.size()) {
    const void* found = std::memchr(text.data() + at, kMark.front(), text.size() - at);
    if (found == nullptr) break;
    at = static_cast<size_t>(static_cast<const char*>(found) - text.data());
    if (text.substr(at).starts_with(kMark)) return at;
    ++at;
  }
  return text.size();
}

}  // namespace millrace::text
