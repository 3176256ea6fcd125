#include "model/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "model/turn_ends.h"
#include "text/named_pretokenizer.h"
#include "weights/shown_text.h"

namespace millrace::model {

namespace {

using text::TokenizerSpec;
using text::TokenType;
using weights::ShownText;

// Gemma's file, the largest known, has 33 MB, 262,144 tokens and 514,906 merges as pairs.
constexpr JsonLimits kTokenizerLimits{.max_bytes = size_t{64} << 20, .max_values = 4'000'000, .max_depth = 32};
constexpr JsonLimits kSmallLimits{.max_bytes = size_t{8} << 20, .max_values = 200'000, .max_depth = 32};
constexpr size_t kMaxSteps = 8;

// What ByteLevel cuts by where "use_regex" is set.
constexpr std::string_view kByteLevelPattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

Status Unsupported(std::string_view path, const Json& found, std::string_view expected) {
  return Error(Code::kUnsupported, "'{}': {} is not supported, expected {}", path, ShownText(found.Write()), expected);
}

bool IsAbsent(const Json* value) { return value == nullptr || value->is_null(); }

// The string member `key`, empty where it is absent or of another type.
std::string_view Text(const Json& object, std::string_view key) {
  const Json* value = object.Find(key);
  return value != nullptr && value->is_string() ? std::string_view(value->as_string()) : std::string_view();
}

// True or false; `fallback` where it is absent.
Result<bool> Flag(const Json& object, std::string_view path, std::string_view key, bool fallback) {
  const Json* value = object.Find(key);
  if (IsAbsent(value)) return fallback;
  if (!value->is_bool()) return Error(Code::kInvalidArgument, "'{}.{}': expected true or false", path, key);
  return value->as_bool();
}

Result<TokenId> IdOf(const Json& value, std::string_view what, uint32_t vocab) {
  const auto id = value.is_integer() ? value.as_uint64() : Result<uint64_t>(Status(Code::kDataLoss, "no integer"));
  if (!id.ok() || *id >= vocab) {
    return Error(Code::kDataLoss, "{}: id {}, expected a whole number below {}, the rows of the embedding", what,
                 ShownText(value.Write()), vocab);
  }
  return static_cast<TokenId>(*id);
}

// Steps that may be one or a "Sequence" of several under `list_key`.
Result<std::vector<const Json*>> Steps(const Json& root, std::string_view path, std::string_view list_key) {
  std::vector<const Json*> steps;
  const Json* value = root.Find(path);
  if (IsAbsent(value)) return steps;
  if (Text(*value, "type") != "Sequence") {
    steps.push_back(value);
    return steps;
  }
  const Json* list = value->Find(list_key);
  if (list == nullptr || !list->is_array() || list->items().size() > kMaxSteps) {
    return Error(Code::kDataLoss, "'{}.{}': expected an array of at most {} steps", path, list_key, kMaxSteps);
  }
  for (const Json& item : list->items()) steps.push_back(&item);
  return steps;
}

class TokenizerReader {
 public:
  TokenizerReader(const Json& root, uint32_t vocab, TokenizerSpec& spec) : root_(root), vocab_(vocab), spec_(spec) {}

  Status Read() {
    model_.byte_level = true;
    spec_.decoders = {text::ByteLevelDecoder{}};
    spec_.tokens.resize(vocab_);
    spec_.token_types.assign(vocab_, TokenType::kUnused);
    RETURN_IF_ERROR(ReadNormalizer());
    RETURN_IF_ERROR(ReadModel());
    RETURN_IF_ERROR(ReadPreTokenizer());
    RETURN_IF_ERROR(ReadAddedTokens());
    RETURN_IF_ERROR(ReadPostProcessor());
    model_.ignore_merges = ignore_merges_;
    spec_.model = std::move(model_);
    return {};
  }

 private:
  Status ReadNormalizer() const {
    ASSIGN_OR_RETURN(const auto steps, Steps(root_, "normalizer", "normalizers"));
    for (const Json* step : steps) {
      if (Text(*step, "type") != "NFC") return Unsupported("normalizer", *step, "NFC or none");
    }
    return {};
  }

  Status ReadModel() {
    const Json* model = root_.Find("model");
    if (model == nullptr || !model->is_object()) return Error(Code::kDataLoss, "'model': expected an object");
    // Files of old versions do not name the type of a model with merges.
    const Json* type = model->Find("type");
    if (!IsAbsent(type) && Text(*model, "type") != "BPE") return Unsupported("model.type", *type, "\"BPE\" (byte-level)");
    for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const Json* value = model->Find(key);
      if (!IsAbsent(value) && *value != Json("")) return Unsupported(fmt::format("model.{}", key), *value, "none");
    }
    if (const Json* dropout = model->Find("dropout");
        !IsAbsent(dropout) && !(dropout->is_number() && dropout->as_double() == 0)) {
      return Unsupported("model.dropout", *dropout, "none");
    }
    ASSIGN_OR_RETURN(const bool fallback, Flag(*model, "model", "byte_fallback", false));
    if (fallback) return Unsupported("model.byte_fallback", Json(true), "false: this build knows byte-level BPE");
    ASSIGN_OR_RETURN(ignore_merges_, Flag(*model, "model", "ignore_merges", false));
    RETURN_IF_ERROR(ReadTokens(*model));
    return ReadMerges(*model);
  }

  Status ReadTokens(const Json& model) {
    const Json* table = model.Find("vocab");
    if (table == nullptr || !table->is_object()) return Error(Code::kDataLoss, "'model.vocab': expected an object");
    for (const auto& [token, value] : table->members()) {
      const auto id = IdOf(value, "'model.vocab'", vocab_);
      if (!id.ok()) return id.status().Within(fmt::format("token '{}'", ShownText(token)));
      RETURN_IF_ERROR(Place(*id, token, TokenType::kNormal));
    }
    return {};
  }

  // A token that stands twice must be the same both times; the added one says what kind it is.
  Status Place(TokenId id, const std::string& token, TokenType type) {
    std::string& place = spec_.tokens[static_cast<size_t>(id)];
    TokenType& kind = spec_.token_types[static_cast<size_t>(id)];
    if (kind != TokenType::kUnused && place != token) {
      return Error(Code::kDataLoss, "id {} is that of two tokens, '{}' and '{}'", id, ShownText(place), ShownText(token));
    }
    bytes_ += place.empty() ? token.size() : 0;
    if (bytes_ > text::kMaxVocabularyBytes) {
      return Error(Code::kResourceExhausted, "the tokens' texts pass {} bytes", text::kMaxVocabularyBytes);
    }
    place = token;
    kind = type;
    return {};
  }

  Status ReadMerges(const Json& model) {
    const Json* list = model.Find("merges");
    if (list == nullptr || !list->is_array()) return Error(Code::kDataLoss, "'model.merges': expected an array");
    if (list->items().size() > text::kMaxVocabularyMerges) {
      return Error(Code::kResourceExhausted, "'model.merges': {} merges, expected at most {}", list->items().size(),
                   text::kMaxVocabularyMerges);
    }
    model_.merges.reserve(list->items().size());
    for (const Json& item : list->items()) {
      const auto merge = MergeOf(item);
      if (!merge) {
        return Error(Code::kDataLoss, "'model.merges': merge {}: expected \"left right\" or [\"left\", \"right\"], found {}",
                     model_.merges.size(), ShownText(item.Write()));
      }
      model_.merges.push_back(*merge);
    }
    return {};
  }

  // "left right", or the two in an array. Spaces are letters of no byte-level token.
  static std::optional<text::Merge> MergeOf(const Json& item) {
    std::string text;
    if (item.is_string()) {
      text = item.as_string();
    } else if (item.is_array() && item.items().size() == 2 && item.items()[0].is_string() && item.items()[1].is_string()) {
      text = item.items()[0].as_string() + " " + item.items()[1].as_string();
    }
    const size_t space = text.find(' ');
    const bool two =
        space != std::string::npos && space > 0 && space + 1 < text.size() && text.find(' ', space + 1) == std::string::npos;
    if (!two) return std::nullopt;
    text.erase(space, 1);
    return text::Merge{std::move(text), static_cast<uint32_t>(space)};
  }

  Status ReadPreTokenizer() {
    ASSIGN_OR_RETURN(const auto steps, Steps(root_, "pre_tokenizer", "pretokenizers"));
    std::vector<std::string> patterns;
    bool byte_level = false;
    for (const Json* step : steps) {
      if (byte_level) return Unsupported("pre_tokenizer", *step, "ByteLevel as the last step");
      ASSIGN_OR_RETURN(const std::string pattern, PatternOf(*step));
      byte_level = Text(*step, "type") == "ByteLevel";
      if (!pattern.empty()) patterns.push_back(pattern);
    }
    if (!byte_level) {
      return Error(Code::kUnsupported, "'pre_tokenizer': expected ByteLevel as the last step; this build knows byte-level BPE");
    }
    if (const auto name = text::NamedPreTokenizer::NameOf(patterns, ignore_merges_); !name.ok()) {
      return name.status().Within("'pre_tokenizer'");
    }
    for (const std::string& pattern : patterns) spec_.pre_tokenizers.emplace_back(text::PatternSplit{{pattern, true}});
    spec_.pre_tokenizers.emplace_back(text::ByteLevelSplit{.use_regex = false});
    return {};
  }

  // What the step cuts by; empty where it cuts nothing.
  static Result<std::string> PatternOf(const Json& step) {
    const std::string_view type = Text(step, "type");
    constexpr std::string_view kPath = "pre_tokenizer";
    if (type == "ByteLevel") {
      ASSIGN_OR_RETURN(const bool space, Flag(step, kPath, "add_prefix_space", true));
      if (space) return Unsupported("pre_tokenizer.add_prefix_space", Json(true), "false");
      ASSIGN_OR_RETURN(const bool cuts, Flag(step, kPath, "use_regex", true));
      return std::string(cuts ? kByteLevelPattern : std::string_view());
    }
    if (type == "Digits") {
      ASSIGN_OR_RETURN(const bool single, Flag(step, kPath, "individual_digits", false));
      return std::string(single ? R"(\p{N})" : R"(\p{N}+)");
    }
    if (type == "Split") {
      const Json* pattern = step.Find("pattern");
      const std::string_view regex = pattern == nullptr ? std::string_view() : Text(*pattern, "Regex");
      ASSIGN_OR_RETURN(const bool inverted, Flag(step, kPath, "invert", false));
      if (!regex.empty() && Text(step, "behavior") == "Isolated" && !inverted) return std::string(regex);
    }
    return Unsupported(kPath, step, "ByteLevel, Digits, or Split by a Regex with behavior Isolated");
  }

  Status ReadAddedTokens() {
    const Json* list = root_.Find("added_tokens");
    if (IsAbsent(list)) return {};
    if (!list->is_array()) return Error(Code::kDataLoss, "'added_tokens': expected an array");
    for (const Json& entry : list->items()) {
      const Json* id = entry.Find("id");
      const std::string content(Text(entry, "content"));
      if (id == nullptr || content.empty()) {
        return Error(Code::kDataLoss, "'added_tokens': expected an id and a content, found {}", ShownText(entry.Write()));
      }
      const std::string where = fmt::format("'added_tokens' '{}'", ShownText(content));
      for (const std::string_view key : {"lstrip", "rstrip", "single_word"}) {
        ASSIGN_OR_RETURN(const bool set, Flag(entry, "added_tokens", key, false));
        if (set) return Error(Code::kUnsupported, "{}: {} is not supported", where, key);
      }
      ASSIGN_OR_RETURN(const bool special, Flag(entry, "added_tokens", "special", false));
      ASSIGN_OR_RETURN(const TokenId place, IdOf(*id, where, vocab_));
      RETURN_IF_ERROR(Place(place, content, special ? TokenType::kControl : TokenType::kUserDefined));
    }
    return {};
  }

  // TemplateProcessing may put special tokens around the text: one before it is the beginning of sequence.
  Status ReadPostProcessor() {
    ASSIGN_OR_RETURN(const auto steps, Steps(root_, "post_processor", "processors"));
    for (const Json* step : steps) {
      const std::string_view type = Text(*step, "type");
      if (type == "ByteLevel") continue;
      if (type != "TemplateProcessing") return Unsupported("post_processor", *step, "ByteLevel or TemplateProcessing");
      RETURN_IF_ERROR(ReadTemplateProcessing(*step));
    }
    return {};
  }

  Status ReadTemplateProcessing(const Json& step) {
    const Json* single = step.Find("single");
    if (single == nullptr || !single->is_array()) return Error(Code::kDataLoss, "'post_processor.single': expected an array");
    const auto& parts = single->items();
    const bool only_text = parts.size() == 1 && parts[0].Find("Sequence") != nullptr;
    if (only_text) return {};
    const Json* first = parts.size() == 2 ? parts[0].Find("SpecialToken") : nullptr;
    if (first == nullptr || parts[1].Find("Sequence") == nullptr) {
      return Unsupported("post_processor.single", *single, "the text, or one special token and the text");
    }
    const std::string_view name = Text(*first, "id");
    const auto at = std::find(spec_.tokens.begin(), spec_.tokens.end(), name);
    if (name.empty() || at == spec_.tokens.end()) {
      return Error(Code::kDataLoss, "'post_processor.single': '{}' is no token", ShownText(name));
    }
    spec_.bos = static_cast<TokenId>(at - spec_.tokens.begin());
    spec_.prefix = {*spec_.bos};
    return {};
  }

  const Json& root_;
  const uint32_t vocab_;
  TokenizerSpec& spec_;
  text::BpeModel model_;
  bool ignore_merges_ = false;
  size_t bytes_ = 0;
};

// A special token as tokenizer_config.json writes it: its text, or an object with its content.
std::string_view TokenText(const Json& object, std::string_view key) {
  const Json* value = object.Find(key);
  if (value == nullptr) return {};
  return value->is_object() ? Text(*value, "content") : Text(object, key);
}

Status ReadSpecials(const Json& config, const Json& map, TokenizerSpec& spec) {
  const std::array<std::pair<std::string_view, std::optional<TokenId>*>, 4> wanted = {
      {{"bos_token", &spec.bos}, {"eos_token", &spec.eos}, {"unk_token", &spec.unk}, {"pad_token", &spec.pad}}};
  for (const auto& [key, id] : wanted) {
    std::string_view token = TokenText(config, key);
    if (token.empty() && IsAbsent(config.Find(key))) token = TokenText(map, key);
    if (token.empty()) continue;
    const auto at = std::find(spec.tokens.begin(), spec.tokens.end(), token);
    if (at == spec.tokens.end()) {
      return Error(Code::kDataLoss, "'{}': '{}' is no token of {}", key, ShownText(token), kTokenizerFile);
    }
    *id = static_cast<TokenId>(at - spec.tokens.begin());
  }
  ASSIGN_OR_RETURN(const bool add_bos, Flag(config, "tokenizer_config", "add_bos_token", !spec.prefix.empty()));
  spec.prefix.clear();
  if (add_bos && spec.bos) spec.prefix = {*spec.bos};
  if (add_bos && !spec.bos) return Error(Code::kDataLoss, "'add_bos_token': set, but there is no bos_token");
  return {};
}

// One id or several.
Status ReadEnds(const Json* value, TokenizerSpec& spec) {
  if (IsAbsent(value)) return {};
  const auto vocab = static_cast<uint32_t>(spec.tokens.size());
  const Json::Array one = value->is_array() ? Json::Array() : Json::Array{*value};
  for (const Json& item : value->is_array() ? value->items() : one) {
    ASSIGN_OR_RETURN(const TokenId id, IdOf(item, "'eos_token_id'", vocab));
    spec.end_of_sequence.push_back(id);
  }
  return {};
}

}  // namespace

Result<Json> ParseSmallJson(const NamedFile& file) {
  if (file.name.empty()) return Json();
  auto json = Json::Parse(file.text(), kSmallLimits);
  if (!json.ok()) return json.status().Within(file.name);
  if (!json->is_object()) return Error(Code::kDataLoss, "{}: expected an object, found {}", file.name, json->type_name());
  return json;
}

Result<TokenizerSpec> TokenizerSpecFromJson(const TokenizerFiles& files, const Json* config_eos, uint32_t vocab) {
  if (files.tokenizer.name.empty()) return Error(Code::kNotFound, "{}: missing", kTokenizerFile);
  if (vocab > text::kMaxVocabularyTokens) {
    return Error(Code::kResourceExhausted, "{} tokens, expected at most {}", vocab, text::kMaxVocabularyTokens);
  }
  TokenizerSpec spec;
  {
    auto root = Json::Parse(files.tokenizer.text(), kTokenizerLimits);
    if (!root.ok()) return root.status().Within(files.tokenizer.name);
    if (!root->is_object()) {
      return Error(Code::kDataLoss, "{}: expected an object, found {}", files.tokenizer.name, root->type_name());
    }
    const Status read = TokenizerReader(*root, vocab, spec).Read();
    if (!read.ok()) return read.Within(files.tokenizer.name);
  }
  ASSIGN_OR_RETURN(const Json config, ParseSmallJson(files.tokenizer_config));
  ASSIGN_OR_RETURN(const Json map, ParseSmallJson(files.special_tokens));
  if (const Status specials = ReadSpecials(config, map, spec); !specials.ok()) {
    return specials.Within(files.tokenizer_config.name.empty() ? kTokenizerFile : kTokenizerConfigFile);
  }
  if (spec.eos) spec.end_of_sequence.push_back(*spec.eos);
  ASSIGN_OR_RETURN(const Json generation, ParseSmallJson(files.generation_config));
  const bool has_generation = !files.generation_config.name.empty();
  const Status ends = ReadEnds(has_generation ? generation.Find("eos_token_id") : config_eos, spec);
  if (!ends.ok()) return ends.Within(has_generation ? kGenerationConfigFile : kConfigFile);
  AddTurnEnds(spec);
  return spec;
}

}  // namespace millrace::model
