// Reads tests/text/normalizer_golden.json (made by make_normalizer_golden), or the file of the environment variable MILLRACE_NORMALIZER_GOLDEN, for
// tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "text/tokenizer_spec.h"

#ifndef MILLRACE_SOURCE_DIR
#define MILLRACE_SOURCE_DIR "."  // tests of the build name it
#endif

namespace millrace::text {

inline const Json& NormalizerGolden() {
  static const Json golden = [] {
    const char* other = std::getenv("MILLRACE_NORMALIZER_GOLDEN");
    std::ifstream file(other != nullptr ? other : MILLRACE_SOURCE_DIR "/tests/text/normalizer_golden.json", std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    auto parsed = Json::Parse(text.str(), {.max_bytes = size_t{1} << 30, .max_values = 100'000'000});
    EXPECT_TRUE(parsed.ok()) << parsed.status().ToString();
    return parsed.ok() ? *parsed : Json();
  }();
  return golden;
}

inline std::string GoldenRules(const Json& step) {
  const Json* name = step.Find("rules");
  if (name == nullptr || !name->is_string()) return "";
  const std::string& hex = NormalizerGolden().Find("rules")->Find(name->as_string())->as_string();
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

// One step in the form of tokenizer.json; "SentencePiece" is CompiledRules and SentencePieceSpaces.
inline void AppendGoldenStep(const Json& step, std::vector<NormalizerStep>& out) {
  using Form = UnicodeForm::Form;
  const std::string& type = step.Find("type")->as_string();
  const auto is = [&step](const char* name) { return step.Find(name)->as_bool(); };
  if (type == "NFC") out.push_back(UnicodeForm{Form::kNfc});
  if (type == "NFD") out.push_back(UnicodeForm{Form::kNfd});
  if (type == "NFKC") out.push_back(UnicodeForm{Form::kNfkc});
  if (type == "NFKD") out.push_back(UnicodeForm{Form::kNfkd});
  if (type == "Lowercase") out.push_back(Lowercase{});
  if (type == "StripAccents") out.push_back(StripAccents{});
  if (type == "Nmt") out.push_back(NmtNormalizer{});
  if (type == "Strip") out.push_back(StripSpace{is("strip_left"), is("strip_right")});
  if (type == "Prepend") out.push_back(PrependText{step.Find("prepend")->as_string()});
  if (type == "Replace") {
    const Json& pattern = *step.Find("pattern");
    const bool is_regex = pattern.Find("Regex") != nullptr;
    out.push_back(
        ReplaceText{{pattern.Find(is_regex ? "Regex" : "String")->as_string(), is_regex}, step.Find("content")->as_string()});
  }
  if (type == "BertNormalizer") {
    BertNormalizer bert = {is("clean_text"), is("handle_chinese_chars"), std::nullopt, is("lowercase")};
    if (step.Find("strip_accents")->is_bool()) bert.strip_accents = is("strip_accents");
    out.push_back(bert);
  }
  if (type == "Precompiled") out.push_back(CompiledRules{GoldenRules(step), true});
  if (type == "SentencePiece") {
    if (step.Find("rules")->is_string()) out.push_back(CompiledRules{GoldenRules(step), false});
    out.push_back(SentencePieceSpaces{is("remove_extra")});
  }
}

inline std::vector<NormalizerStep> GoldenSteps(const Json& steps) {
  std::vector<NormalizerStep> out;
  for (const Json& step : steps.items()) AppendGoldenStep(step, out);
  return out;
}

}  // namespace millrace::text
