#include "model/tokenizer_writer.h"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/json.h"
#include "model/named_file.h"
#include "model/tokenizer_writer_steps.h"
#include "text/subword_model.h"
#include "text/token_splits.h"
#include "text/vocabulary.h"

namespace millrace::model {

namespace {

using text::TokenizerSpec;
using text::TokenType;

TokenType TypeOf(const TokenizerSpec& spec, size_t id) {
  return spec.token_types.empty() ? TokenType::kNormal : spec.token_types[id];
}

bool IsAdded(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUnknown || type == TokenType::kUserDefined;
}

// What the file says of each row.
class Rows {
 public:
  explicit Rows(const TokenizerSpec& spec) : spec_(spec), flags_(spec.tokens.size()) {
    for (size_t id = 0; id < flags_.size(); ++id) flags_[id].id = static_cast<TokenId>(id);
    for (const text::AddedToken& token : spec.added) flags_[static_cast<size_t>(token.id)] = token;
    tail_ = FindTail();
  }

  // Padding of the table has no place in the file; ids beyond it are unused again when it is read.
  bool Exists(size_t id) const { return TypeOf(spec_, id) != TokenType::kUnused && !spec_.tokens[id].empty(); }
  // Added tokens at the end that are not the model's own get their ids by their order; all others stand in the model's vocabulary.
  bool InVocabulary(size_t id) const { return Exists(id) && id < tail_; }

  Json Vocabulary() const {
    Json::Object out;
    for (size_t id = 0; id < flags_.size(); ++id) {
      if (InVocabulary(id)) out.emplace_back(spec_.tokens[id], Json(uint64_t{id}));
    }
    return Json(std::move(out));
  }

  Json Added() const {
    Json::Array out;
    for (size_t id = 0; id < flags_.size(); ++id) {
      const TokenType type = TypeOf(spec_, id);
      if (!IsAdded(type) || !Exists(id)) continue;
      out.push_back(Json(Json::Object{{"id", Json(uint64_t{id})},
                                      {"content", Json(spec_.tokens[id])},
                                      {"single_word", Json(flags_[id].single_word)},
                                      {"lstrip", Json(flags_[id].lstrip)},
                                      {"rstrip", Json(flags_[id].rstrip)},
                                      {"normalized", Json(flags_[id].normalized)},
                                      {"special", Json(type != TokenType::kUserDefined)}}));
    }
    return Json(std::move(out));
  }

 private:
  // Where the added tokens at the end begin that the package numbers as they are: every row before exists, and they follow without a gap.
  size_t FindTail() const {
    const size_t size = flags_.size();
    size_t end = size;
    while (end > 0 && !Exists(end - 1)) --end;
    size_t tail = end;
    while (tail > 0 && IsAdded(TypeOf(spec_, tail - 1)) && !flags_[tail - 1].in_model && Exists(tail - 1)) --tail;
    for (size_t id = 0; id < tail; ++id) {
      if (!Exists(id)) return size;
    }
    return tail;
  }

  const TokenizerSpec& spec_;
  std::vector<text::AddedToken> flags_;  // by id
  size_t tail_ = 0;
};

Json TextOrNull(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json UnknownToken(const TokenizerSpec& spec) { return spec.unk ? Json(spec.tokens[static_cast<size_t>(*spec.unk)]) : Json(); }

Json BpeJson(const TokenizerSpec& spec, const Rows& rows, const text::BpeModel& model) {
  Json::Array merges;
  merges.reserve(model.merges.size());
  for (const text::Merge& merge : model.merges) {
    merges.push_back(Json(Json::Array{Json(merge.both.substr(0, merge.left_bytes)), Json(merge.both.substr(merge.left_bytes))}));
  }
  return Json(Json::Object{{"type", Json("BPE")},
                           {"dropout", Json()},
                           {"unk_token", UnknownToken(spec)},
                           {"continuing_subword_prefix", TextOrNull(model.continuing_prefix)},
                           {"end_of_word_suffix", TextOrNull(model.end_suffix)},
                           {"fuse_unk", Json(model.fuse_unknown)},
                           {"byte_fallback", Json(model.byte_fallback)},
                           {"ignore_merges", Json(model.ignore_merges)},
                           {"vocab", rows.Vocabulary()},
                           {"merges", Json(std::move(merges))}});
}

// The splits of every token into two tokens, the highest score first; of one score those with the longest left side first, as `transformers` has it.
// The vocabulary builds and the model is created, so scores are numbers and there is one for every token.
Result<text::BpeModel> MergesOfScores(const TokenizerSpec& spec, const text::ScoredBpeModel& model) {
  std::unordered_set<std::string_view> seen;
  std::vector<text::MergeableToken> tokens;
  std::vector<uint32_t> letters(spec.tokens.size());
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const TokenType type = TypeOf(spec, id);
    const std::string& token = spec.tokens[id];
    const bool merges = (type == TokenType::kNormal || type == TokenType::kUserDefined);
    if (!merges || token.empty() || !seen.insert(token).second) continue;
    letters[id] = static_cast<uint32_t>(
        std::count_if(token.begin(), token.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
    tokens.push_back({token, static_cast<TokenId>(id), true});
  }
  ASSIGN_OR_RETURN(std::vector<text::TokenSplit> splits, text::SplitsOfTokens(tokens, text::kMaxVocabularyMerges));
  std::erase_if(splits, [](const text::TokenSplit& split) { return split.left < 0 || split.right < 0; });
  const auto key = [&](const text::TokenSplit& split) {
    return std::tuple(-model.scores[static_cast<size_t>(split.token)], -int64_t{letters[static_cast<size_t>(split.left)]},
                      -int64_t{letters[static_cast<size_t>(split.right)]}, split.token);
  };
  std::sort(splits.begin(), splits.end(), [&](const text::TokenSplit& a, const text::TokenSplit& b) { return key(a) < key(b); });
  text::BpeModel bpe;
  bpe.fuse_unknown = true;
  bpe.byte_fallback =
      std::any_of(spec.token_types.begin(), spec.token_types.end(), [](TokenType type) { return type == TokenType::kByte; });
  bpe.merges.reserve(splits.size());
  for (const text::TokenSplit& split : splits) {
    bpe.merges.push_back({spec.tokens[static_cast<size_t>(split.token)],
                          static_cast<uint32_t>(spec.tokens[static_cast<size_t>(split.left)].size())});
  }
  return bpe;
}

// Pieces and scores by id, so every row up to the last piece has to be one.
Result<Json> UnigramJson(const TokenizerSpec& spec, const Rows& rows, const text::UnigramModel& model) {
  Json::Array vocabulary;
  bool ended = false;
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const bool is_piece = rows.InVocabulary(id);
    if (is_piece && ended) return Error(Code::kUnsupported, "a unigram model whose row {} is no piece", vocabulary.size());
    if (is_piece) vocabulary.push_back(Json(Json::Array{Json(spec.tokens[id]), Json(model.scores[id])}));
    ended = ended || !is_piece;
  }
  return Json(Json::Object{{"type", Json("Unigram")},
                           {"unk_id", spec.unk ? Json(int64_t{*spec.unk}) : Json()},
                           {"vocab", Json(std::move(vocabulary))},
                           {"byte_fallback", Json(model.byte_fallback)}});
}

Result<Json> ModelJson(const TokenizerSpec& spec, const Rows& rows) {
  if (const auto* bpe = std::get_if<text::BpeModel>(&spec.model)) return BpeJson(spec, rows, *bpe);
  if (const auto* scored = std::get_if<text::ScoredBpeModel>(&spec.model)) {
    ASSIGN_OR_RETURN(const text::BpeModel bpe, MergesOfScores(spec, *scored));
    return BpeJson(spec, rows, bpe);
  }
  if (const auto* unigram = std::get_if<text::UnigramModel>(&spec.model)) return UnigramJson(spec, rows, *unigram);
  if (const auto* pieces = std::get_if<text::WordPieceModel>(&spec.model)) {
    return Json(Json::Object{{"type", Json("WordPiece")},
                             {"unk_token", UnknownToken(spec)},
                             {"continuing_subword_prefix", Json(pieces->continuing_prefix)},
                             {"max_input_chars_per_word", Json(uint64_t{pieces->max_characters})},
                             {"vocab", rows.Vocabulary()}});
  }
  return Json(Json::Object{{"type", Json("WordLevel")}, {"vocab", rows.Vocabulary()}, {"unk_token", UnknownToken(spec)}});
}

Result<std::string> TokenizerJson(const TokenizerSpec& spec) {
  ASSIGN_OR_RETURN(Json normalizer, NormalizerMember(spec));
  // What loads is written, nothing else.
  ASSIGN_OR_RETURN(const auto vocabulary, text::Vocabulary::Build(spec));
  RETURN_IF_ERROR(text::SubwordModel::Create(spec, *vocabulary).status());
  const Rows rows(spec);
  ASSIGN_OR_RETURN(Json model, ModelJson(spec, rows));
  return Json(Json::Object{{"version", Json("1.0")},
                           {"truncation", Json()},
                           {"padding", Json()},
                           {"added_tokens", rows.Added()},
                           {"normalizer", std::move(normalizer)},
                           {"pre_tokenizer", PreTokenizerMember(spec)},
                           {"post_processor", PostProcessorMember(spec)},
                           {"decoder", DecoderMember(spec)},
                           {"model", std::move(model)}})
      .Write();
}

std::string TokenizerConfig(const TokenizerSpec& spec, const std::string& chat_template) {
  Json out(Json::Object{{"add_bos_token", Json(!spec.prefix.empty())}, {"add_prefix_space", Json(false)}});
  const std::pair<const char*, std::optional<TokenId>> specials[] = {
      {"bos_token", spec.bos}, {"eos_token", spec.eos}, {"unk_token", spec.unk}, {"pad_token", spec.pad}};
  for (const auto& [key, id] : specials) {
    // An ordinary token that this file names would be a special one when it is read.
    const bool named = id && IsAdded(TypeOf(spec, static_cast<size_t>(*id)));
    out.Set(key, named ? Json(spec.tokens[static_cast<size_t>(*id)]) : Json());
  }
  if (!chat_template.empty()) out.Set("chat_template", Json(chat_template));
  out.Set("clean_up_tokenization_spaces", Json(spec.clean_up_spaces));
  if (spec.clean_up_spaces && std::holds_alternative<text::BpeModel>(spec.model)) {
    out.Set("clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output", Json(true));
  }
  out.Set("tokenizer_class", Json("PreTrainedTokenizerFast"));
  return out.WriteIndented() + "\n";
}

std::string GenerationConfig(const TokenizerSpec& spec) {
  Json out(Json::Object{});
  if (spec.bos) out.Set("bos_token_id", Json(int64_t{*spec.bos}));
  Json::Array ends;
  for (const TokenId id : spec.end_of_sequence) ends.emplace_back(int64_t{id});
  if (!ends.empty()) out.Set("eos_token_id", Json(std::move(ends)));
  if (spec.pad) out.Set("pad_token_id", Json(int64_t{*spec.pad}));
  return out.WriteIndented() + "\n";
}

}  // namespace

Result<std::map<std::string, std::string>> TokenizerFilesOf(const TokenizerSpec& spec, const std::string& chat_template) {
  ASSIGN_OR_RETURN(std::string tokenizer, TokenizerJson(spec));
  return std::map<std::string, std::string>{{std::string(kTokenizerFile), std::move(tokenizer)},
                                            {std::string(kTokenizerConfigFile), TokenizerConfig(spec, chat_template)},
                                            {std::string(kGenerationConfigFile), GenerationConfig(spec)}};
}

}  // namespace millrace::model
