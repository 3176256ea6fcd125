#include "model/tokenizer_json_steps.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "text/vocabulary.h"
#include "weights/shown_text.h"

namespace millrace::model {

namespace {

using weights::ShownText;

bool IsAbsent(const Json* value) { return value == nullptr || value->is_null(); }

// One step of a member, and its path for messages.
class Step {
 public:
  Step(const Json& json, std::string path) : json_(&json), path_(std::move(path)) {}

  std::string_view type() const {
    const Json* type = json_->Find("type");
    return type != nullptr && type->is_string() ? std::string_view(type->as_string()) : std::string_view();
  }
  const Json& json() const { return *json_; }
  const std::string& path() const { return path_; }

  Status Wrong(std::string_view key, std::string_view expected) const {
    const Json* value = json_->Find(key);
    return Error(Code::kDataLoss, "'{}.{}': {}, expected {}", path_, key,
                 value == nullptr ? std::string("missing") : ShownText(value->Write()), expected);
  }
  Status Unsupported(std::string_view expected) const { return UnsupportedMember(path_, *json_, expected); }

  Result<bool> Bool(std::string_view key, std::optional<bool> fallback = std::nullopt) const {
    const Json* value = json_->Find(key);
    if (IsAbsent(value) && fallback) return *fallback;
    if (value == nullptr || !value->is_bool()) return Wrong(key, "true or false");
    return value->as_bool();
  }
  Result<std::string> Text(std::string_view key) const {
    const Json* value = json_->Find(key);
    if (value == nullptr || !value->is_string()) return Wrong(key, "a string");
    return value->as_string();
  }
  Result<std::string> Character(std::string_view key) const {
    ASSIGN_OR_RETURN(std::string text, Text(key));
    if (text.empty() || Utf8SequenceLength(text) != text.size()) return Wrong(key, "one character");
    return text;
  }
  Result<size_t> Count(std::string_view key) const {
    const Json* value = json_->Find(key);
    const auto count =
        value != nullptr && value->is_integer() ? value->as_uint64() : Result<uint64_t>(Status(Code::kDataLoss, ""));
    if (!count.ok()) return Wrong(key, "a whole number");
    return static_cast<size_t>(*count);
  }
  // {"String": "…"} or {"Regex": "…"}
  Result<text::Pattern> PatternMember() const {
    const Json* value = json_->Find("pattern");
    if (value != nullptr && value->is_object() && value->members().size() == 1 && value->members()[0].second.is_string()) {
      const auto& [kind, pattern] = value->members()[0];
      if (kind == "String") return text::Pattern{pattern.as_string(), false};
      if (kind == "Regex") return text::Pattern{pattern.as_string(), true};
    }
    return Wrong("pattern", "{\"String\": …} or {\"Regex\": …}");
  }

 private:
  const Json* json_;
  std::string path_;
};

// The steps of a member in their order: one, or those of a "Sequence" under `list_key`, which may hold sequences too.
Result<std::vector<Step>> StepsOf(const Json& root, const std::string& member, std::string_view list_key) {
  std::vector<Step> steps;
  const Json* value = root.Find(member);
  if (IsAbsent(value)) return steps;
  std::vector<Step> open = {Step(*value, member)};  // the next one last
  while (!open.empty()) {
    const Step step = std::move(open.back());
    open.pop_back();
    if (step.type() != "Sequence") {
      if (step.type().empty()) return step.Wrong("type", "the kind of the step");
      steps.push_back(step);
    } else {
      const Json* list = step.json().Find(list_key);
      if (list == nullptr || !list->is_array()) return step.Wrong(list_key, "an array of steps");
      for (size_t i = list->items().size(); i-- > 0 && open.size() <= kMaxTokenizerSteps;) {
        open.emplace_back(list->items()[i], fmt::format("{}.{}[{}]", step.path(), list_key, i));
      }
    }
    if (steps.size() + open.size() > kMaxTokenizerSteps) {
      return Error(Code::kUnsupported, "'{}': more than {} steps", member, kMaxTokenizerSteps);
    }
  }
  return steps;
}

// Standard base64 with padding; nothing where it is not that.
std::optional<std::string> FromBase64(std::string_view text) {
  const auto digit = [](char c) -> int {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
  };
  if (text.size() % 4 != 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  text.remove_suffix(padding);
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = digit(c);
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xFF);
  }
  if (count >= 6 || (bits & ((1U << count) - 1)) != 0) return std::nullopt;
  return out;
}

Result<std::optional<text::NormalizerStep>> UnicodeStepOf(std::string_view type) {
  using Form = text::UnicodeForm::Form;
  constexpr std::array<std::pair<std::string_view, Form>, 4> kForms = {
      {{"NFC", Form::kNfc}, {"NFD", Form::kNfd}, {"NFKC", Form::kNfkc}, {"NFKD", Form::kNfkd}}};
  for (const auto& [name, form] : kForms) {
    if (type == name) return std::optional<text::NormalizerStep>(text::UnicodeForm{form});
  }
  if (type == "Lowercase") return std::optional<text::NormalizerStep>(text::Lowercase{});
  if (type == "StripAccents") return std::optional<text::NormalizerStep>(text::StripAccents{});
  if (type == "Nmt") return std::optional<text::NormalizerStep>(text::NmtNormalizer{});
  return std::optional<text::NormalizerStep>();
}

Result<text::NormalizerStep> BertNormalizerOf(const Step& step) {
  text::BertNormalizer bert;
  ASSIGN_OR_RETURN(bert.clean_text, step.Bool("clean_text"));
  ASSIGN_OR_RETURN(bert.handle_chinese_chars, step.Bool("handle_chinese_chars"));
  ASSIGN_OR_RETURN(bert.lowercase, step.Bool("lowercase"));
  if (!IsAbsent(step.json().Find("strip_accents"))) {
    ASSIGN_OR_RETURN(bert.strip_accents, step.Bool("strip_accents"));
  }
  return text::NormalizerStep(bert);
}

Result<text::NormalizerStep> NormalizerOf(const Step& step) {
  const std::string_view type = step.type();
  ASSIGN_OR_RETURN(auto simple, UnicodeStepOf(type));
  if (simple) return *std::move(simple);
  if (type == "BertNormalizer") return BertNormalizerOf(step);
  if (type == "Strip") {
    text::StripSpace strip;
    ASSIGN_OR_RETURN(strip.left, step.Bool("strip_left"));
    ASSIGN_OR_RETURN(strip.right, step.Bool("strip_right"));
    return text::NormalizerStep(strip);
  }
  if (type == "Replace") {
    text::ReplaceText replace;
    ASSIGN_OR_RETURN(replace.pattern, step.PatternMember());
    ASSIGN_OR_RETURN(replace.content, step.Text("content"));
    return text::NormalizerStep(std::move(replace));
  }
  if (type == "Prepend") {
    ASSIGN_OR_RETURN(std::string content, step.Text("prepend"));
    return text::NormalizerStep(text::PrependText{std::move(content)});
  }
  if (type == "Precompiled") {
    ASSIGN_OR_RETURN(const std::string encoded, step.Text("precompiled_charsmap"));
    auto rules = FromBase64(encoded);
    if (!rules) return step.Wrong("precompiled_charsmap", "base64");
    return text::NormalizerStep(text::CompiledRules{*std::move(rules), true});
  }
  return step.Unsupported(
      "BertNormalizer, Strip, StripAccents, NFC, NFD, NFKC, NFKD, Lowercase, Nmt, Precompiled, Replace, Prepend or ByteLevel");
}

// "prepend_scheme"; "add_prefix_space" of older files, where false goes with "never" only.
Result<text::PrependScheme> SchemeOf(const Step& step) {
  const Json* value = step.json().Find("prepend_scheme");
  text::PrependScheme scheme = text::PrependScheme::kAlways;
  if (value != nullptr) {
    if (*value == Json("first")) {
      scheme = text::PrependScheme::kFirst;
    } else if (*value == Json("never")) {
      scheme = text::PrependScheme::kNever;
    } else if (*value != Json("always")) {
      return step.Wrong("prepend_scheme", "\"always\", \"first\" or \"never\"");
    }
  }
  ASSIGN_OR_RETURN(const bool add_prefix_space, step.Bool("add_prefix_space", true));
  if (!add_prefix_space && scheme != text::PrependScheme::kNever)
    return step.Wrong("add_prefix_space", "what prepend_scheme says");
  return scheme;
}

Result<text::SplitBehavior> BehaviorOf(const Step& step, std::optional<text::SplitBehavior> fallback = std::nullopt) {
  using Behavior = text::SplitBehavior;
  constexpr std::array<std::pair<std::string_view, Behavior>, 5> kNames = {{{"Removed", Behavior::kRemoved},
                                                                            {"Isolated", Behavior::kIsolated},
                                                                            {"MergedWithPrevious", Behavior::kMergedWithPrevious},
                                                                            {"MergedWithNext", Behavior::kMergedWithNext},
                                                                            {"Contiguous", Behavior::kContiguous}}};
  const Json* value = step.json().Find("behavior");
  if (value == nullptr && fallback) return *fallback;
  for (const auto& [name, behavior] : kNames) {
    if (value != nullptr && *value == Json(name)) return behavior;
  }
  return step.Wrong("behavior", "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

Result<text::PreTokenizerStep> ByteLevelSplitOf(const Step& step) {
  text::ByteLevelSplit split;
  ASSIGN_OR_RETURN(split.add_prefix_space, step.Bool("add_prefix_space"));
  ASSIGN_OR_RETURN(split.use_regex, step.Bool("use_regex", true));
  return text::PreTokenizerStep(split);
}

Result<text::PreTokenizerStep> MetaspaceSplitOf(const Step& step) {
  text::MetaspaceSplit split;
  ASSIGN_OR_RETURN(split.replacement, step.Character("replacement"));
  ASSIGN_OR_RETURN(split.scheme, SchemeOf(step));
  ASSIGN_OR_RETURN(split.split, step.Bool("split", true));
  return text::PreTokenizerStep(std::move(split));
}

Result<text::PreTokenizerStep> PatternSplitOf(const Step& step) {
  text::PatternSplit split;
  ASSIGN_OR_RETURN(split.pattern, step.PatternMember());
  ASSIGN_OR_RETURN(split.behavior, BehaviorOf(step));
  ASSIGN_OR_RETURN(split.invert, step.Bool("invert"));
  return text::PreTokenizerStep(std::move(split));
}

Result<text::PreTokenizerStep> PreTokenizerOf(const Step& step) {
  const std::string_view type = step.type();
  if (type == "ByteLevel") return ByteLevelSplitOf(step);
  if (type == "Metaspace") return MetaspaceSplitOf(step);
  if (type == "Split") return PatternSplitOf(step);
  if (type == "WhitespaceSplit") return text::PreTokenizerStep(text::WhitespaceSplit{});
  if (type == "Whitespace") return text::PreTokenizerStep(text::WordSplit{});
  if (type == "BertPreTokenizer") return text::PreTokenizerStep(text::BertSplit{});
  if (type == "Digits") {
    ASSIGN_OR_RETURN(const bool individual, step.Bool("individual_digits"));
    return text::PreTokenizerStep(text::DigitsSplit{individual});
  }
  if (type == "Punctuation") {
    ASSIGN_OR_RETURN(const auto behavior, BehaviorOf(step, text::SplitBehavior::kIsolated));
    return text::PreTokenizerStep(text::PunctuationSplit{behavior});
  }
  if (type == "CharDelimiterSplit") {
    ASSIGN_OR_RETURN(std::string delimiter, step.Character("delimiter"));
    return text::PreTokenizerStep(text::DelimiterSplit{std::move(delimiter)});
  }
  return step.Unsupported(
      "ByteLevel, Metaspace, Split, WhitespaceSplit, Whitespace, BertPreTokenizer, Digits, Punctuation or CharDelimiterSplit");
}

Result<text::DecoderStep> DecoderOf(const Step& step) {
  const std::string_view type = step.type();
  if (type == "ByteLevel") return text::DecoderStep(text::ByteLevelDecoder{});
  if (type == "ByteFallback") return text::DecoderStep(text::ByteFallbackDecoder{});
  if (type == "Fuse") return text::DecoderStep(text::FuseDecoder{});
  if (type == "Replace") {
    ASSIGN_OR_RETURN(auto pattern, step.PatternMember());
    if (pattern.is_regex) return step.Unsupported("a Replace of a \"String\"");
    ASSIGN_OR_RETURN(std::string content, step.Text("content"));
    return text::DecoderStep(text::ReplaceDecoder{std::move(pattern.text), std::move(content)});
  }
  if (type == "Strip") {
    text::StripDecoder strip;
    ASSIGN_OR_RETURN(strip.content, step.Character("content"));
    ASSIGN_OR_RETURN(strip.start, step.Count("start"));
    ASSIGN_OR_RETURN(strip.stop, step.Count("stop"));
    return text::DecoderStep(std::move(strip));
  }
  if (type == "Metaspace") {
    text::MetaspaceDecoder metaspace;
    ASSIGN_OR_RETURN(metaspace.replacement, step.Character("replacement"));
    ASSIGN_OR_RETURN(metaspace.scheme, SchemeOf(step));
    return text::DecoderStep(std::move(metaspace));
  }
  if (type == "WordPiece") {
    text::WordPieceDecoder pieces;
    ASSIGN_OR_RETURN(pieces.prefix, step.Text("prefix"));
    ASSIGN_OR_RETURN(pieces.clean_up, step.Bool("cleanup"));
    return text::DecoderStep(std::move(pieces));
  }
  if (type == "BPEDecoder") {
    ASSIGN_OR_RETURN(std::string suffix, step.Text("suffix"));
    return text::DecoderStep(text::SuffixDecoder{std::move(suffix)});
  }
  return step.Unsupported("ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, WordPiece or BPEDecoder");
}

Result<TokenId> IdOf(const Json& value, const Step& step, std::string_view key, size_t tokens) {
  const auto id = value.is_integer() ? value.as_uint64() : Result<uint64_t>(Status(Code::kDataLoss, ""));
  if (!id.ok() || *id >= tokens) return step.Wrong(key, fmt::format("ids below {}", tokens));
  return static_cast<TokenId>(*id);
}

// Bert- and RobertaProcessing: ["[CLS]", 101] and ["[SEP]", 102].
Status ReadClassification(const Step& step, size_t tokens, text::TokenizerSpec& spec) {
  const std::array<std::pair<std::string_view, std::vector<TokenId>*>, 2> ends = {{{"cls", &spec.prefix}, {"sep", &spec.suffix}}};
  for (const auto& [key, ids] : ends) {
    const Json* pair = step.json().Find(key);
    if (pair == nullptr || !pair->is_array() || pair->items().size() != 2) return step.Wrong(key, "a text and an id");
    ASSIGN_OR_RETURN(const TokenId id, IdOf(pair->items()[1], step, key, tokens));
    *ids = {id};
  }
  return {};
}

// The ids of a special token that a template names.
Status AppendSpecial(const Step& step, const Json& name, size_t tokens, std::vector<TokenId>& out) {
  const Json* table = step.json().Find("special_tokens");
  const Json* entry = table != nullptr && name.is_string() ? table->Find(name.as_string()) : nullptr;
  const Json* ids = entry == nullptr ? nullptr : entry->Find("ids");
  if (ids == nullptr || !ids->is_array()) {
    return Error(Code::kDataLoss, "'{}.special_tokens': no ids of {}, which the template names", step.path(),
                 ShownText(name.Write()));
  }
  if (ids->items().size() > text::kMaxAffixTokens - out.size()) {
    return Error(Code::kUnsupported, "'{}.single': more than {} special tokens on one side of the text", step.path(),
                 text::kMaxAffixTokens);
  }
  for (const Json& id : ids->items()) {
    ASSIGN_OR_RETURN(const TokenId token, IdOf(id, step, "special_tokens", tokens));
    out.push_back(token);
  }
  return {};
}

Status ReadTemplate(const Step& step, size_t tokens, text::TokenizerSpec& spec) {
  const Json* single = step.json().Find("single");
  if (single == nullptr || !single->is_array()) return step.Wrong("single", "an array");
  bool text_seen = false;
  for (const Json& part : single->items()) {
    const Json* special = part.Find("SpecialToken");
    const Json* sequence = part.Find("Sequence");
    const Json* id = special != nullptr ? special->Find("id") : sequence != nullptr ? sequence->Find("id") : nullptr;
    if (id == nullptr) return step.Wrong("single", "special tokens and a sequence");
    if (special != nullptr) {
      RETURN_IF_ERROR(AppendSpecial(step, *id, tokens, text_seen ? spec.suffix : spec.prefix));
    } else if (text_seen || *id != Json("A")) {
      return UnsupportedMember(step.path() + ".single", *single, "the text once, as sequence A");
    } else {
      text_seen = true;
    }
  }
  return text_seen ? Status() : UnsupportedMember(step.path() + ".single", *single, "the text once, as sequence A");
}

}  // namespace

Status UnsupportedMember(std::string_view path, const Json& found, std::string_view expected) {
  return Error(Code::kUnsupported, "'{}': {} is not supported, expected {}", path, ShownText(found.Write()), expected);
}

Status ReadNormalizersAndPreTokenizers(const Json& root, text::TokenizerSpec& spec) {
  ASSIGN_OR_RETURN(const auto normalizers, StepsOf(root, "normalizer", "normalizers"));
  ASSIGN_OR_RETURN(const auto pre_tokenizers, StepsOf(root, "pre_tokenizer", "pretokenizers"));
  for (size_t i = 0; i < normalizers.size(); ++i) {
    if (normalizers[i].type() == "ByteLevel") {
      if (i + 1 < normalizers.size() || !pre_tokenizers.empty()) {
        return normalizers[i].Unsupported("ByteLevel as the last normalizer and no pre-tokenizer");
      }
      spec.pre_tokenizers.emplace_back(text::ByteLevelSplit{.use_regex = false});
      return {};
    }
    ASSIGN_OR_RETURN(auto step, NormalizerOf(normalizers[i]));
    spec.normalizers.push_back(std::move(step));
  }
  for (const Step& json : pre_tokenizers) {
    ASSIGN_OR_RETURN(auto step, PreTokenizerOf(json));
    spec.pre_tokenizers.push_back(std::move(step));
  }
  return {};
}

Status ReadDecoders(const Json& root, text::TokenizerSpec& spec) {
  ASSIGN_OR_RETURN(const auto steps, StepsOf(root, "decoder", "decoders"));
  for (const Step& json : steps) {
    ASSIGN_OR_RETURN(auto step, DecoderOf(json));
    spec.decoders.push_back(std::move(step));
  }
  if (steps.empty() && !IsAbsent(root.Find("decoder"))) spec.decoders.emplace_back(text::FuseDecoder{});
  return {};
}

Status ReadPostProcessor(const Json& root, size_t tokens, text::TokenizerSpec& spec) {
  ASSIGN_OR_RETURN(const auto steps, StepsOf(root, "post_processor", "processors"));
  bool seen = false;
  for (const Step& step : steps) {
    const std::string_view type = step.type();
    if (type == "ByteLevel") continue;  // it trims offsets
    if (seen) return step.Unsupported("one step that adds tokens");
    seen = true;
    if (type == "TemplateProcessing") {
      RETURN_IF_ERROR(ReadTemplate(step, tokens, spec));
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      RETURN_IF_ERROR(ReadClassification(step, tokens, spec));
    } else {
      return step.Unsupported("TemplateProcessing, BertProcessing, RobertaProcessing or ByteLevel");
    }
  }
  return {};
}

}  // namespace millrace::model
