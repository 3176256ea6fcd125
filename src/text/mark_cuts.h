// Where a long piece may be cut in front of "▁", the mark that SentencePiece writes for a space, without changing its tokens.
//
// Where no token can span a place of the text, what lies on its left and right is encoded independently: a merge across the place would make
// a token that spans it, and merges on one side neither see nor change the other, so each side goes through the same merges, in the same
// order among themselves, as it does alone. Words then go through tables and short searches instead of one queue for the whole text.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace millrace::text {

inline constexpr std::string_view kMark = "\u2581";

class MarkCuts {
 public:
  // Without this there are no cuts.
  void Allow() { allowed_ = true; }
  // Some token has each "▁" of `token` that follows another code point right behind that code point: no cut there.
  void BarIn(std::string_view token);

  // The bytes of `text` (well-formed UTF-8) up to its first cut, which is not at 0; all of them when there is none.
  size_t FirstPart(std::string_view text) const;

 private:
  bool IsBarredAfter(std::string_view text) const;

  bool allowed_ = false;
  std::vector<bool> barred_;  // by code point, empty where none is: a token goes on with "▁" behind it
};

}  // namespace millrace::text
