#include "text/normalizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/utf8.h"
#include "text/normalizer_golden.h"

namespace millrace::text {
namespace {

using Form = UnicodeForm::Form;

std::unique_ptr<const Normalizer> Make(const std::vector<NormalizerStep>& steps) {
  auto made = Normalizer::Create(steps);
  EXPECT_TRUE(made.ok()) << made.status().ToString();
  return made.ok() ? std::move(*made) : nullptr;
}

std::string Normalized(const std::vector<NormalizerStep>& steps, std::string_view text) {
  const auto normalizer = Make(steps);
  const auto output = normalizer->Apply(text);
  EXPECT_TRUE(output.ok()) << output.status().ToString();
  return output.ok() ? output->text : "";
}

template <typename... S>
std::vector<NormalizerStep> Steps(S... steps) {
  std::vector<NormalizerStep> out;
  (out.emplace_back(std::move(steps)), ...);
  return out;
}

ReplaceText Replace(std::string pattern, std::string content, bool is_regex = false) {
  ReplaceText step;
  step.pattern.text = std::move(pattern);
  step.pattern.is_regex = is_regex;
  step.content = std::move(content);
  return step;
}

std::string Repeated(std::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

void ReplaceAll(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
}

TEST(NormalizerTest, GoldenTexts) {
  size_t texts = 0;
  size_t differences = 0;
  for (const Json& list : NormalizerGolden().Find("normalizers")->items()) {
    const std::string& name = list.Find("name")->as_string();
    const bool escaped = name.starts_with("sentencepiece");  // the package writes spaces as U+2581
    const auto normalizer = Make(GoldenSteps(*list.Find("steps")));
    ASSERT_NE(normalizer, nullptr) << name;
    for (const Json& pair : list.Find("cases")->items()) {
      const std::string& text = pair.items()[0].as_string();
      const auto output = normalizer->Apply(text);
      ASSERT_TRUE(output.ok()) << name << ": " << output.status().ToString();
      std::string got = output->text;
      if (escaped) ReplaceAll(got, " ", "▁");
      ++texts;
      if (got == pair.items()[1].as_string()) continue;
      if (++differences <= 20)
        ADD_FAILURE() << name << ": " << Json(text).Write() << " gives " << Json(got).Write() << ", expected "
                      << pair.items()[1].Write();
    }
  }
  EXPECT_GT(texts, 500U);
  EXPECT_EQ(differences, 0U) << "of " << texts;
}

TEST(NormalizerTest, NoStepsKeepTheText) {
  const auto normalizer = Make(Steps());
  EXPECT_TRUE(normalizer->empty());
  EXPECT_EQ(normalizer->Apply("a\u0301").value().text, "a\u0301");
}

TEST(NormalizerTest, TellsWhatComesFromTheFirstCodePoint) {
  EXPECT_EQ(Make(Steps(StripSpace{}))->Apply(" a").value().from_first, 0U);
  EXPECT_EQ(Make(Steps(StripSpace{}))->Apply("a ").value().from_first, 1U);
  EXPECT_EQ(Make(Steps(PrependText{"▁"}))->Apply("ab").value().from_first, 4U);
  EXPECT_EQ(Make(Steps(UnicodeForm{Form::kNfkd}))->Apply("ﬁx").value().from_first, 2U);
  EXPECT_EQ(Make(Steps(SentencePieceSpaces{true}))->Apply("  ab").value().from_first, 1U);
}

// Each would take hours if some step were quadratic.
TEST(NormalizerTest, HostileTextsTakeLinearWork) {
  constexpr size_t kTimes = 350'000;
  const std::string marks = "a" + Repeated("\u0345\u0301\u0334", kTimes / 3);
  std::string sorted = "a" + Repeated("\u0334", kTimes / 3) + Repeated("\u0301", kTimes / 3) + Repeated("\u0345", kTimes / 3);
  EXPECT_EQ(Normalized(Steps(UnicodeForm{Form::kNfd}), marks), sorted);
  sorted.replace(0, 1 + 2 * (kTimes / 3) + 2, "á" + Repeated("\u0334", kTimes / 3));
  EXPECT_EQ(Normalized(Steps(UnicodeForm{Form::kNfc}), marks), sorted);
  EXPECT_EQ(Normalized(Steps(StripAccents{}), marks), "a");
  EXPECT_EQ(Normalized(Steps(StripSpace{}), Repeated(" ", 1'000'000) + "a" + Repeated("\u3000", 300'000)), "a");
  EXPECT_EQ(Normalized(Steps(SentencePieceSpaces{true}), Repeated(" ", 1'000'000) + "a" + Repeated("▁", 300'000)), "a");
  const std::string pattern = Repeated("a", 500'000) + "b";
  EXPECT_EQ(Normalized(Steps(Replace(pattern, "x")), Repeated("a", 1'000'000)), Repeated("a", 1'000'000));
  EXPECT_EQ(Normalized(Steps(Replace(pattern, "x")), Repeated("a", 600'000) + "bc"), Repeated("a", 100'000) + "xc");
}

// Long runs are handed on part by part, which no code point may notice.
TEST(NormalizerTest, LongRunsAreNormalizedAsShortOnes) {
  for (const char* unit : {"\uFDFA", "\uFDFA\u0301\u0345\u0334", "\u212B\u0301", "\uFDFA\u1100\u1161\u11A8", "\uFB1D\u0344"}) {
    for (const Form form : {Form::kNfc, Form::kNfd, Form::kNfkc, Form::kNfkd}) {
      const auto steps = Steps(UnicodeForm{form});
      EXPECT_EQ(Normalized(steps, Repeated(unit, 10'000)), Repeated(Normalized(steps, unit), 10'000)) << unit;
    }
  }
}

TEST(NormalizerTest, GrowthIsLimited) {
  const auto normalizer = Make(Steps(Replace("a", std::string(1000, 'b'))));
  EXPECT_EQ(normalizer->Apply("a").value().text.size(), 1000U);
  EXPECT_EQ(normalizer->Apply(std::string(1000, 'a')).status().code(), Code::kResourceExhausted);
  const std::string ligatures = Repeated("\uFDFA", 10'000);
  EXPECT_EQ(Normalized(Steps(UnicodeForm{Form::kNfkc}), ligatures).size(), 33U * 10'000);
}

TEST(NormalizerTest, RefusesStepsByName) {
  const auto refusal = [](NormalizerStep step) {
    const auto made = Normalizer::Create(Steps(std::move(step)));
    return made.ok() ? "accepted" : made.status().ToString();
  };
  EXPECT_NE(refusal(Replace("", "x")).find("Replace: an empty pattern"), std::string::npos);
  EXPECT_NE(refusal(Replace("(", "x", true)).find("Replace"), std::string::npos);
  EXPECT_NE(refusal(Replace("a", "\xFF")).find("Replace: the content is not UTF-8"), std::string::npos);
  EXPECT_NE(refusal(PrependText{""}).find("Prepend"), std::string::npos);
  EXPECT_NE(refusal(CompiledRules{"abc", false}).find("compiled rules: expected at least 4 bytes, got 3"), std::string::npos);
  const auto normalizer = Make(Steps(Replace("^", "x", true)));
  EXPECT_EQ(normalizer->Apply("a").status().code(), Code::kUnsupported);
}

// A double array of 256 units in which `units` are set, and replacements.
std::string Rules(const std::vector<std::pair<size_t, uint32_t>>& units, std::string_view replacements) {
  std::string out("\x00\x04\x00\x00", 4);
  out.resize(4 + 256 * 4, '\0');
  for (const auto& [index, unit] : units) {
    for (size_t i = 0; i < 4; ++i) out[4 + index * 4 + i] = static_cast<char>(unit >> (8 * i));
  }
  return out.append(replacements);
}

TEST(NormalizerTest, DamagedRulesAreRefused) {
  constexpr uint32_t kHasValue = 256;
  constexpr uint32_t kValue = 1U << 31;
  const auto status = [](const std::string& rules) { return Normalizer::Create(Steps(CompiledRules{rules, true})).status(); };
  // 'a' at 0x61 with offset 2: its value at 0x63.
  const auto good = [](uint32_t value) {
    return Rules({{0, 0}, {0x61, 0x61 | 2U << 10 | kHasValue}, {0x63, kValue | value}}, std::string("b\0c\xC3\xA9", 5));
  };
  ASSERT_TRUE(status(good(0)).ok());
  EXPECT_EQ(Normalized(Steps(CompiledRules{good(0), true}), "xa"), "xb");
  EXPECT_EQ(Normalized(Steps(CompiledRules{good(2), false}), "xa"), "xcé");  // up to the end
  EXPECT_EQ(Normalized(Steps(CompiledRules{good(5), true}), "xa"), "x");
  EXPECT_NE(status(good(4)).message().find("the replacement at byte 4 is not UTF-8"), std::string::npos);
  EXPECT_NE(status(good(6)).message().find("a replacement at byte 6 of 5"), std::string::npos);
  EXPECT_NE(status(Rules({{0, 1U << 20}}, "")).message().find("leads to"), std::string::npos);
  // 'a' leads to itself.
  EXPECT_NE(status(Rules({{0, 0}, {0x61, 0x61 | 0x61U << 10}}, "")).message().find("leads back"), std::string::npos);
  EXPECT_EQ(status(good(0).substr(0, 500)).code(), Code::kDataLoss);
  EXPECT_EQ(status(std::string("\x03\0\0\0abcd", 8)).code(), Code::kDataLoss);
}

// Rules whose keys end within code points still give UTF-8.
TEST(NormalizerTest, KeysWithinCodePoints) {
  const std::string rules = Rules({{0, 0}, {0xC3, 0xC3 | 2U << 10 | 256}, {0xC1, 1U << 31}}, "b");
  EXPECT_EQ(Normalized(Steps(CompiledRules{rules, true}), "é"), "b");
  EXPECT_EQ(Normalized(Steps(CompiledRules{rules, false}), "éa"), "b\uFFFDa");
}

TEST(NormalizerTest, ResultsAreUtf8) {
  std::mt19937 random(1);
  const auto normalizer = Make(Steps(UnicodeForm{Form::kNfkc}, Lowercase{}, StripAccents{}, BertNormalizer{}, NmtNormalizer{}));
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (int k = 0; k < 8; ++k) {
      const auto code = static_cast<char32_t>(random() % 0x110000);
      Utf8Append(code >= 0xD800 && code < 0xE000 ? U'a' : code, text);
    }
    EXPECT_TRUE(Utf8IsValid(normalizer->Apply(text).value().text));
  }
}

}  // namespace
}  // namespace millrace::text
