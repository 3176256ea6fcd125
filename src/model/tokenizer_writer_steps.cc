#include "model/tokenizer_writer_steps.h"

#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace millrace::model {

namespace {

Json Step(std::string_view type, Json::Object members = {}) {
  Json::Object out = {{"type", Json(type)}};
  for (Json::Member& member : members) out.push_back(std::move(member));
  return Json(std::move(out));
}

Json PatternJson(const text::Pattern& pattern) {
  return Json(Json::Object{{pattern.is_regex ? "Regex" : "String", Json(pattern.text)}});
}

Json SchemeJson(text::PrependScheme scheme) {
  switch (scheme) {
    case text::PrependScheme::kNever:
      return Json("never");
    case text::PrependScheme::kFirst:
      return Json("first");
    case text::PrependScheme::kAlways:
      return Json("always");
  }
  return {};
}

Json BehaviorJson(text::SplitBehavior behavior) {
  constexpr std::array<std::string_view, 5> kNames = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                                      "Contiguous"};
  return Json(kNames[static_cast<size_t>(behavior)]);
}

Json ByteLevel(bool add_prefix_space, bool use_regex) {
  return Step("ByteLevel",
              {{"add_prefix_space", Json(add_prefix_space)}, {"trim_offsets", Json(true)}, {"use_regex", Json(use_regex)}});
}

std::string ToBase64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - at);
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i) bits = bits << 8 | (i < count ? static_cast<uint8_t>(bytes[at + i]) : 0);
    for (size_t i = 0; i < 4; ++i) out += i <= count ? kDigits[bits >> (18 - 6 * i) & 63] : '=';
  }
  return out;
}

// Each gives the JSON of one normalizer; nothing for one that does nothing.
struct NormalizerJson {
  using Out = Result<std::optional<Json>>;
  static Out Simple(std::string_view type) { return std::optional<Json>(Step(type)); }

  Out operator()(const text::UnicodeForm& step) const {
    constexpr std::array<std::string_view, 4> kNames = {"NFC", "NFD", "NFKC", "NFKD"};
    return Simple(kNames[static_cast<size_t>(step.form)]);
  }
  Out operator()(const text::Lowercase&) const { return Simple("Lowercase"); }
  Out operator()(const text::StripAccents&) const { return Simple("StripAccents"); }
  Out operator()(const text::NmtNormalizer&) const { return Simple("Nmt"); }
  Out operator()(const text::StripSpace& step) const {
    return std::optional<Json>(Step("Strip", {{"strip_left", Json(step.left)}, {"strip_right", Json(step.right)}}));
  }
  Out operator()(const text::ReplaceText& step) const {
    return std::optional<Json>(Step("Replace", {{"pattern", PatternJson(step.pattern)}, {"content", Json(step.content)}}));
  }
  Out operator()(const text::PrependText& step) const {
    return std::optional<Json>(Step("Prepend", {{"prepend", Json(step.content)}}));
  }
  Out operator()(const text::BertNormalizer& step) const {
    return std::optional<Json>(Step("BertNormalizer", {{"clean_text", Json(step.clean_text)},
                                                       {"handle_chinese_chars", Json(step.handle_chinese_chars)},
                                                       {"strip_accents", step.strip_accents ? Json(*step.strip_accents) : Json()},
                                                       {"lowercase", Json(step.lowercase)}}));
  }
  Out operator()(const text::CompiledRules& step) const {
    if (!step.by_grapheme) {
      return Error(Code::kUnsupported,
                   "rules that match the longest prefix, as SentencePiece does, which tokenizer.json cannot tell");
    }
    return std::optional<Json>(Step("Precompiled", {{"precompiled_charsmap", Json(ToBase64(step.rules))}}));
  }
  Out operator()(const text::SentencePieceSpaces& step) const {
    if (!step.remove_extra) return std::optional<Json>();
    return Error(Code::kUnsupported, "SentencePiece's removal of extra spaces, which tokenizer.json cannot tell");
  }
};

struct PreTokenizerJson {
  Json operator()(const text::ByteLevelSplit& step) const { return ByteLevel(step.add_prefix_space, step.use_regex); }
  Json operator()(const text::WhitespaceSplit&) const { return Step("WhitespaceSplit"); }
  Json operator()(const text::WordSplit&) const { return Step("Whitespace"); }
  Json operator()(const text::BertSplit&) const { return Step("BertPreTokenizer"); }
  Json operator()(const text::MetaspaceSplit& step) const {
    return Step(
        "Metaspace",
        {{"replacement", Json(step.replacement)}, {"prepend_scheme", SchemeJson(step.scheme)}, {"split", Json(step.split)}});
  }
  Json operator()(const text::PatternSplit& step) const {
    return Step(
        "Split",
        {{"pattern", PatternJson(step.pattern)}, {"behavior", BehaviorJson(step.behavior)}, {"invert", Json(step.invert)}});
  }
  Json operator()(const text::DigitsSplit& step) const { return Step("Digits", {{"individual_digits", Json(step.individual)}}); }
  Json operator()(const text::PunctuationSplit& step) const {
    return Step("Punctuation", {{"behavior", BehaviorJson(step.behavior)}});
  }
  Json operator()(const text::DelimiterSplit& step) const {
    return Step("CharDelimiterSplit", {{"delimiter", Json(step.delimiter)}});
  }
};

struct DecoderJson {
  Json operator()(const text::ByteLevelDecoder&) const { return ByteLevel(true, true); }
  Json operator()(const text::ByteFallbackDecoder&) const { return Step("ByteFallback"); }
  Json operator()(const text::FuseDecoder&) const { return Step("Fuse"); }
  Json operator()(const text::ReplaceDecoder& step) const {
    return Step("Replace", {{"pattern", PatternJson({step.from, false})}, {"content", Json(step.to)}});
  }
  Json operator()(const text::StripDecoder& step) const {
    return Step("Strip",
                {{"content", Json(step.content)}, {"start", Json(uint64_t{step.start})}, {"stop", Json(uint64_t{step.stop})}});
  }
  Json operator()(const text::MetaspaceDecoder& step) const {
    return Step("Metaspace",
                {{"replacement", Json(step.replacement)}, {"prepend_scheme", SchemeJson(step.scheme)}, {"split", Json(true)}});
  }
  Json operator()(const text::WordPieceDecoder& step) const {
    return Step("WordPiece", {{"prefix", Json(step.prefix)}, {"cleanup", Json(step.clean_up)}});
  }
  Json operator()(const text::SuffixDecoder& step) const { return Step("BPEDecoder", {{"suffix", Json(step.suffix)}}); }
};

// One step alone, several as a sequence.
Json MemberOf(Json::Array steps, std::string_view list_key) {
  if (steps.empty()) return {};
  if (steps.size() == 1) return std::move(steps.front());
  return Step("Sequence", {{std::string(list_key), Json(std::move(steps))}});
}

}  // namespace

Result<Json> NormalizerMember(const text::TokenizerSpec& spec) {
  Json::Array steps;
  for (const text::NormalizerStep& step : spec.normalizers) {
    ASSIGN_OR_RETURN(auto json, std::visit(NormalizerJson{}, step));
    if (json) steps.push_back(*std::move(json));
  }
  return MemberOf(std::move(steps), "normalizers");
}

Json PreTokenizerMember(const text::TokenizerSpec& spec) {
  Json::Array steps;
  for (const text::PreTokenizerStep& step : spec.pre_tokenizers) steps.push_back(std::visit(PreTokenizerJson{}, step));
  return MemberOf(std::move(steps), "pretokenizers");
}

Json DecoderMember(const text::TokenizerSpec& spec) {
  Json::Array steps;
  for (const text::DecoderStep& step : spec.decoders) steps.push_back(std::visit(DecoderJson{}, step));
  return MemberOf(std::move(steps), "decoders");
}

Json PostProcessorMember(const text::TokenizerSpec& spec) {
  if (spec.prefix.empty() && spec.suffix.empty()) return {};
  const auto sequence = [](const char* id, int type) {
    return Json(Json::Object{{"Sequence", Json(Json::Object{{"id", Json(id)}, {"type_id", Json(type)}})}});
  };
  Json::Array single;
  Json known(Json::Object{});
  const auto add = [&](const std::vector<TokenId>& ids) {
    for (const TokenId id : ids) {
      const std::string& text = spec.tokens[static_cast<size_t>(id)];
      single.push_back(Json(Json::Object{{"SpecialToken", Json(Json::Object{{"id", Json(text)}, {"type_id", Json(0)}})}}));
      known.Set(text, Json(Json::Object{{"id", Json(text)},
                                        {"ids", Json(Json::Array{Json(int64_t{id})})},
                                        {"tokens", Json(Json::Array{Json(text)})}}));
    }
  };
  add(spec.prefix);
  single.push_back(sequence("A", 0));
  add(spec.suffix);
  Json::Array pair = single;
  pair.push_back(sequence("B", 1));
  return Step("TemplateProcessing",
              {{"single", Json(std::move(single))}, {"pair", Json(std::move(pair))}, {"special_tokens", std::move(known)}});
}

}  // namespace millrace::model
