<<<<<<< HEAD
// Tokens by code point, and code points of text that is known to be well-formed.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace millrace::text {

// Of the well-formed sequence at `at`.
inline size_t ValidSequenceLength(const char* at) {
  const auto first = static_cast<uint8_t>(*at);
  return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}
inline char32_t ValidCodePoint(const char* at, size_t length) {
  const auto byte = [at](int i) { return static_cast<char32_t>(static_cast<uint8_t>(at[i])); };
  switch (length) {
    case 1:
      return byte(0);
    case 2:
      return (byte(0) & 0x1F) << 6 | (byte(1) & 0x3F);
    case 3:
      return (byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    default:
      return (byte(0) & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  }
}

// Pages of 256 code points; those without a token share one.
class CodePointTable {
 public:
  CodePointTable() : page_of_(0x1100, 0), tokens_(256, kNoToken) {}

  void Set(char32_t code_point, TokenId token) {
    uint32_t& page = page_of_[code_point >> 8];
    if (page == 0) {
      page = static_cast<uint32_t>(tokens_.size());
      tokens_.resize(tokens_.size() + 256, kNoToken);
    }
    tokens_[page + (code_point & 0xFF)] = token;
  }
  // `code_point` is at most U+10FFFF; kNoToken when it has none.
  TokenId Find(char32_t code_point) const { return tokens_[page_of_[code_point >> 8] + (code_point & 0xFF)]; }

 private:
  std::vector<uint32_t> page_of_;  // where the page begins in tokens_
  std::vector<TokenId> tokens_;
};

=======
// One byte for every code point, in two steps; equal pages are kept once.
#pragma once

#include <cstdint>
#include <vector>

#include "text/code_point_set.h"

namespace millrace::text {

class CodePointTable {
 public:
  CodePointTable() = default;
  // The bytes of all code points, 0 to kLastCodePoint.
  explicit CodePointTable(const std::vector<uint8_t>& bytes);

  uint8_t Of(uint32_t code) const { return pages_[static_cast<size_t>(page_of_[code >> 8]) << 8 | (code & 0xFF)]; }
  uint8_t OfAscii(uint8_t code) const { return pages_[code]; }  // the first page is that of ASCII

 private:
  std::vector<uint16_t> page_of_;
  std::vector<uint8_t> pages_;
};

struct DecodedCodePoint {
  uint32_t value;
  uint32_t length;
};

// The code point at `at`, which is in the text. The text is well-formed UTF-8; what is not reads as some code point within it.
inline DecodedCodePoint DecodeAt(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[at + i])); };
  const uint32_t lead = byte(0);
  const uint32_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (length == 1 || length > text.size() - at) return {lead, 1};
  if (length == 2) return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (length == 3) return {(lead & 0xF) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  const uint32_t value = (lead & 7) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  return {value > kLastCodePoint ? 0 : value, 4};
}

// Where the character before `at` (above 0) begins.
inline size_t BeginBefore(std::string_view text, size_t at) {
  do --at;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80);
  return at;
}

>>>>>>> split
}  // namespace millrace::text
