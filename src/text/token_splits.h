// The ways to make a token of two: what a model that merges by text alone needs to know beforehand.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"

namespace millrace::text {

// A code point that is no token, as one side of a pair.
inline TokenId CodePointSymbol(char32_t code_point) { return -2 - static_cast<TokenId>(code_point); }
inline char32_t CodePointOfSymbol(TokenId symbol) { return static_cast<char32_t>(-2 - symbol); }

struct TokenSplit {
  TokenId left;
  TokenId right;
  TokenId token;
};

struct MergeableToken {
  std::string_view text;  // well-formed UTF-8, not empty
  TokenId id;
  bool is_symbol;  // false: where it is a single code point it takes part as that, not as the token
};

// Every cut of every token between two code points into sides that are tokens or single code points. Texts differ. Work is linear in
// the bytes of the tokens and in the cuts; kInvalidArgument when there are more than `limit` cuts.
Result<std::vector<TokenSplit>> SplitsOfTokens(const std::vector<MergeableToken>& tokens, size_t limit);

}  // namespace millrace::text
