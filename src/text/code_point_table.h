// One byte for every code point, in two steps; equal pages are kept once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
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

}  // namespace millrace::text
