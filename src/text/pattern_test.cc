#include "text/pattern.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::text {
namespace {

using Spans = std::vector<std::string>;

// The matches of `pattern` in `text`; an empty one as "@" and its place.
Spans Matches(std::string_view pattern, std::string_view text) {
  const auto compiled = CompiledPattern::Compile(pattern);
  EXPECT_TRUE(compiled.ok()) << compiled.status().ToString();
  if (!compiled.ok()) return {};
  const auto search = (*compiled)->NewSearch(text);
  Spans out;
  size_t from = 0;
  while (true) {
    const auto match = search->Next(from);
    EXPECT_TRUE(match.ok()) << match.status().ToString();
    if (!match.ok() || !*match) return out;
    const auto [begin, end] = **match;
    out.push_back(begin == end ? fmt::format("@{}", begin) : std::string(text.substr(begin, end - begin)));
    from = end;
  }
}

std::string Refusal(std::string_view pattern) {
  const auto compiled = CompiledPattern::Compile(pattern);
  return compiled.ok() ? "taken" : compiled.status().message();
}

TEST(PatternTest, ClassesAreSets) {
  EXPECT_EQ(Matches(R"([a-w&&[^c-g]z]+)", "abcz"), (Spans{"ab"}));
  EXPECT_EQ(Matches(R"([^a-z&&[^c]]+)", "abcAB"), (Spans{"cAB"}));
  EXPECT_EQ(Matches(R"([ab[c-d]]+)", "abcd[]"), (Spans{"abcd"}));
  EXPECT_EQ(Matches(R"([^\s\p{L}\p{N}]+)", "a!? ١é。"), (Spans{"!?", "。"}));
  EXPECT_EQ(Matches(R"(\p{^L}+|\P{Ll})", "ab1C"), (Spans{"1", "C"}));
  EXPECT_EQ(Matches(R"(\p{Han}+)", "a漢字b"), (Spans{"漢字"}));
}

TEST(PatternTest, RepeatsMeanWhatOnigurumaMakesOfThem) {
  EXPECT_EQ(Matches("a{,2}b", "aaaab"), (Spans{"aab"}));
  EXPECT_EQ(Matches("(?:ab){1,2}+", "ababababab"), (Spans{"ababababab"}));
  EXPECT_EQ(Matches("a{1,3}+a", "aaaaa"), (Spans{"aaaaa"}));
  EXPECT_EQ(Matches("a++a", "aaaa"), (Spans{}));
  EXPECT_EQ(Matches("a?+a", "aaa"), (Spans{"aa"}));
  EXPECT_EQ(Matches("a{1,3}?", "aaaa"), (Spans{"a", "a", "a", "a"}));
  EXPECT_EQ(Matches("a+?b|a??c", "aabac"), (Spans{"aab", "ac"}));
  EXPECT_EQ(Matches("(?>a|ab)c|ab", "abc"), (Spans{"ab"}));
}

TEST(PatternTest, AnchorsAreThoseOfLines) {
  EXPECT_EQ(Matches(R"(\s+$)", "a  \n  \nb \n"), (Spans{"  \n  \n", " \n"}) = Matches(R"(\s+$)", "a  \n  \nb \n"));
  EXPECT_EQ(Matches("^", "a\na\n"), (Spans{"@0", "@2"}));
  EXPECT_EQ(Matches("$", "a\na\n"), (Spans{"@1", "@3", "@4"}));
  EXPECT_EQ(Matches(R"(\z|.\Z|\A.)", "ab\n"), (Spans{"a", "b", "@3"}));
  EXPECT_EQ(Matches(R"(\bx\B)", "x xy"), (Spans{"x"}));
}

TEST(PatternTest, EmptyMatchesAreSeenOnce) {
  EXPECT_EQ(Matches(R"((?=(\d{3})+(?!\d)))", "1234567"), (Spans{"@1", "@4"}));
  EXPECT_EQ(Matches("a|", "ab"), (Spans{"a", "@2"}));
}

TEST(PatternTest, CaseDoesNotCountForAsciiLetters) {
  EXPECT_EQ(Matches("(?i:'s|'k)x", "'Sx 'ſx 'Kx 'sX"), (Spans{"'Sx", "'ſx", "'Kx"}));
  EXPECT_EQ(Matches("x(?i)a|b", "xABxb"), (Spans{"xA", "xb"}));
  EXPECT_EQ(Matches("(?i:[^k])", "kKKa"), (Spans{"a"}));
  EXPECT_EQ(Refusal("(?i:ss)"), "pattern '(?i:ss)', character 6: letters that fold to one character under (?i)");
  EXPECT_EQ(Refusal("(?i:é)"), "pattern '(?i:é)', character 5: a class or a letter beyond ASCII under (?i)");
}

TEST(PatternTest, LooksAround) {
  EXPECT_EQ(Matches(R"(\s+(?!\S)|\s+)", "a   b "), (Spans{"  ", " ", " "}));
  EXPECT_EQ(Matches("(?<=a|bc)d", "ad bcd d"), (Spans{"d", "d"}));
  EXPECT_EQ(Matches("(?<!a|bc)d", "ad bcd d"), (Spans{"d"}));
  EXPECT_EQ(Refusal("x(?<=a*)d"), "pattern 'x(?<=a*)d', character 2: a look-behind of no fixed length");
}

TEST(PatternTest, RefusesByPlace) {
  EXPECT_EQ(Refusal("a(b"), "pattern 'a(b', character 2: '(' without ')'");
  EXPECT_EQ(Refusal("é)"), "pattern 'é)', character 2: ')' without '('");
  EXPECT_EQ(Refusal(R"((a)\1)"), R"(pattern '(a)\1', character 4: an escape that is not understood)");
  EXPECT_EQ(Refusal("a{2}?"), "pattern 'a{2}?', character 5: '{n}?', whose meaning differs between engines");
  EXPECT_EQ(Refusal("[a-c-e]"), R"(pattern '[a-c-e]', character 5: '-' that is no range; write '\-')");
  EXPECT_EQ(Refusal("(?:a?)*"), "pattern '(?:a?)*', character 1: a repeat of what may be empty");
  EXPECT_EQ(Refusal(R"(\p{Klingon})"),
            R"(pattern '\p{Klingon}', character 1: the property 'klingon', which this build does not know)");
  EXPECT_NE(Refusal(std::string(100, '(') + std::string(100, ')')), "taken");
  EXPECT_NE(Refusal("(?:(?:a{1000}){1000}){1000}"), "taken");
  EXPECT_NE(Refusal("(?m:a)"), "taken");
}

// Each of these is at least quadratic for an engine that forgets.
TEST(PatternTest, WorkIsLinear) {
  constexpr size_t kBytes = 1 << 20;
  EXPECT_EQ(Matches(R"(\s+$)", std::string(kBytes, ' ') + "x"), Spans{});
  EXPECT_EQ(Matches(R"(\s++$)", std::string(kBytes, ' ') + "x"), Spans{});
  EXPECT_EQ(Matches("(?:a|aa)+b", std::string(kBytes, 'a')), Spans{});
  EXPECT_EQ(Matches("a.*?b", std::string(kBytes, 'a')), Spans{});
  EXPECT_EQ(Matches(R"(\d{1,3}(?=(?:\d{3})*\b))", std::string(kBytes, '1')).size(), (kBytes + 2) / 3);
}

// A text of 400 bytes may take what this pattern does with it, many of them may not.
TEST(PatternTest, ManyTextsAllowNoMoreWorkThanOneLongOne) {
  const auto pattern = CompiledPattern::Compile("(?>(?:ab|a)+)c");
  ASSERT_TRUE(pattern.ok()) << pattern.status().ToString();
  const std::string text(400, 'a');
  const auto search = (*pattern)->NewSearch(text);
  ASSERT_TRUE(search->Next(0).ok());
  Code last = Code::kOk;
  for (int i = 0; i < 1000 && last == Code::kOk; ++i) {
    search->Reset(text);
    last = search->Next(0).status().code();
  }
  EXPECT_EQ(last, Code::kResourceExhausted);
}

}  // namespace
}  // namespace millrace::text
