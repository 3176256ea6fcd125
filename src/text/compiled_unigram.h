// UnigramModel, compiled. Reference: models.Unigram of the Python package `tokenizers`.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "text/model_tokens.h"
#include "text/subword_model.h"
#include "text/token_trie.h"
#include "text/whole_pieces.h"

namespace millrace::text {

class CompiledUnigram : public SubwordModel {
 public:
  static Result<std::unique_ptr<const SubwordModel>> Create(const TokenizerSpec& spec, const UnigramModel& model,
                                                            const ModelTokens& tokens);
  std::unique_ptr<PieceEncoder> NewEncoder() const override;

 private:
  class Encoder;
  CompiledUnigram() = default;
  Status TakeScores(const TokenizerSpec& spec, const UnigramModel& model, const ModelTokens& tokens);
  Status TakeTokens(const UnigramModel& model, const ModelTokens& tokens);

  TokenTrie trie_;
  std::vector<double> scores_;  // by id
  double unknown_score_ = 0;
  TokenId unknown_ = kNoToken;
  size_t longest_ = 0;                      // bytes of the longest token
  std::array<TokenId, 256> byte_tokens_{};  // kNoToken without byte_fallback
  WholePieces whole_pieces_;
};

}  // namespace millrace::text
