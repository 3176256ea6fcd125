#include "text/compiled_scored_bpe.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>

#include "base/utf8.h"
#include "text/code_point_table.h"
#include "text/token_splits.h"

namespace millrace::text {
namespace {

// SentencePiece takes no more than this many nested unused tokens apart.
constexpr int kMaxSplitDepth = 100;

bool IsMergeable(TokenType type) {
  return type == TokenType::kNormal || type == TokenType::kUserDefined || type == TokenType::kUnused;
}

// Larger for the larger score; -0 is below 0, as in SentencePiece's comparison.
uint32_t OrderOf(float score) {
  const auto bits = std::bit_cast<uint32_t>(score);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

// By id: 0 for the highest score, equal scores share a rank.
std::vector<uint32_t> RanksOf(const std::vector<float>& scores) {
  std::vector<uint32_t> orders;
  orders.reserve(scores.size());
  for (const float score : scores) orders.push_back(OrderOf(score));
  std::vector<uint32_t> sorted = orders;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  for (uint32_t& order : orders) {
    order = static_cast<uint32_t>(std::lower_bound(sorted.begin(), sorted.end(), order, std::greater<>()) - sorted.begin());
  }
  return orders;
}

// Unused tokens whose text another token has are left out.
std::vector<MergeableToken> MergeableTokens(const TokenizerSpec& spec, const Vocabulary& vocabulary) {
  std::vector<MergeableToken> out;
  std::unordered_set<std::string_view> unused;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const std::string_view text = spec.tokens[i];
    const TokenType type = vocabulary.Type(id);
    if (text.empty() || !IsMergeable(type)) continue;
    const bool is_unused = type == TokenType::kUnused;
    if (is_unused && (vocabulary.Find(text) || !unused.insert(text).second)) continue;
    out.push_back({text, id, !is_unused});
  }
  return out;
}

}  // namespace

class CompiledScoredBpe::Encoder : public PieceEncoder {
 public:
  explicit Encoder(const CompiledScoredBpe& model)
      : model_(model),
        splits_{model.reachable_unused_, {}},
        merger_(model.pairs_, model.reachable_unused_.empty() ? nullptr : &splits_) {}

  void Append(std::string_view piece, std::vector<TokenId>& out) override {
    after_unknown_ = false;
    // Not clear(), which takes time for all the room that a long piece once needed.
    while (!splits_.found.empty()) splits_.found.erase(splits_.found.begin());
    while (!piece.empty()) {
      const size_t size = model_.cuts_.FirstPart(piece);
      AppendPart(piece.substr(0, size), out);
      piece.remove_prefix(size);
    }
  }

  uint64_t steps() const override { return steps_ + merger_.steps(); }

 private:
  void AppendPart(std::string_view part, std::vector<TokenId>& out) {
    const WholePieces& pieces = model_.whole_pieces_;
    const TokenId whole = pieces.Find(part);
    const WholePieces::Answer answer = whole == kNoToken ? WholePieces::Answer::kOther : pieces.answer(whole);
    if (answer == WholePieces::Answer::kOneToken) {
      out.push_back(whole);
      after_unknown_ = false;
      return;
    }
    symbols_.clear();
    for (size_t at = 0; at < part.size();) {
      const auto [code_point, size] = DecodeAt(part, at);
      const TokenId token = model_.symbols_.Find(code_point);
      symbols_.push_back(token != kNoToken ? token : CodePointSymbol(code_point));
      at += size;
    }
    steps_ += symbols_.size();
    merger_.Merge(symbols_);
    if (answer == WholePieces::Answer::kNotAsked) {
      const bool one = symbols_.size() == 1 && symbols_.front() == whole;
      pieces.Remember(whole, one ? WholePieces::Answer::kOneToken : WholePieces::Answer::kOther);
    }
    for (const TokenId symbol : symbols_) AppendSymbol(symbol, out);
  }

  void AppendSymbol(TokenId symbol, std::vector<TokenId>& out) {
    if (symbol < 0) {
      AppendUnknown(CodePointOfSymbol(symbol), out);
    } else if (splits_.found.contains(symbol)) {
      AppendParts(symbol, out);
    } else {
      out.push_back(symbol);
      after_unknown_ = false;
    }
  }

  // An unused token becomes the two symbols that last made it, and so on.
  void AppendParts(TokenId unused, std::vector<TokenId>& out) {
    pending_.assign(1, {unused, 0});
    while (!pending_.empty()) {
      const auto [symbol, depth] = pending_.back();
      pending_.pop_back();
      ++steps_;
      const auto split = splits_.found.find(symbol);
      if (split != splits_.found.end() && depth <= kMaxSplitDepth) {
        pending_.push_back({split->second.second, depth + 1});
        pending_.push_back({split->second.first, depth + 1});
      } else if (symbol < 0) {
        AppendUnknown(CodePointOfSymbol(symbol), out);
      } else {
        out.push_back(symbol);
        after_unknown_ = false;
      }
    }
  }

  void AppendUnknown(char32_t code_point, std::vector<TokenId>& out) {
    if (model_.byte_fallback_) {
      bytes_.clear();
      Utf8Append(code_point, bytes_);
      for (const char byte : bytes_) out.push_back(model_.byte_tokens_[static_cast<uint8_t>(byte)]);
    } else if (!after_unknown_) {
      out.push_back(model_.unknown_);
    }
    after_unknown_ = true;
  }

  const CompiledScoredBpe& model_;
  LastSplits splits_;
  SymbolMerger merger_;
  std::vector<TokenId> symbols_;
  std::vector<std::pair<TokenId, int>> pending_;
  std::string bytes_;
  bool after_unknown_ = false;  // the last symbol was unknown: the next one that is belongs to it
  uint64_t steps_ = 0;
};

CompiledScoredBpe::CompiledScoredBpe(const TokenizerSpec& spec, const Vocabulary& vocabulary) : vocabulary_(vocabulary) {
  TakeSymbols(spec);
  TakeWholePieces(spec);
}

Result<std::unique_ptr<const SubwordModel>> CompiledScoredBpe::Create(const TokenizerSpec& spec, const ScoredBpeModel& model,
                                                                      const Vocabulary& vocabulary) {
  std::unique_ptr<CompiledScoredBpe> compiled(new CompiledScoredBpe(spec, vocabulary));
  RETURN_IF_ERROR(compiled->TakeUnknown(spec));
  RETURN_IF_ERROR(compiled->TakePairs(spec, model));
  return std::unique_ptr<const SubwordModel>(std::move(compiled));
}

Status CompiledScoredBpe::TakeUnknown(const TokenizerSpec& spec) {
  size_t bytes = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const std::optional<TokenId> id = vocabulary_.Find(fmt::format("<0x{:02X}>", byte));
    const bool found = id && vocabulary_.Type(*id) == TokenType::kByte;
    byte_tokens_[static_cast<size_t>(byte)] = found ? *id : kNoToken;
    bytes += found ? 1 : 0;
  }
  byte_fallback_ = bytes == 256;
  if (bytes != 0 && !byte_fallback_)
    return Error(Code::kInvalidArgument, "tokens for {} of 256 bytes, expected all or none", bytes);
  if (spec.unk) unknown_ = *spec.unk;
  for (TokenId id = 0; unknown_ == kNoToken && vocabulary_.Contains(id); ++id) {
    if (vocabulary_.Type(id) == TokenType::kUnknown) unknown_ = id;
  }
  if (unknown_ == kNoToken && !byte_fallback_)
    return Error(Code::kInvalidArgument, "neither an unknown token nor tokens for bytes");
  return Status();
}

Status CompiledScoredBpe::TakePairs(const TokenizerSpec& spec, const ScoredBpeModel& model) {
  if (model.scores.size() != spec.tokens.size()) {
    return Error(Code::kInvalidArgument, "{} scores for {} tokens", model.scores.size(), spec.tokens.size());
  }
  for (size_t i = 0; i < model.scores.size(); ++i) {
    if (std::isnan(model.scores[i])) return Error(Code::kInvalidArgument, "the score of token {} is not a number", i);
  }
  const std::vector<MergeableToken> tokens = MergeableTokens(spec, vocabulary_);
  ASSIGN_OR_RETURN(const std::vector<TokenSplit> splits, SplitsOfTokens(tokens, kMaxVocabularyMerges));
  const std::vector<uint32_t> ranks = RanksOf(model.scores);
  pairs_.Reset(splits.size());
  for (const TokenSplit& split : splits) {
    pairs_.Add(split.left, split.right, {ranks[static_cast<size_t>(split.token)], split.token});
    if (vocabulary_.Type(split.token) != TokenType::kUnused) continue;
    if (reachable_unused_.empty()) reachable_unused_.resize(spec.tokens.size());
    reachable_unused_[static_cast<size_t>(split.token)] = true;
  }
  // How an unused token is taken apart may depend on pairs anywhere in the piece.
  if (reachable_unused_.empty()) cuts_.Allow();
  for (const MergeableToken& token : tokens) cuts_.BarIn(token.text);
  return Status();
}

void CompiledScoredBpe::TakeSymbols(const TokenizerSpec& spec) {
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const std::string_view text = spec.tokens[i];
    const TokenType type = vocabulary_.Type(static_cast<TokenId>(i));
    if (!IsMergeable(type) || type == TokenType::kUnused || text.empty() || DecodeAt(text, 0).length != text.size()) continue;
    symbols_.Set(DecodeAt(text, 0).value, static_cast<TokenId>(i));
  }
}

void CompiledScoredBpe::TakeWholePieces(const TokenizerSpec& spec) {
  whole_pieces_.Reset(spec.tokens.size(), spec.tokens.size());
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const TokenType type = vocabulary_.Type(static_cast<TokenId>(i));
    if (IsMergeable(type) && type != TokenType::kUnused) whole_pieces_.Add(spec.tokens[i], static_cast<TokenId>(i));
  }
}

std::unique_ptr<PieceEncoder> CompiledScoredBpe::NewEncoder() const { return std::make_unique<Encoder>(*this); }

}  // namespace millrace::text
