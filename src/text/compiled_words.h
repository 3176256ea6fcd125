// WordPieceModel and WordLevelModel, compiled. Reference: models.WordPiece and models.WordLevel of the Python package `tokenizers`.
#pragma once

#include <memory>

#include "text/model_tokens.h"
#include "text/subword_model.h"
#include "text/token_trie.h"

namespace millrace::text {

class CompiledWordPiece : public SubwordModel {
 public:
  static Result<std::unique_ptr<const SubwordModel>> Create(const TokenizerSpec& spec, const WordPieceModel& model,
                                                            const ModelTokens& tokens);
  std::unique_ptr<PieceEncoder> NewEncoder() const override;

 private:
  class Encoder;
  CompiledWordPiece() = default;

  TokenTrie trie_;
  TokenTrie::Node continuing_ = TokenTrie::kNowhere;  // behind the prefix; kNowhere: no token continues a word
  size_t max_characters_ = 0;
  TokenId unknown_ = kNoToken;
};

class CompiledWordLevel : public SubwordModel {
 public:
  static Result<std::unique_ptr<const SubwordModel>> Create(const TokenizerSpec& spec, ModelTokens tokens);
  std::unique_ptr<PieceEncoder> NewEncoder() const override;

 private:
  class Encoder;
  CompiledWordLevel(ModelTokens tokens, TokenId unknown) : tokens_(std::move(tokens)), unknown_(unknown) {}

  ModelTokens tokens_;
  TokenId unknown_;
};

}  // namespace millrace::text
