#include "text/compiled_bpe.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/code_point_table.h"

namespace millrace::text {
namespace {

bool IsOneCodePoint(std::string_view text) { return !text.empty() && DecodeAt(text, 0).length == text.size(); }

// "x<0x0A>"
bool EndsWithByteToken(std::string_view text) {
  return text.size() >= 6 && text.ends_with('>') && text.substr(text.size() - 6).starts_with("<0x");
}

Status NoToken(size_t rank, const Merge& merge, std::string_view text) {
  const std::string_view both = merge.both;
  return Error(Code::kInvalidArgument, "merge {} '{}' + '{}': '{}' is no token", rank,
               both.substr(0, merge.left_bytes).substr(0, 80), both.substr(merge.left_bytes).substr(0, 80), text.substr(0, 80));
}

}  // namespace

class CompiledBpe::Encoder : public PieceEncoder {
 public:
  explicit Encoder(const CompiledBpe& model)
      : model_(model), merger_(model.pairs_), decorated_(!model.continuing_prefix_.empty() || !model.end_suffix_.empty()) {}

  void Append(std::string_view piece, std::vector<TokenId>& out) override {
    if (model_.ignore_merges_) {
      if (const TokenId whole = model_.whole_pieces_.Find(piece); whole != kNoToken) {
        out.push_back(whole);
        return;
      }
    }
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
      return;
    }
    TakeSymbols(part);
    merger_.Merge(symbols_);
    if (answer == WholePieces::Answer::kNotAsked) {
      const bool one = symbols_.size() == 1 && symbols_.front() == whole;
      pieces.Remember(whole, one ? WholePieces::Answer::kOneToken : WholePieces::Answer::kOther);
    }
    out.insert(out.end(), symbols_.begin(), symbols_.end());
  }

  void TakeSymbols(std::string_view part) {
    symbols_.clear();
    unknown_waits_ = false;
    size_t at = 0;
    while (at < part.size()) {
      const size_t size = model_.byte_level_ ? 1 : DecodeAt(part, at).length;
      const bool first = at == 0;
      const bool last = at + size == part.size();
      TakeSymbol(part.substr(at, size), first, last);
      at += size;
    }
    if (unknown_waits_) symbols_.push_back(model_.unknown_);
    steps_ += symbols_.size();
  }

  void TakeSymbol(std::string_view text, bool first, bool last) {
    TokenId token = kNoToken;
    if (decorated_ && (first || last)) {
      token = model_.FindSymbol(FileText(text), first, last);
    } else if (model_.byte_level_) {
      token = model_.byte_symbols_[static_cast<uint8_t>(text.front())];
    } else {
      token = model_.symbols_.Find(DecodeAt(text, 0).value);
    }
    if (token == kNoToken) {
      TakeUnknown(text, first, last);
      return;
    }
    if (unknown_waits_) symbols_.push_back(model_.unknown_);
    unknown_waits_ = false;
    symbols_.push_back(token);
  }

  // As the reference has it: an unknown symbol waits for the next known one, and bytes of others overtake it. Without an unknown token
  // it is left out, and its neighbours merge as if it were not there.
  void TakeUnknown(std::string_view text, bool first, bool last) {
    if (model_.byte_fallback_ && TakeBytes(FileText(text), first, last)) return;
    if (model_.unknown_ == kNoToken) return;
    if (unknown_waits_ && !model_.fuse_unknown_) symbols_.push_back(model_.unknown_);
    unknown_waits_ = true;
  }

  // All bytes or none.
  bool TakeBytes(const std::string& file_text, bool first, bool last) {
    const std::string symbol = (first ? "" : model_.continuing_prefix_) + file_text + (last ? model_.end_suffix_ : "");
    const size_t before = symbols_.size();
    for (const char byte : symbol) {
      const TokenId token = model_.byte_tokens_[static_cast<uint8_t>(byte)];
      if (token == kNoToken) {
        symbols_.resize(before);
        return false;
      }
      symbols_.push_back(token);
    }
    return true;
  }

  std::string FileText(std::string_view text) const { return model_.byte_level_ ? AlphabetFromBytes(text) : std::string(text); }

  const CompiledBpe& model_;
  SymbolMerger merger_;
  const bool decorated_;
  std::vector<TokenId> symbols_;
  bool unknown_waits_ = false;
  uint64_t steps_ = 0;
};

CompiledBpe::CompiledBpe(const TokenizerSpec& spec, const BpeModel& model, ModelTokens tokens)
    : tokens_(std::move(tokens)),
      byte_level_(model.byte_level),
      ignore_merges_(model.ignore_merges),
      byte_fallback_(model.byte_fallback),
      fuse_unknown_(model.fuse_unknown),
      continuing_prefix_(model.continuing_prefix),
      end_suffix_(model.end_suffix),
      unknown_(spec.unk.value_or(kNoToken)) {}

Result<std::unique_ptr<const SubwordModel>> CompiledBpe::Create(const TokenizerSpec& spec, const BpeModel& model,
                                                                ModelTokens tokens) {
  std::unique_ptr<CompiledBpe> compiled(new CompiledBpe(spec, model, std::move(tokens)));
  RETURN_IF_ERROR(compiled->TakeMerges(model));
  compiled->TakeSymbols(spec);
  compiled->TakeWholePieces(spec);
  compiled->TakeCuts(spec, model);
  return std::unique_ptr<const SubwordModel>(std::move(compiled));
}

Status CompiledBpe::TakeMerges(const BpeModel& model) {
  if (model.merges.size() > kMaxVocabularyMerges) {
    return Error(Code::kInvalidArgument, "{} merges, expected at most {}", model.merges.size(), kMaxVocabularyMerges);
  }
  pairs_.Reset(model.merges.size());
  std::string joined;
  TokenId ids[3] = {kNoToken, kNoToken, kNoToken};
  for (size_t rank = 0; rank < model.merges.size(); ++rank) {
    const Merge& merge = model.merges[rank];
    if (merge.left_bytes > merge.both.size() || merge.both.size() > 2 * kMaxTokenBytes) {
      return Error(Code::kInvalidArgument, "merge {}: left of {} bytes in {}, which may be at most {}", rank, merge.left_bytes,
                   merge.both.size(), 2 * kMaxTokenBytes);
    }
    const std::string_view left = std::string_view(merge.both).substr(0, merge.left_bytes);
    const std::string_view right = std::string_view(merge.both).substr(merge.left_bytes);
    if (left.empty() || right.size() <= continuing_prefix_.size()) {
      return Error(Code::kInvalidArgument, "merge {} '{}' + '{}': nothing to merge on one side", rank, left.substr(0, 80),
                   right.substr(0, 80));
    }
    const bool same_token = rank > 0 && joined.size() == left.size() + right.size() - continuing_prefix_.size() &&
                            joined.starts_with(left) && joined.ends_with(right.substr(continuing_prefix_.size()));
    if (!same_token) joined.assign(left).append(right.substr(continuing_prefix_.size()));
    const std::string_view parts[3] = {left, right, joined};
    // Files often list the ways to make a token one after the other.
    for (size_t part = 0; part < (same_token ? 2 : 3); ++part) {
      const std::optional<TokenId> id = tokens_.vocabulary().Find(parts[part]);
      if (!id) return NoToken(rank, merge, parts[part]);
      // So the text of a control token never becomes one: only the model's own vocabulary is merged.
      if (tokens_.vocabulary().IsControl(*id) && !tokens_.Includes(*id)) return NoToken(rank, merge, parts[part]);
      ids[part] = *id;
      tokens_.Include(*id);
    }
    pairs_.Add(ids[0], ids[1], {static_cast<uint32_t>(rank), ids[2]});
  }
  return Status();
}

TokenId CompiledBpe::FindSymbol(std::string_view symbol, bool first, bool last) const {
  std::string text = first ? "" : continuing_prefix_;
  text += symbol;
  if (last) text += end_suffix_;
  return tokens_.Find(text);
}

void CompiledBpe::TakeSymbols(const TokenizerSpec& spec) {
  byte_tokens_.fill(kNoToken);
  byte_symbols_.fill(kNoToken);
  for (int byte = 0; byte < 256; ++byte) {
    const auto at = static_cast<size_t>(byte);
    if (byte_fallback_) byte_tokens_[at] = tokens_.FindByte(static_cast<uint8_t>(byte));
    if (byte_level_) byte_symbols_[at] = FindSymbol(AlphabetFromBytes(std::string(1, static_cast<char>(byte))), false, false);
  }
  if (byte_level_) return;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    std::string_view text = spec.tokens[i];
    if (!tokens_.Includes(id) || !text.starts_with(continuing_prefix_)) continue;
    text.remove_prefix(continuing_prefix_.size());
    if (IsOneCodePoint(text)) symbols_.Set(DecodeAt(text, 0).value, id);
  }
}

void CompiledBpe::TakeWholePieces(const TokenizerSpec& spec) {
  whole_pieces_.Reset(spec.tokens.size(), spec.tokens.size());
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    std::string_view text = spec.tokens[i];
    if (!tokens_.Includes(static_cast<TokenId>(i))) continue;
    // With ignore_merges a piece is looked up as it stands.
    if (!ignore_merges_) {
      if (!text.ends_with(end_suffix_)) continue;
      text.remove_suffix(end_suffix_.size());
    }
    if (!byte_level_) {
      whole_pieces_.Add(text, static_cast<TokenId>(i));
    } else if (const std::optional<std::string> bytes = BytesFromAlphabet(text)) {
      whole_pieces_.Add(*bytes, static_cast<TokenId>(i));
    }
  }
}

// At a cut the symbol "▁" begins on the right, so the right token begins with it; the left one ends with the symbol of another code point:
// that code point, or its bytes, or the unknown token. That symbol must be there, so unknown code points may not be left out. Unknown
// symbols do not fuse across the cut, since "▁" is known.
void CompiledBpe::TakeCuts(const TokenizerSpec& spec, const BpeModel& model) {
  if (byte_level_ || !continuing_prefix_.empty() || !end_suffix_.empty() || tokens_.Find(kMark) == kNoToken) return;
  const bool all_bytes = std::find(byte_tokens_.begin(), byte_tokens_.end(), kNoToken) == byte_tokens_.end();
  if (unknown_ == kNoToken && !all_bytes) return;
  const std::string_view unknown = unknown_ == kNoToken ? "" : std::string_view(spec.tokens[static_cast<size_t>(unknown_)]);
  if (unknown.ends_with(kMark)) return;
  for (const Merge& merge : model.merges) {
    if (!std::string_view(merge.both).substr(merge.left_bytes).starts_with(kMark)) continue;
    const std::string_view left = std::string_view(merge.both).substr(0, merge.left_bytes);
    // What an unknown symbol is followed by is not looked for in the text.
    if (EndsWithByteToken(left) || (!unknown.empty() && left.ends_with(unknown))) return;
    cuts_.BarIn(merge.both);
  }
  cuts_.Allow();
}

std::unique_ptr<PieceEncoder> CompiledBpe::NewEncoder() const { return std::make_unique<Encoder>(*this); }

}  // namespace millrace::text
