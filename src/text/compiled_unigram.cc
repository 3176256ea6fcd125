#include "text/compiled_unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "text/code_point_table.h"

namespace millrace::text {
namespace {

constexpr double kUnknownPenalty = 10;

}  // namespace

class CompiledUnigram::Encoder : public PieceEncoder {
 public:
  explicit Encoder(const CompiledUnigram& model) : model_(model) {}

  void Append(std::string_view piece, std::vector<TokenId>& out) override {
    const WholePieces& pieces = model_.whole_pieces_;
    const TokenId whole = pieces.Find(piece);
    const WholePieces::Answer answer = whole == kNoToken ? WholePieces::Answer::kOther : pieces.answer(whole);
    if (answer == WholePieces::Answer::kOneToken) {
      out.push_back(whole);
      return;
    }
    FindBest(piece);
    const size_t before = out.size();
    AppendBest(piece, out);
    if (answer != WholePieces::Answer::kNotAsked) return;
    const bool one = out.size() == before + 1 && out.back() == whole;
    pieces.Remember(whole, one ? WholePieces::Answer::kOneToken : WholePieces::Answer::kOther);
  }

  uint64_t steps() const override { return steps_; }

 private:
  static constexpr uint32_t kNotReached = std::numeric_limits<uint32_t>::max();
  struct Node {  // the best way to a place in the piece: its score, and its last token and where that begins
    double score = 0;
    uint32_t begin = kNotReached;
    TokenId token = kNoToken;
  };

  double Sum(double a, double b) const {
    return model_.single_precision_ ? static_cast<double>(static_cast<float>(a + b)) : a + b;
  }

  void Offer(size_t begin, size_t end, double score, TokenId token) {
    Node& node = best_[end];
    if (node.begin == kNotReached || score > node.score) node = {score, static_cast<uint32_t>(begin), token};
  }

  // Every code point boundary is reached: by the code point's token, or as unknown.
  void FindBest(std::string_view piece) {
    const TokenTrie& trie = model_.trie_;
    best_.assign(piece.size() + 1, Node());
    size_t next = 0;
    for (size_t begin = 0; begin < piece.size(); begin = next) {
      next = begin + DecodeAt(piece, begin).length;
      const double score = best_[begin].score;
      bool known = false;
      TokenTrie::Node node = TokenTrie::kRoot;
      for (size_t end = begin; end < piece.size();) {
        ++steps_;
        node = trie.Step(node, piece[end++]);
        if (node == TokenTrie::kNowhere) break;
        const TokenId token = trie.token(node);
        if (token == kNoToken) continue;
        Offer(begin, end, Sum(model_.scores_[static_cast<size_t>(token)], score), token);
        known = known || end == next;
      }
      if (!known) Offer(begin, next, Sum(model_.unknown_score_, score), model_.unknown_);
    }
  }

  // From the end of the piece to its beginning, then turned round.
  void AppendBest(std::string_view piece, std::vector<TokenId>& out) {
    const size_t before = out.size();
    size_t end = piece.size();
    while (end > 0) {
      const Node& node = best_[end];
      size_t begin = node.begin;
      if (node.token == model_.unknown_) {
        while (begin > 0 && best_[begin].token == model_.unknown_) begin = best_[begin].begin;
        AppendUnknown(piece.substr(begin, end - begin), out);
      } else {
        out.push_back(node.token);
      }
      end = begin;
    }
    std::reverse(out.begin() + static_cast<std::ptrdiff_t>(before), out.end());
  }

  // Neighbouring unknown code points together, which may be a token of scores that nobody would choose; the bytes backwards.
  void AppendUnknown(std::string_view text, std::vector<TokenId>& out) {
    if (text.size() <= model_.longest_) {
      const TokenTrie::Node node = model_.trie_.Walk(TokenTrie::kRoot, text);
      if (node != TokenTrie::kNowhere && model_.trie_.token(node) != kNoToken) {
        out.push_back(model_.trie_.token(node));
        return;
      }
    }
    const auto byte_token = [&](char byte) { return model_.byte_tokens_[static_cast<uint8_t>(byte)]; };
    if (std::all_of(text.begin(), text.end(), [&](char byte) { return byte_token(byte) != kNoToken; })) {
      std::transform(text.rbegin(), text.rend(), std::back_inserter(out), byte_token);
    } else {
      out.push_back(model_.unknown_);
    }
  }

  const CompiledUnigram& model_;
  std::vector<Node> best_;  // by end in the piece
  uint64_t steps_ = 0;
};

Result<std::unique_ptr<const SubwordModel>> CompiledUnigram::Create(const TokenizerSpec& spec, const UnigramModel& model,
                                                                    const ModelTokens& tokens) {
  std::unique_ptr<CompiledUnigram> compiled(new CompiledUnigram);
  RETURN_IF_ERROR(compiled->TakeScores(spec, model, tokens));
  RETURN_IF_ERROR(compiled->TakeTokens(model, tokens));
  return std::unique_ptr<const SubwordModel>(std::move(compiled));
}

Status CompiledUnigram::TakeScores(const TokenizerSpec& spec, const UnigramModel& model, const ModelTokens& tokens) {
  if (!spec.unk) return Error(Code::kInvalidArgument, "a unigram model without an unknown token");
  if (model.scores.size() != spec.tokens.size()) {
    return Error(Code::kInvalidArgument, "{} scores for {} tokens", model.scores.size(), spec.tokens.size());
  }
  unknown_ = *spec.unk;
  scores_ = model.scores;
  single_precision_ = model.single_precision;
  double lowest = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < scores_.size(); ++i) {
    if (std::isnan(scores_[i])) return Error(Code::kInvalidArgument, "the score of token {} is not a number", i);
    if (tokens.Includes(static_cast<TokenId>(i))) lowest = std::min(lowest, scores_[i]);
  }
  unknown_score_ = lowest - kUnknownPenalty;
  return Status();
}

Status CompiledUnigram::TakeTokens(const UnigramModel& model, const ModelTokens& tokens) {
  ASSIGN_OR_RETURN(auto entries, tokens.TrieEntries());
  whole_pieces_.Reset(entries.size(), scores_.size());
  for (const auto& [text, id] : entries) {
    whole_pieces_.Add(text, id);
    longest_ = std::max(longest_, text.size());
  }
  ASSIGN_OR_RETURN(trie_, TokenTrie::Create(std::move(entries)));
  for (int byte = 0; byte < 256; ++byte) {
    byte_tokens_[static_cast<size_t>(byte)] = model.byte_fallback ? tokens.FindByte(static_cast<uint8_t>(byte)) : kNoToken;
  }
  return Status();
}

std::unique_ptr<PieceEncoder> CompiledUnigram::NewEncoder() const { return std::make_unique<Encoder>(*this); }

}  // namespace millrace::text
