// Tokens by code point.
#pragma once

#include <cstdint>
#include <vector>

#include "base/types.h"

namespace millrace::text {

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
