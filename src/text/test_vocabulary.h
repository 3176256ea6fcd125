// Small vocabularies for tests and fuzzing: all 256 bytes, the merges that the caller names, special tokens at the end.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/byte_alphabet.h"
#include "text/vocabulary.h"

namespace millrace::text {

// Ids: 0 to 255 the bytes in order, then one token for each merge whose result is new, then the special tokens.
// Merges are pairs of byte texts, such as {"t", "h"}; specials are texts with their type.
inline VocabularySpec SmallVocabulary(const std::vector<std::pair<std::string_view, std::string_view>>& merges,
                                      const std::vector<std::pair<std::string_view, TokenType>>& specials = {}) {
  VocabularySpec spec;
  spec.pre_tokenizer = "smollm";
  for (int byte = 0; byte < 256; ++byte) spec.tokens.push_back(AlphabetFromBytes(std::string(1, static_cast<char>(byte))));
  for (const auto& [left, right] : merges) {
    spec.merges.push_back(AlphabetFromBytes(left) + " " + AlphabetFromBytes(right));
    const std::string token = AlphabetFromBytes(left) + AlphabetFromBytes(right);
    bool known = false;
    for (const std::string& other : spec.tokens) known = known || other == token;
    if (!known) spec.tokens.push_back(token);
  }
  spec.token_types.assign(spec.tokens.size(), TokenType::kNormal);
  for (const auto& [text, type] : specials) {
    spec.tokens.emplace_back(text);
    spec.token_types.push_back(type);
  }
  return spec;
}

}  // namespace millrace::text
