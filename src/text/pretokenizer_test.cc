// Pre-tokenizer steps against the results of the Python package `tokenizers` (tests/text/pretokenizer_golden.json), scanners against the patterns that
// they stand for, and what a file may not ask for.
#include "text/pretokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/known_patterns.h"
#include "text/pattern.h"
#include "text/test_pretokenizer_steps.h"

namespace millrace::text {
namespace {

using Pieces = std::vector<std::string>;
using Steps = std::vector<PreTokenizerStep>;

PatternSplit Regex(std::string_view pattern, SplitBehavior behavior = SplitBehavior::kIsolated) {
  return {.pattern = {.text = std::string(pattern), .is_regex = true}, .behavior = behavior};
}

Pieces Cut(const Steps& steps, std::string_view text, bool at_start = true) {
  const auto cutter = PreTokenizer::Create(steps);
  EXPECT_TRUE(cutter.ok()) << cutter.status().ToString();
  if (!cutter.ok()) return {};
  Pieces out;
  const Status status = (*cutter)->Split(text, at_start, [&](std::string_view piece) {
    EXPECT_FALSE(piece.empty());
    out.emplace_back(piece);
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  return out;
}

std::string Refusal(const Steps& steps) {
  const auto cutter = PreTokenizer::Create(steps);
  return cutter.ok() ? "taken" : cutter.status().message();
}

TEST(PreTokenizerStepsTest, CutAsTheReferenceDoes) {
  std::ifstream in(MILLRACE_SOURCE_DIR "/tests/text/pretokenizer_golden.json", std::ios::binary);
  const auto golden = Json::Parse(std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()));
  ASSERT_TRUE(golden.ok()) << golden.status().ToString();
  const Json::Array& texts = golden->Find("texts")->items();
  ASSERT_GT(golden->Find("cases")->items().size(), 200u);
  for (const Json& entry : golden->Find("cases")->items()) {
    Steps steps;
    bool alphabet = false;
    for (const Json& step : entry.Find("steps")->items()) {
      steps.push_back(PreTokenizerStepOf(step).value());
      alphabet = alphabet || std::holds_alternative<ByteLevelSplit>(steps.back());
    }
    for (size_t i = 0; i < texts.size(); ++i) {
      std::string got;
      for (const std::string& piece : Cut(steps, texts[i].as_string())) {
        got += (got.empty() ? "" : "\uE000") + (alphabet ? AlphabetFromBytes(piece) : piece);
      }
      EXPECT_EQ(got, entry.Find("pieces")->items()[i].as_string()) << entry.Find("name")->as_string();
    }
  }
}

TEST(PreTokenizerStepsTest, OnlyTheStartOfTheTextIsPrefixedWhereTheSchemeIsFirst) {
  const Steps steps = {Regex("-", SplitBehavior::kRemoved), MetaspaceSplit{.scheme = PrependScheme::kFirst}};
  EXPECT_EQ(Cut(steps, "a b-c"), (Pieces{"▁a", "▁b", "c"}));
  EXPECT_EQ(Cut(steps, "a b-c", false), (Pieces{"a", "▁b", "c"}));
  EXPECT_EQ(Cut(steps, "-c"), (Pieces{"c"}));
}

// Longer texts are looked for in another way than short ones.
TEST(PreTokenizerStepsTest, LongTextsAreFound) {
  const std::string wanted = std::string(1000, 'a') + "b";
  const Steps steps = {PatternSplit{.pattern = {.text = wanted}}};
  const std::string text = std::string(10, 'a').append(wanted).append(999, 'a').append("b");
  EXPECT_EQ(Cut(steps, text), (Pieces{std::string(10, 'a'), wanted, std::string(999, 'a').append("b")}));
}

TEST(PreTokenizerStepsTest, StopsWhenToldTo) {
  const auto cutter = PreTokenizer::Create(Steps{WhitespaceSplit{}, PunctuationSplit{}});
  size_t pieces = 0;
  EXPECT_TRUE((*cutter)->Split("a. b. c", true, [&](std::string_view) { return ++pieces < 3; }).ok());
  EXPECT_EQ(pieces, 3u);
}

TEST(PreTokenizerStepsTest, RefusesByStep) {
  EXPECT_EQ(Refusal({WhitespaceSplit{}, MetaspaceSplit{.replacement = "ab"}}),
            "pre-tokenizer step 2: Metaspace: replacement 'ab', expected one character");
  EXPECT_EQ(Refusal({DelimiterSplit{.delimiter = ""}}),
            "pre-tokenizer step 1: CharDelimiterSplit: delimiter '', expected one character");
  EXPECT_EQ(Refusal({Regex("a(")}), "pre-tokenizer step 1: Split: pattern 'a(', character 2: '(' without ')'");
  EXPECT_EQ(Refusal({ByteLevelSplit{}, MetaspaceSplit{}}), "pre-tokenizer step 2: Metaspace after ByteLevel");
  EXPECT_EQ(Refusal(Steps(kMaxPreTokenizerSteps + 1, WhitespaceSplit{})), "33 pre-tokenizer steps, at most 32 are taken");
}

// Strings that lie along the edges of the scanners' decisions, and random ones.
std::vector<std::string> Strings() {
  const std::vector<std::string> parts = {
      "a",   "A",   "Ab", " ",  "  ", "\n",   "\r\n", "\t", "\u00a0", "\u3000", "'",  "'s",   "'S",     "'\u017f", "'ll",
      "'LL", "'re", "'v", "1",  "12", "1234", "²",    "Ⅷ",  "!",      "..",     "/",  "_",    "$",      "\u0301",  "\u0903",
      "ʰ",   "ª",   "ǅ",  "漢", "か", "カ",   "。",   "é",  "K",      "\u200d", "😀", "\x01", "\u00ad", "\u088f",  "\ue000"};
  std::mt19937 random(7);
  const auto below = [&](size_t end) { return random() % end; };
  std::vector<std::string> out;
  for (const std::string& first : parts) {
    for (const std::string& second : parts) out.push_back(first + second + first);
  }
  while (out.size() < 12'000) {
    std::string text;
    for (size_t length = 1 + below(12); length > 0; --length) {
      const char32_t code = static_cast<char32_t>(below(below(4) == 0 ? 0x30000 : 0x3100));
      if (below(5) > 0) {
        text += parts[below(parts.size())];
      } else if (code < 0xD800 || code >= 0xE000) {
        Utf8Append(code, text);
      }
    }
    out.push_back(std::move(text));
  }
  return out;
}

TEST(KnownPatternsTest, ScannersFindWhatTheirPatternsFind) {
  const std::vector<std::string> strings = Strings();
  for (const KnownPattern& known : KnownPatterns()) {
    const auto pattern = CompiledPattern::Compile(known.pattern);
    ASSERT_TRUE(pattern.ok()) << pattern.status().ToString();
    const auto search = (*pattern)->NewSearch("");
    size_t differences = 0;
    for (const std::string& text : strings) {
      search->Reset(text);
      for (size_t from = 0; from < text.size() && differences < 3;) {
        const auto expected = search->Next(from);
        ASSERT_TRUE(expected.ok()) << expected.status().ToString();
        const PatternSpan found = known.scan(text, from);
        const bool same =
            expected->has_value() ? found.begin == (*expected)->begin && found.end == (*expected)->end : found.end == found.begin;
        if (!same) {
          ADD_FAILURE() << known.pattern << "\nin '" << text << "' from byte " << from << ": " << found.begin << " to "
                        << found.end;
          ++differences;
        }
        if (!expected->has_value()) break;
        from = (*expected)->end;
      }
    }
  }
}

// A scanner, or a pattern of a known model, that looked ahead again and again would take minutes.
TEST(KnownPatternsTest, LongRunsAreLinear) {
  const std::vector<std::string> units = {"a",      "A",   " ",  "\n", "'", "1",   "!",      "漢",
                                          "\u0301", " \n", "ʰA", "aA", "/", "  x", "\r\n\t", "か"};
  std::vector<std::string> patterns = {R"(\s+$)", R"(\d{1,3}(?=(?:\d{3})*\b))", R"((?=(\d{3})+(?!\d)))", R"(\s?\p{L}+)",
                                       R"([^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\s+)"};
  for (const KnownPattern& known : KnownPatterns()) {
    patterns.emplace_back(known.pattern);
    patterns.push_back(fmt::format("(?:{})", known.pattern));  // which no scanner knows
  }
  for (const std::string& pattern : patterns) {
    const auto cutter = PreTokenizer::Create(Steps{Regex(pattern)});
    ASSERT_TRUE(cutter.ok()) << cutter.status().ToString();
    for (const std::string& unit : units) {
      std::string text;
      while (text.size() < 200'000) text += unit;
      text += 'x';
      size_t bytes = 0;
      const Status status = (*cutter)->Split(text, true, [&](std::string_view piece) { return (bytes += piece.size()) > 0; });
      EXPECT_TRUE(status.ok()) << pattern << " " << unit << ": " << status.ToString();
      EXPECT_EQ(bytes, text.size()) << pattern << " " << unit;
    }
  }
}

}  // namespace
}  // namespace millrace::text
