// The tokens that a model can make from text, by their file text. Added tokens are not among them, unless the model's own vocabulary has
// them too; nor are unused ones.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "text/tokenizer_spec.h"
#include "text/vocabulary.h"

namespace millrace::text {

class ModelTokens {
 public:
  // `vocabulary` outlives this.
  ModelTokens(const TokenizerSpec& spec, const Vocabulary& vocabulary);

  void Include(TokenId id) { includes_[static_cast<size_t>(id)] = true; }
  bool Includes(TokenId id) const { return includes_[static_cast<size_t>(id)]; }
  const Vocabulary& vocabulary() const { return *vocabulary_; }

  // kNoToken when no token of the model has this file text.
  TokenId Find(std::string_view file_text) const;
  // The tokens and their file texts, but for empty ones, as a TokenTrie takes them; kInvalidArgument when they are too long for it.
  Result<std::vector<std::pair<std::string_view, TokenId>>> TrieEntries() const;
  // The token "<0xHH>".
  TokenId FindByte(uint8_t byte) const;

 private:
  const Vocabulary* vocabulary_;
  std::vector<bool> includes_;  // by id
};

}  // namespace millrace::text
