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
class CodePointTokens {
 public:
  CodePointTokens() : page_of_(0x1100, 0), tokens_(256, kNoToken) {}

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

}  // namespace millrace::text
