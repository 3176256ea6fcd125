// ScoredBpeModel, compiled. Reference: the BPE model of SentencePiece.
#pragma once

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "text/code_point_tokens.h"
#include "text/mark_cuts.h"
#include "text/pair_table.h"
#include "text/subword_model.h"
#include "text/symbol_merger.h"
#include "text/whole_pieces.h"

namespace millrace::text {

class CompiledScoredBpe : public SubwordModel {
 public:
  static Result<std::unique_ptr<const SubwordModel>> Create(const TokenizerSpec& spec, const ScoredBpeModel& model,
                                                            const Vocabulary& vocabulary);
  std::unique_ptr<PieceEncoder> NewEncoder() const override;

 private:
  class Encoder;
  CompiledScoredBpe(const TokenizerSpec& spec, const Vocabulary& vocabulary);
  Status TakeUnknown(const TokenizerSpec& spec);
  Status TakePairs(const TokenizerSpec& spec, const ScoredBpeModel& model);
  void TakeSymbols(const TokenizerSpec& spec);
  void TakeWholePieces(const TokenizerSpec& spec);

  const Vocabulary& vocabulary_;
  TokenId unknown_ = kNoToken;
  bool byte_fallback_ = false;
  std::array<TokenId, 256> byte_tokens_{};
  // Symbols are tokens; code points without one are negative (CodePointSymbol).
  CodePointTokens symbols_;
  PairTable pairs_;
  std::vector<bool> reachable_unused_;  // by token: unused, and some pair makes it; empty where there are none
  WholePieces whole_pieces_;
  MarkCuts cuts_;
};

}  // namespace millrace::text
