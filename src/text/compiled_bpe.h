// BpeModel, compiled. Reference: models.BPE of the Python package `tokenizers`.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "text/code_point_tokens.h"
#include "text/mark_cuts.h"
#include "text/model_tokens.h"
#include "text/pair_table.h"
#include "text/subword_model.h"
#include "text/symbol_merger.h"
#include "text/whole_pieces.h"

namespace millrace::text {

class CompiledBpe : public SubwordModel {
 public:
  static Result<std::unique_ptr<const SubwordModel>> Create(const TokenizerSpec& spec, const BpeModel& model, ModelTokens tokens);
  std::unique_ptr<PieceEncoder> NewEncoder() const override;

 private:
  class Encoder;
  CompiledBpe(const TokenizerSpec& spec, const BpeModel& model, ModelTokens tokens);
  Status TakeMerges(const BpeModel& model);
  void TakeSymbols(const TokenizerSpec& spec);
  void TakeWholePieces(const TokenizerSpec& spec);
  void TakeCuts(const TokenizerSpec& spec, const BpeModel& model);
  // The token of one symbol, written as the model file writes it.
  TokenId FindSymbol(std::string_view symbol, bool first, bool last) const;

  ModelTokens tokens_;
  bool byte_level_;
  bool ignore_merges_;
  bool byte_fallback_;
  bool fuse_unknown_;
  std::string continuing_prefix_;
  std::string end_suffix_;
  TokenId unknown_;
  std::array<TokenId, 256> byte_tokens_{};  // "<0xHH>", where byte_fallback_
  PairTable pairs_;
  // Symbols that are neither first nor last, or any where there is no prefix and no suffix: by byte where byte_level_, else by code point.
  std::array<TokenId, 256> byte_symbols_{};
  CodePointTokens symbols_;
  WholePieces whole_pieces_;
  MarkCuts cuts_;
};

}  // namespace millrace::text
