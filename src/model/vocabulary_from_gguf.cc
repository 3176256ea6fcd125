#include "model/vocabulary_from_gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/types.h"
#include "model/gguf_pretokenizers.h"
#include "model/turn_ends.h"
#include "text/vocabulary.h"
#include "weights/shown_text.h"

namespace millrace::model {

namespace {

using text::TokenizerSpec;
using text::TokenType;
using weights::GgufFile;
using weights::GgufType;

constexpr size_t kMaxRuleBytes = 16U << 20;
constexpr std::string_view kSpaceMark = "▁";

// Pre-tokenizers whose models expect the beginning-of-sequence token when the file does not say.
constexpr std::array<std::string_view, 11> kBosByDefault = {"llama-bpe", "llama3",       "llama-v3", "falcon3",
                                                            "falcon-h1", "pixtral",      "midm-2.0", "lfm2",
                                                            "tekken",    "jina-v5-nano", "chameleon"};

// Copies a string array; `what` and `limit` name and bound it.
Result<std::vector<std::string>> CopyStrings(const GgufFile& file, std::string_view key, size_t limit) {
  ASSIGN_OR_RETURN(const auto strings, file.GetStringArray(key));
  if (strings.size() > limit) {
    return Error(Code::kResourceExhausted, "metadata '{}': {} strings, expected at most {}", key, strings.size(), limit);
  }
  // All of them together, so that a file cannot make us hold more than a vocabulary's worth of text.
  if (strings.size_bytes() - strings.size() * sizeof(uint64_t) > text::kMaxVocabularyBytes) {
    return Error(Code::kResourceExhausted, "metadata '{}': {} bytes of text, expected at most {}", key, strings.size_bytes(),
                 text::kMaxVocabularyBytes);
  }
  std::vector<std::string> copied;
  copied.reserve(strings.size());
  for (const std::string_view text : strings) copied.emplace_back(text);
  return copied;
}

Result<TokenType> TokenTypeFromGguf(int32_t type) {
  switch (type) {
    case 1:
      return TokenType::kNormal;
    case 2:
      return TokenType::kUnknown;
    case 3:
      return TokenType::kControl;
    case 4:
      return TokenType::kUserDefined;
    case 5:
      return TokenType::kUnused;
    case 6:
      return TokenType::kByte;
    default:
      return Error(Code::kInvalidArgument, "type {}, expected 1 to 6", type);
  }
}

// Rows that have no token are named after their number, or the one before, in many files, with the type of a token.
bool IsPadding(std::string_view text, size_t id) {
  return text.starts_with("[PAD") && (text == fmt::format("[PAD{}]", id) || (id > 0 && text == fmt::format("[PAD{}]", id - 1)));
}

Status ReadTokenTypes(const GgufFile& file, TokenizerSpec& spec) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  if (!file.Has(kKey)) return {};
  ASSIGN_OR_RETURN(const auto types, file.GetI32Array(kKey));
  if (types.size() != spec.tokens.size()) {
    return Error(Code::kDataLoss, "metadata '{}': {} types for {} tokens", kKey, types.size(), spec.tokens.size());
  }
  spec.token_types.reserve(types.size());
  for (size_t id = 0; id < types.size(); ++id) {
    const auto type = TokenTypeFromGguf(types[id]);
    if (!type.ok()) return Error(type.status().code(), "metadata '{}': token {}: {}", kKey, id, type.status().message());
    spec.token_types.push_back(*type);
    if (*type != TokenType::kNormal && IsPadding(spec.tokens[id], id)) {
      spec.token_types.back() = TokenType::kUnused;
      spec.tokens[id].clear();
    }
  }
  return {};
}

// One vocabulary, read by its kind.
class Reader {
 public:
  Reader(const GgufFile& file, TokenizerSpec& spec) : file_(file), spec_(spec) {}

  using Read = Status (Reader::*)();
  // How a kind of tokenizer is read; null where it is not known.
  static Read ByKind(std::string_view kind) {
    if (kind == "gpt2") return &Reader::ReadGpt2;
    if (kind == "llama") return &Reader::ReadLlama;
    if (kind == "gemma4") return &Reader::ReadGemma;
    if (kind == "t5") return &Reader::ReadT5;
    return kind == "bert" ? &Reader::ReadBert : nullptr;
  }

 private:
  struct Defaults {
    std::optional<TokenId> bos, eos, unk, pad;
    bool add_bos = false;
    bool add_eos = false;
  };

  Result<std::optional<TokenId>> Id(std::string_view key, std::optional<TokenId> fallback = std::nullopt) const {
    const size_t tokens = spec_.tokens.size();
    if (!file_.Has(key)) {
      return fallback && static_cast<size_t>(*fallback) < tokens ? fallback : std::optional<TokenId>();
    }
    ASSIGN_OR_RETURN(const uint32_t id, file_.GetU32(key));
    if (id >= tokens) return Error(Code::kDataLoss, "metadata '{}': {}, expected an id below {}", key, id, tokens);
    return std::optional<TokenId>(static_cast<TokenId>(id));
  }

  // Special ids, what ends an answer, what comes around a text.
  Status ReadSpecials(const Defaults& defaults) {
    ASSIGN_OR_RETURN(spec_.bos, Id("tokenizer.ggml.bos_token_id", defaults.bos));
    ASSIGN_OR_RETURN(spec_.eos, Id("tokenizer.ggml.eos_token_id", defaults.eos));
    ASSIGN_OR_RETURN(spec_.pad, Id("tokenizer.ggml.padding_token_id", defaults.pad));
    if (defaults.unk) {
      ASSIGN_OR_RETURN(spec_.unk, Id("tokenizer.ggml.unknown_token_id", defaults.unk));
    }
    std::vector<TokenId>& ends = spec_.end_of_sequence;
    if (spec_.eos) ends.push_back(*spec_.eos);
    for (const std::string_view key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
      ASSIGN_OR_RETURN(const auto id, Id(key));
      if (id) ends.push_back(*id);
    }
    AddTurnEnds(spec_);
    RETURN_IF_ERROR(Around("bos", defaults.add_bos, spec_.bos, spec_.prefix));
    return Around("eos", defaults.add_eos, spec_.eos, spec_.suffix);
  }

  Status Around(std::string_view name, bool by_default, std::optional<TokenId> id, std::vector<TokenId>& out) const {
    const std::string key = fmt::format("tokenizer.ggml.add_{}_token", name);
    ASSIGN_OR_RETURN(const bool wanted, file_.GetBoolOr(key, by_default));
    if (wanted && !id) {
      return Error(Code::kDataLoss, "metadata '{}': set, but there is no tokenizer.ggml.{}_token_id", key, name);
    }
    if (wanted) out = {*id};
    return {};
  }

  Status ReadMerges(text::BpeModel& bpe) const {
    constexpr std::string_view kKey = "tokenizer.ggml.merges";
    ASSIGN_OR_RETURN(const auto merges, CopyStrings(file_, kKey, text::kMaxVocabularyMerges));
    bpe.merges.reserve(merges.size());
    for (const std::string& merge : merges) {
      // The left side may begin with a space.
      const size_t at = merge.find(' ', 1);
      if (at == std::string::npos || at + 1 == merge.size()) {
        return Error(Code::kDataLoss, "metadata '{}': merge {}: expected 'left right', found '{}'", kKey, bpe.merges.size(),
                     weights::ShownText(merge));
      }
      bpe.merges.push_back({merge.substr(0, at) + merge.substr(at + 1), static_cast<uint32_t>(at)});
    }
    return {};
  }

  Result<std::string> PreName() const {
    if (file_.Has("tokenizer.ggml.pre")) {
      ASSIGN_OR_RETURN(const auto name, file_.GetString("tokenizer.ggml.pre"));
      return std::string(name);
    }
    // GPT-NeoX has the tokenizer of MPT; its files are older than the names.
    if (file_.Has("general.architecture")) {
      ASSIGN_OR_RETURN(const auto architecture, file_.GetString("general.architecture"));
      if (architecture == "gptneox") return std::string("mpt");
    }
    return std::string("default");
  }

  Status TakeSteps(std::string_view name, text::BpeModel& bpe) {
    auto steps = TextStepsOfGguf(name);
    if (!steps.ok()) return steps.status().Within("metadata 'tokenizer.ggml.pre'");
    spec_.normalizers = std::move(steps->normalizers);
    spec_.pre_tokenizers = std::move(steps->pre_tokenizers);
    bpe.byte_level = steps->byte_level;
    bpe.ignore_merges = steps->ignore_merges;
    return {};
  }

  Status ReadGpt2() {
    ASSIGN_OR_RETURN(const std::string name, PreName());
    text::BpeModel bpe;
    RETURN_IF_ERROR(TakeSteps(name, bpe));
    if (!bpe.byte_level) return ReadSpaceMarked(std::move(bpe), false);
    ASSIGN_OR_RETURN(const bool prefix_space, file_.GetBoolOr("tokenizer.ggml.add_space_prefix", false));
    for (text::PreTokenizerStep& step : spec_.pre_tokenizers) {
      if (auto* bytes = std::get_if<text::ByteLevelSplit>(&step); bytes != nullptr && prefix_space)
        bytes->add_prefix_space = true;
    }
    RETURN_IF_ERROR(ReadMerges(bpe));
    spec_.model = std::move(bpe);
    spec_.decoders = {text::ByteLevelDecoder{}};
    RETURN_IF_ERROR(MarkLeftStripping(name));
    Defaults defaults;
    defaults.add_bos = std::find(kBosByDefault.begin(), kBosByDefault.end(), name) != kBosByDefault.end();
    return ReadSpecials(defaults);
  }

  // BPE over text with "▁" for spaces and byte tokens, as the authors' files have it: unknown code points are bytes.
  Status ReadSpaceMarked(text::BpeModel bpe, bool add_bos) {
    bpe.byte_fallback = true;
    bpe.fuse_unknown = true;
    RETURN_IF_ERROR(ReadMerges(bpe));
    spec_.model = std::move(bpe);
    spec_.decoders = {text::ReplaceDecoder{std::string(kSpaceMark), " "}, text::ByteFallbackDecoder{}, text::FuseDecoder{}};
    Defaults defaults;
    defaults.add_bos = add_bos;
    RETURN_IF_ERROR(ReadSpecials(defaults));
    ASSIGN_OR_RETURN(spec_.unk, Id("tokenizer.ggml.unknown_token_id"));
    return {};
  }

  Status ReadGemma() {
    text::BpeModel bpe;
    RETURN_IF_ERROR(TakeSteps("gemma4", bpe));
    RETURN_IF_ERROR(ReadSpaceMarked(std::move(bpe), true));
    // Files say false by mistake.
    if (spec_.bos) spec_.prefix = {*spec_.bos};
    return {};
  }

  Result<std::vector<float>> Scores() const {
    constexpr std::string_view kKey = "tokenizer.ggml.scores";
    ASSIGN_OR_RETURN(auto scores, file_.GetF32Array(kKey));
    if (scores.size() == spec_.tokens.size()) return scores;
    return Error(Code::kDataLoss, "metadata '{}': {} scores for {} tokens", kKey, scores.size(), spec_.tokens.size());
  }

  // SentencePiece's own steps: its rules, then white space, then "▁" in front, and for every space.
  Status TakeSentencePieceSteps(bool space_by_default) {
    ASSIGN_OR_RETURN(const bool prefix, file_.GetBoolOr("tokenizer.ggml.add_space_prefix", space_by_default));
    ASSIGN_OR_RETURN(const bool remove_extra, file_.GetBoolOr("tokenizer.ggml.remove_extra_whitespaces", false));
    constexpr std::string_view kRules = "tokenizer.ggml.precompiled_charsmap";
    if (const auto* entry = file_.Find(kRules); entry != nullptr) {
      const bool bytes =
          entry->type == GgufType::kArray && (entry->element_type == GgufType::kUint8 || entry->element_type == GgufType::kInt8);
      if (!bytes || entry->value.size() > kMaxRuleBytes) {
        return Error(Code::kDataLoss, "metadata '{}': {}, expected an array of at most {} bytes", kRules, entry->TypeText(),
                     kMaxRuleBytes);
      }
      std::string rules(reinterpret_cast<const char*>(entry->value.data()), entry->value.size());
      if (!rules.empty()) spec_.normalizers.emplace_back(text::CompiledRules{std::move(rules), false});
    }
    spec_.normalizers.emplace_back(text::SentencePieceSpaces{remove_extra});
    if (prefix) spec_.normalizers.emplace_back(text::PrependText{std::string(kSpaceMark)});
    spec_.normalizers.emplace_back(text::ReplaceText{{" ", false}, std::string(kSpaceMark)});
    spec_.decoders = {text::ReplaceDecoder{std::string(kSpaceMark), " "}, text::ByteFallbackDecoder{}, text::FuseDecoder{}};
    if (prefix) spec_.decoders.emplace_back(text::StripDecoder{" ", 1, 0});
    return {};
  }

  Status ReadLlama() {
    text::ScoredBpeModel model;
    ASSIGN_OR_RETURN(model.scores, Scores());
    spec_.model = std::move(model);
    RETURN_IF_ERROR(TakeSentencePieceSteps(true));
    RETURN_IF_ERROR(MarkPhi3());
    Defaults defaults;
    defaults.bos = 1;
    defaults.eos = 2;
    defaults.unk = 0;
    defaults.add_bos = true;
    return ReadSpecials(defaults);
  }

  Status ReadT5() {
    text::UnigramModel model;
    ASSIGN_OR_RETURN(const auto scores, Scores());
    model.scores.assign(scores.begin(), scores.end());
    model.byte_fallback =
        std::find(spec_.token_types.begin(), spec_.token_types.end(), TokenType::kByte) != spec_.token_types.end();
    spec_.model = std::move(model);
    RETURN_IF_ERROR(TakeSentencePieceSteps(false));
    RETURN_IF_ERROR(MarkLeftStripping(""));
    Defaults defaults;
    defaults.eos = 1;
    defaults.unk = 2;
    defaults.pad = 0;
    defaults.add_eos = true;
    return ReadSpecials(defaults);
  }

  // The spelling of these files: "▁" in front of what begins a word, nothing in front of what goes on.
  Status ReadBert() {
    text::WordPieceModel model;
    for (size_t id = 0; id < spec_.tokens.size(); ++id) {
      std::string& token = spec_.tokens[id];
      if (TypeOf(id) != TokenType::kNormal || token.empty()) continue;
      token = token.starts_with(kSpaceMark) ? token.substr(kSpaceMark.size()) : model.continuing_prefix + token;
    }
    text::BertNormalizer normalizer;
    ASSIGN_OR_RETURN(normalizer.lowercase, file_.GetBoolOr("tokenizer.ggml.normalizer.lowercase", true));
    ASSIGN_OR_RETURN(normalizer.strip_accents, file_.GetBoolOr("tokenizer.ggml.normalizer.strip_accents", normalizer.lowercase));
    spec_.normalizers = {normalizer};
    spec_.pre_tokenizers = {text::BertSplit{}};
    spec_.decoders = {text::WordPieceDecoder{}};
    spec_.model = std::move(model);
    Defaults defaults;
    ASSIGN_OR_RETURN(defaults.bos, Id("tokenizer.ggml.cls_token_id", 101));
    defaults.unk = 100;
    defaults.pad = 0;
    defaults.add_bos = true;
    RETURN_IF_ERROR(ReadSpecials(defaults));
    ASSIGN_OR_RETURN(const bool add_sep, file_.GetBoolOr("tokenizer.ggml.add_sep_token", true));
    ASSIGN_OR_RETURN(const auto separator, Id("tokenizer.ggml.seperator_token_id", 102));  // the key is spelled so
    if (add_sep && separator) spec_.suffix = {*separator};
    return {};
  }

  TokenType TypeOf(size_t id) const { return spec_.token_types.empty() ? TokenType::kNormal : spec_.token_types[id]; }
  static bool IsAdded(TokenType type) {
    return type == TokenType::kControl || type == TokenType::kUserDefined || type == TokenType::kUnknown;
  }

  // Phi-3's special tokens take the white space after them along, but for three; the files do not say so.
  Status MarkPhi3() {
    std::string name;
    if (file_.Has("general.name")) {
      ASSIGN_OR_RETURN(const auto given, file_.GetString("general.name"));
      name = given;
      std::transform(name.begin(), name.end(), name.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    }
    if (name.find("phi-3") == std::string::npos && name.find("phi3") == std::string::npos) return {};
    for (size_t id = 0; id < spec_.tokens.size(); ++id) {
      const std::string& token = spec_.tokens[id];
      if (!IsAdded(TypeOf(id)) || token.empty() || token == "<unk>" || token == "<s>" || token == "<|endoftext|>") continue;
      spec_.added.push_back({.id = static_cast<TokenId>(id), .rstrip = true});
    }
    return {};
  }

  // The mask token of these models takes the white space before it along.
  Status MarkLeftStripping(std::string_view pre) {
    std::string_view architecture;
    if (file_.Has("general.architecture")) {
      ASSIGN_OR_RETURN(architecture, file_.GetString("general.architecture"));
    }
    std::string_view mask;
    const bool jina = pre == "jina-v2-de" || pre == "jina-v2-es" || pre == "jina-v2-code";
    if (jina || architecture == "nomic-bert-moe" || architecture == "jina-bert-v3") mask = "<mask>";
    if (architecture == "modern-bert") mask = "[MASK]";
    for (size_t id = 0; !mask.empty() && id < spec_.tokens.size(); ++id) {
      if (spec_.tokens[id] == mask && IsAdded(TypeOf(id)))
        spec_.added.push_back({.id = static_cast<TokenId>(id), .lstrip = true});
    }
    return {};
  }

  const GgufFile& file_;
  TokenizerSpec& spec_;
};

}  // namespace

Result<TokenizerSpec> TokenizerSpecFromGguf(const GgufFile& file, uint32_t vocab) {
  if (!file.Has("tokenizer.ggml.model")) return Error(Code::kNotFound, "metadata 'tokenizer.ggml.model': missing");
  ASSIGN_OR_RETURN(const auto kind, file.GetString("tokenizer.ggml.model"));
  const Reader::Read read = Reader::ByKind(kind);
  if (read == nullptr) {
    return Error(
        Code::kUnsupported,
        "metadata 'tokenizer.ggml.model': '{}' is not supported; this build knows: gpt2 (byte-level BPE), llama (SentencePiece "
        "BPE), gemma4 (BPE over text), t5 (unigram), bert (WordPiece)",
        weights::ShownText(kind));
  }
  TokenizerSpec spec;
  constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
  ASSIGN_OR_RETURN(spec.tokens, CopyStrings(file, kTokens, text::kMaxVocabularyTokens));
  if (spec.tokens.size() != vocab) {
    return Error(Code::kDataLoss, "metadata '{}': {} tokens, but the model's embedding has {} rows", kTokens, spec.tokens.size(),
                 vocab);
  }
  RETURN_IF_ERROR(ReadTokenTypes(file, spec));
  Reader reader(file, spec);
  RETURN_IF_ERROR((reader.*read)());
  return spec;
}

}  // namespace millrace::model
