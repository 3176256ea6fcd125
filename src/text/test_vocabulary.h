// Small vocabularies for tests and fuzzing: all 256 bytes, the merges that the caller names, special tokens at the end.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/byte_alphabet.h"
#include "text/vocabulary.h"

namespace millrace::text {

// Byte-level BPE that cuts as SmolLM2 does: single digits, then the pattern of GPT-2.
// Ids: 0 to 255 the bytes in order, then one token for each merge whose result is new, then the special tokens.
// Merges are pairs of byte texts, such as {"t", "h"}; specials are texts with their type.
inline TokenizerSpec SmallVocabulary(const std::vector<std::pair<std::string_view, std::string_view>>& merges,
                                     const std::vector<std::pair<std::string_view, TokenType>>& specials = {}) {
  TokenizerSpec spec;
  spec.pre_tokenizers = {DigitsSplit{.individual = true}, ByteLevelSplit{}};
  spec.decoders = {ByteLevelDecoder{}};
  BpeModel model;
  model.byte_level = true;
  for (int byte = 0; byte < 256; ++byte) spec.tokens.push_back(AlphabetFromBytes(std::string(1, static_cast<char>(byte))));
  for (const auto& [left, right] : merges) {
    const std::string first = AlphabetFromBytes(left);
    const std::string token = first + AlphabetFromBytes(right);
    model.merges.push_back({token, static_cast<uint32_t>(first.size())});
    bool known = false;
    for (const std::string& other : spec.tokens) known = known || other == token;
    if (!known) spec.tokens.push_back(token);
  }
  spec.token_types.assign(spec.tokens.size(), TokenType::kNormal);
  for (const auto& [text, type] : specials) {
    spec.tokens.emplace_back(text);
    spec.token_types.push_back(type);
  }
  spec.model = std::move(model);
  return spec;
}

}  // namespace millrace::text
