#include "model/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/tokenizer_json_steps.h"
#include "model/turn_ends.h"
#include "text/vocabulary.h"
#include "weights/shown_text.h"

namespace millrace::model {

namespace {

using text::TokenizerSpec;
using text::TokenType;
using weights::ShownText;

// Gemma's file, the largest known, has 33 MB, 262,144 tokens and 514,906 merges as pairs.
constexpr JsonLimits kTokenizerLimits{.max_bytes = size_t{64} << 20, .max_values = 4'000'000, .max_depth = 32};
constexpr JsonLimits kSmallLimits{.max_bytes = size_t{8} << 20, .max_values = 200'000, .max_depth = 32};

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

Result<TokenId> IdOf(const Json& value, std::string_view what, size_t limit) {
  const auto id = value.is_integer() ? value.as_uint64() : Result<uint64_t>(Status(Code::kDataLoss, "no integer"));
  if (!id.ok() || *id >= limit) {
    return Error(Code::kDataLoss, "{}: id {}, expected a whole number below {}, the rows of the embedding", what,
                 ShownText(value.Write()), limit);
  }
  return static_cast<TokenId>(*id);
}

// The tokens of the model and those added to them.
class TokenTable {
 public:
  TokenTable(std::optional<uint32_t> rows, TokenizerSpec& spec) : limit_(rows.value_or(text::kMaxVocabularyTokens)), spec_(spec) {
    if (rows) Grow(*rows);
  }

  // A token of the model's own vocabulary. `text` outlives the table.
  Status AddModelToken(const std::string& text, TokenId id) {
    RETURN_IF_ERROR(Place(id, text, TokenType::kNormal));
    ids_.emplace(text, id);
    ++model_tokens_;
    return {};
  }

  // An id of the model's own vocabulary; kNoToken where it has none.
  TokenId FindInModel(std::string_view text) const {
    const auto at = ids_.find(text);
    return at == ids_.end() ? kNoToken : at->second;
  }
  TokenId Find(std::string_view text) const {
    const TokenId id = FindInModel(text);
    if (id != kNoToken) return id;
    const auto at = added_.find(std::string(text));
    return at == added_.end() ? kNoToken : spec_.added[at->second].id;
  }
  bool IsAdded(std::string_view text) const { return added_.contains(std::string(text)); }

  // Before tokens that the package would add in one call: new ones get ids from here.
  void BeginCall() { next_ = last_added_ >= model_tokens_ || model_tokens_ == 0 ? last_added_ + 1 : model_tokens_; }

  // As add_tokens of the package: a text that has an id keeps it, another gets the next one. `expected`: the id that a file names.
  Status Add(const std::string& text, text::AddedToken token, bool special, std::optional<TokenId> expected) {
    token.in_model = FindInModel(text) != kNoToken;
    token.id = Find(text);
    if (token.id == kNoToken) token.id = static_cast<TokenId>(next_++);
    if (expected && *expected != token.id) {
      return Error(Code::kUnsupported, "'{}': the file says id {}, which `tokenizers` does not follow: it gives {}",
                   ShownText(text), *expected, token.id);
    }
    if (static_cast<size_t>(token.id) >= limit_) {
      return Error(Code::kDataLoss, "'{}': id {}, expected a whole number below {}, the rows of the embedding", ShownText(text),
                   token.id, limit_);
    }
    RETURN_IF_ERROR(Place(token.id, text, special ? TokenType::kControl : TokenType::kUserDefined));
    last_added_ = std::max<int64_t>(last_added_, token.id);
    const auto [at, is_new] = added_.emplace(text, spec_.added.size());
    if (is_new) {
      spec_.added.push_back(token);
    } else {
      spec_.added[at->second] = token;
    }
    return {};
  }

  size_t limit() const { return limit_; }

 private:
  void Grow(size_t size) {
    if (spec_.tokens.size() >= size) return;
    spec_.tokens.resize(size);
    spec_.token_types.resize(size, TokenType::kUnused);
  }

  // A token that stands twice must be the same both times; the added one says what kind it is.
  Status Place(TokenId id, const std::string& token, TokenType type) {
    Grow(static_cast<size_t>(id) + 1);
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

  const size_t limit_;
  TokenizerSpec& spec_;
  std::unordered_map<std::string_view, TokenId> ids_;
  std::unordered_map<std::string, size_t> added_;  // places in spec_.added
  int64_t model_tokens_ = 0;
  int64_t last_added_ = -1;
  int64_t next_ = 0;
  size_t bytes_ = 0;
};

// "model" of tokenizer.json.
class ModelReader {
 public:
  ModelReader(const Json& model, TokenTable& table, TokenizerSpec& spec) : model_(model), table_(table), spec_(spec) {}

  Status Read() {
    const std::string_view type = Type();
    if (type == "BPE") return ReadBpe();
    if (ByteLevel()) {
      return Error(Code::kUnsupported, "'pre_tokenizer': ByteLevel with a model of the type '{}', expected BPE", ShownText(type));
    }
    if (type == "WordPiece") return ReadWordPiece();
    if (type == "Unigram") return ReadUnigram();
    if (type == "WordLevel") {
      RETURN_IF_ERROR(ReadVocabulary());
      spec_.model = text::WordLevelModel{};
      return ReadUnknown(true);
    }
    return UnsupportedMember("model.type", *model_.Find("type"), "BPE, Unigram, WordPiece or WordLevel");
  }

 private:
  // Files of old versions do not name it: the first that the members fit.
  std::string_view Type() const {
    if (!IsAbsent(model_.Find("type"))) return Text(model_, "type");
    if (model_.Find("merges") != nullptr) return "BPE";
    if (model_.Find("max_input_chars_per_word") != nullptr) return "WordPiece";
    return model_.Find("unk_token") != nullptr ? "WordLevel" : "Unigram";
  }

  bool ByteLevel() const {
    return std::any_of(spec_.pre_tokenizers.begin(), spec_.pre_tokenizers.end(),
                       [](const auto& step) { return std::holds_alternative<text::ByteLevelSplit>(step); });
  }

  Status ReadVocabulary() {
    const Json* table = model_.Find("vocab");
    if (table == nullptr || !table->is_object()) return Error(Code::kDataLoss, "'model.vocab': expected an object");
    for (const auto& [token, value] : table->members()) {
      const auto id = IdOf(value, "'model.vocab'", table_.limit());
      if (!id.ok()) return id.status().Within(fmt::format("token '{}'", ShownText(token)));
      RETURN_IF_ERROR(table_.AddModelToken(token, *id));
    }
    return {};
  }

  Status ReadUnknown(bool needed) {
    const Json* unknown = model_.Find("unk_token");
    if (IsAbsent(unknown) && !needed) return {};
    const std::string_view text = Text(model_, "unk_token");
    const TokenId id = table_.FindInModel(text);
    if (id != kNoToken) {
      spec_.unk = id;
      return {};
    }
    // A byte-level vocabulary has all bytes as a rule; the package fails only where one is missing.
    if (!needed && ByteLevel()) return {};
    return Error(Code::kUnsupported, "'model.unk_token': {}, expected a token of 'model.vocab'",
                 unknown == nullptr ? std::string("missing") : ShownText(unknown->Write()));
  }

  // A string, empty where it is absent.
  Result<std::string> OptionalText(std::string_view key) const {
    const Json* value = model_.Find(key);
    if (IsAbsent(value)) return std::string();
    if (!value->is_string()) return Error(Code::kDataLoss, "'model.{}': {}, expected a string", key, ShownText(value->Write()));
    return value->as_string();
  }

  Status ReadBpe() {
    text::BpeModel bpe;
    bpe.byte_level = ByteLevel();
    if (const Json* dropout = model_.Find("dropout");
        !IsAbsent(dropout) && !(dropout->is_number() && dropout->as_double() == 0)) {
      return UnsupportedMember("model.dropout", *dropout, "none");
    }
    ASSIGN_OR_RETURN(bpe.continuing_prefix, OptionalText("continuing_subword_prefix"));
    ASSIGN_OR_RETURN(bpe.end_suffix, OptionalText("end_of_word_suffix"));
    ASSIGN_OR_RETURN(bpe.byte_fallback, Flag(model_, "model", "byte_fallback", false));
    ASSIGN_OR_RETURN(bpe.fuse_unknown, Flag(model_, "model", "fuse_unk", false));
    ASSIGN_OR_RETURN(bpe.ignore_merges, Flag(model_, "model", "ignore_merges", false));
    RETURN_IF_ERROR(ReadVocabulary());
    RETURN_IF_ERROR(ReadUnknown(false));
    RETURN_IF_ERROR(ReadMerges(bpe));
    spec_.model = std::move(bpe);
    return {};
  }

  Status ReadMerges(text::BpeModel& bpe) const {
    const Json* list = model_.Find("merges");
    if (list == nullptr || !list->is_array()) return Error(Code::kDataLoss, "'model.merges': expected an array");
    if (list->items().size() > text::kMaxVocabularyMerges) {
      return Error(Code::kResourceExhausted, "'model.merges': {} merges, expected at most {}", list->items().size(),
                   text::kMaxVocabularyMerges);
    }
    bpe.merges.reserve(list->items().size());
    const bool as_text = !list->items().empty() && list->items().front().is_string();
    for (const Json& item : list->items()) {
      // Lines of a merges.txt may begin with its version.
      if (as_text && item.is_string() && item.as_string().starts_with("#version")) continue;
      auto merge = as_text ? MergeOfText(item) : MergeOfPair(item);
      if (!merge) {
        return Error(Code::kDataLoss,
                     "'model.merges': merge {}: expected \"left right\" or [\"left\", \"right\"] as the others, found {}",
                     bpe.merges.size(), ShownText(item.Write()));
      }
      bpe.merges.push_back(*std::move(merge));
    }
    return {};
  }

  // "left right", one space in all.
  static std::optional<text::Merge> MergeOfText(const Json& item) {
    if (!item.is_string()) return std::nullopt;
    std::string text = item.as_string();
    const size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) return std::nullopt;
    text.erase(space, 1);
    return text::Merge{std::move(text), static_cast<uint32_t>(space)};
  }
  static std::optional<text::Merge> MergeOfPair(const Json& item) {
    if (!item.is_array() || item.items().size() != 2 || !item.items()[0].is_string() || !item.items()[1].is_string()) {
      return std::nullopt;
    }
    const std::string& left = item.items()[0].as_string();
    if (left.size() > text::kMaxTokenBytes) return std::nullopt;
    return text::Merge{left + item.items()[1].as_string(), static_cast<uint32_t>(left.size())};
  }

  Status ReadWordPiece() {
    text::WordPieceModel pieces;
    const Json* prefix = model_.Find("continuing_subword_prefix");
    if (prefix == nullptr || !prefix->is_string()) {
      return Error(Code::kDataLoss, "'model.continuing_subword_prefix': expected a string");
    }
    pieces.continuing_prefix = prefix->as_string();
    const Json* most = model_.Find("max_input_chars_per_word");
    const auto characters =
        most != nullptr && most->is_integer() ? most->as_uint64() : Result<uint64_t>(Status(Code::kDataLoss, ""));
    if (!characters.ok()) return Error(Code::kDataLoss, "'model.max_input_chars_per_word': expected a whole number");
    pieces.max_characters = static_cast<size_t>(*characters);
    RETURN_IF_ERROR(ReadVocabulary());
    spec_.model = std::move(pieces);
    return ReadUnknown(true);
  }

  // [["piece", score], …] by id.
  Status ReadUnigram() {
    text::UnigramModel unigram;
    ASSIGN_OR_RETURN(unigram.byte_fallback, Flag(model_, "model", "byte_fallback", false));
    const Json* list = model_.Find("vocab");
    if (list == nullptr || !list->is_array() || list->items().size() > table_.limit()) {
      return Error(Code::kDataLoss, "'model.vocab': expected an array of at most {} pieces and scores", table_.limit());
    }
    for (const Json& item : list->items()) {
      const bool fits = item.is_array() && item.items().size() == 2 && item.items()[0].is_string() && item.items()[1].is_number();
      if (!fits) {
        return Error(Code::kDataLoss, "'model.vocab': piece {}: expected [\"piece\", score], found {}", unigram.scores.size(),
                     ShownText(item.Write()));
      }
      RETURN_IF_ERROR(table_.AddModelToken(item.items()[0].as_string(), static_cast<TokenId>(unigram.scores.size())));
      unigram.scores.push_back(item.items()[1].as_double());
    }
    const Json* unknown = model_.Find("unk_id");
    if (IsAbsent(unknown)) return Error(Code::kUnsupported, "'model.unk_id': none, expected that of the unknown token");
    ASSIGN_OR_RETURN(spec_.unk, IdOf(*unknown, "'model.unk_id'", unigram.scores.size()));
    spec_.model = std::move(unigram);
    return {};
  }

  const Json& model_;
  TokenTable& table_;
  TokenizerSpec& spec_;
};

// An added token as tokenizer.json and tokenizer_config.json write it.
Status AddFromJson(const Json& entry, std::string_view path, std::optional<TokenId> expected, bool special_at_least,
                   TokenTable& table) {
  const Json* content = entry.Find("content");
  if (content == nullptr || !content->is_string()) {
    return Error(Code::kDataLoss, "'{}': expected a content, found {}", path, ShownText(entry.Write()));
  }
  if (content->as_string().empty()) return {};  // the package passes it over
  text::AddedToken token;
  ASSIGN_OR_RETURN(const bool says_special, Flag(entry, path, "special", false));
  const bool special = says_special || special_at_least;
  ASSIGN_OR_RETURN(token.single_word, Flag(entry, path, "single_word", false));
  ASSIGN_OR_RETURN(token.lstrip, Flag(entry, path, "lstrip", false));
  ASSIGN_OR_RETURN(token.rstrip, Flag(entry, path, "rstrip", false));
  ASSIGN_OR_RETURN(token.normalized, Flag(entry, path, "normalized", !special));
  const Status added = table.Add(content->as_string(), token, special, expected);
  return added.ok() ? added : added.Within(fmt::format("'{}'", path));
}

Status ReadAddedTokens(const Json& root, TokenTable& table) {
  const Json* list = root.Find("added_tokens");
  if (IsAbsent(list)) return {};
  if (!list->is_array()) return Error(Code::kDataLoss, "'added_tokens': expected an array");
  table.BeginCall();
  for (const Json& entry : list->items()) {
    const Json* id = entry.Find("id");
    if (id == nullptr) return Error(Code::kDataLoss, "'added_tokens': expected an id, found {}", ShownText(entry.Write()));
    ASSIGN_OR_RETURN(const TokenId expected, IdOf(*id, "'added_tokens'", table.limit()));
    RETURN_IF_ERROR(AddFromJson(entry, "added_tokens", expected, false, table));
  }
  return {};
}

Status ReadTokenizer(const Json& root, TokenTable& table, TokenizerSpec& spec) {
  const Json* version = root.Find("version");
  if (version != nullptr && *version != Json("1.0")) return UnsupportedMember("version", *version, "\"1.0\"");
  RETURN_IF_ERROR(ReadNormalizersAndPreTokenizers(root, spec));
  RETURN_IF_ERROR(ReadDecoders(root, spec));
  const Json* model = root.Find("model");
  if (model == nullptr || !model->is_object()) return Error(Code::kDataLoss, "'model': expected an object");
  RETURN_IF_ERROR(ModelReader(*model, table, spec).Read());
  RETURN_IF_ERROR(ReadAddedTokens(root, table));
  if (auto* unigram = std::get_if<text::UnigramModel>(&spec.model)) unigram->scores.resize(spec.tokens.size());
  return ReadPostProcessor(root, spec.tokens.size(), spec);
}

// A special token as tokenizer_config.json writes it: its text, or an object with its content.
std::string_view TokenText(const Json& value) {
  if (value.is_string()) return value.as_string();
  return Text(value, "content");
}

// Adds what the small files name and tokenizer.json does not have as special tokens.
Status AddNamed(const Json& value, std::string_view path, TokenTable& table) {
  const Json* content = value.is_object() ? value.Find("content") : &value;
  if (content == nullptr || !content->is_string()) {
    return Error(Code::kDataLoss, "'{}': {}, expected a text or an object with a content", path, ShownText(value.Write()));
  }
  const std::string& text = content->as_string();
  if (text.empty() || table.IsAdded(text)) return {};
  if (value.is_object()) return AddFromJson(value, path, std::nullopt, true, table);
  const Status added = table.Add(text, {}, true, std::nullopt);
  return added.ok() ? added : added.Within(fmt::format("'{}'", path));
}

// "added_tokens_decoder" by id; what it says of a token comes before what tokenizer.json says.
Status ReadAddedTokensDecoder(const Json& config, TokenTable& table) {
  const Json* list = config.Find("added_tokens_decoder");
  if (IsAbsent(list)) return {};
  if (!list->is_object()) return Error(Code::kDataLoss, "'added_tokens_decoder': expected an object");
  std::vector<std::pair<TokenId, const Json*>> entries;
  for (const auto& [key, entry] : list->members()) {
    const auto number = Json::Parse(key);
    if (!number.ok()) return Error(Code::kDataLoss, "'added_tokens_decoder': '{}', expected an id", ShownText(key));
    ASSIGN_OR_RETURN(const TokenId id, IdOf(*number, "'added_tokens_decoder'", table.limit()));
    entries.emplace_back(id, &entry);
  }
  std::sort(entries.begin(), entries.end());
  for (const auto& [id, entry] : entries) RETURN_IF_ERROR(AddFromJson(*entry, "added_tokens_decoder", id, false, table));
  return {};
}

Status ReadSpecials(const Json& config, const Json& map, TokenTable& table, TokenizerSpec& spec) {
  std::optional<TokenId> ignored;
  const std::array<std::pair<std::string_view, std::optional<TokenId>*>, 7> wanted = {{{"bos_token", &spec.bos},
                                                                                       {"eos_token", &spec.eos},
                                                                                       {"unk_token", &ignored},
                                                                                       {"sep_token", &ignored},
                                                                                       {"pad_token", &spec.pad},
                                                                                       {"cls_token", &ignored},
                                                                                       {"mask_token", &ignored}}};
  for (const auto& [key, id] : wanted) {
    const Json* value = config.Find(key);
    if (IsAbsent(value)) value = map.Find(key);
    if (IsAbsent(value)) continue;
    RETURN_IF_ERROR(AddNamed(*value, key, table));
    const TokenId found = table.Find(TokenText(*value));
    if (found != kNoToken) *id = found;
  }
  for (const std::string_view key : {"additional_special_tokens", "extra_special_tokens"}) {
    const Json* list = config.Find(key);
    if (IsAbsent(list)) list = map.Find(key);
    if (IsAbsent(list)) continue;
    if (list->is_array()) {
      for (const Json& value : list->items()) RETURN_IF_ERROR(AddNamed(value, key, table));
    } else if (list->is_object()) {
      for (const auto& [name, value] : list->members()) RETURN_IF_ERROR(AddNamed(value, key, table));
    } else {
      return Error(Code::kDataLoss, "'{}': {}, expected an array or an object of tokens", key, ShownText(list->Write()));
    }
  }
  return {};
}

Status ReadCleanUp(const Json& config, TokenizerSpec& spec) {
  constexpr std::string_view kForBpe = "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output";
  ASSIGN_OR_RETURN(spec.clean_up_spaces, Flag(config, "tokenizer_config", "clean_up_tokenization_spaces", false));
  ASSIGN_OR_RETURN(const bool for_bpe, Flag(config, "tokenizer_config", kForBpe, false));
  if (std::holds_alternative<text::BpeModel>(spec.model) && !for_bpe) spec.clean_up_spaces = false;
  return {};
}

// One id or several.
Status ReadEnds(const Json* value, TokenizerSpec& spec) {
  if (IsAbsent(value)) return {};
  const Json::Array one = value->is_array() ? Json::Array() : Json::Array{*value};
  for (const Json& item : value->is_array() ? value->items() : one) {
    ASSIGN_OR_RETURN(const TokenId id, IdOf(item, "'eos_token_id'", spec.tokens.size()));
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

Result<TokenizerSpec> TokenizerSpecFromJson(const TokenizerFiles& files, const Json* config_eos, std::optional<uint32_t> rows) {
  if (files.tokenizer.name.empty()) return Error(Code::kNotFound, "{}: missing", kTokenizerFile);
  if (rows && *rows > text::kMaxVocabularyTokens) {
    return Error(Code::kResourceExhausted, "{} tokens, expected at most {}", *rows, text::kMaxVocabularyTokens);
  }
  ASSIGN_OR_RETURN(const Json config, ParseSmallJson(files.tokenizer_config));
  ASSIGN_OR_RETURN(const Json map, ParseSmallJson(files.special_tokens));
  TokenizerSpec spec;
  {
    auto root = Json::Parse(files.tokenizer.text(), kTokenizerLimits);
    if (!root.ok()) return root.status().Within(files.tokenizer.name);
    if (!root->is_object()) {
      return Error(Code::kDataLoss, "{}: expected an object, found {}", files.tokenizer.name, root->type_name());
    }
    TokenTable table(rows, spec);
    const Status read = ReadTokenizer(*root, table, spec);
    if (!read.ok()) return read.Within(files.tokenizer.name);
    table.BeginCall();
    Status named = ReadAddedTokensDecoder(config, table);
    if (named.ok()) named = ReadSpecials(config, map, table, spec);
    if (named.ok()) named = ReadCleanUp(config, spec);
    if (!named.ok()) return named.Within(files.tokenizer_config.name.empty() ? kSpecialTokensFile : kTokenizerConfigFile);
  }
  if (auto* unigram = std::get_if<text::UnigramModel>(&spec.model)) unigram->scores.resize(spec.tokens.size());
  if (spec.eos) spec.end_of_sequence.push_back(*spec.eos);
  ASSIGN_OR_RETURN(const Json generation, ParseSmallJson(files.generation_config));
  const bool has_generation = !files.generation_config.name.empty();
  const Status ends = ReadEnds(has_generation ? generation.Find("eos_token_id") : config_eos, spec);
  if (!ends.ok()) return ends.Within(has_generation ? kGenerationConfigFile : kConfigFile);
  AddTurnEnds(spec);
  return spec;
}

}  // namespace millrace::model
