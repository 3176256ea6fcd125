#include "text/special_tokens.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace millrace::text {
namespace {

using Spans = std::vector<std::pair<size_t, TokenId>>;

Spans FindAll(const SpecialTokens& specials, std::string_view text) {
  Spans out;
  size_t from = 0;
  while (const auto match = specials.Find(text, from)) {
    EXPECT_GE(match->begin, from);
    EXPECT_GT(match->end, match->begin);
    out.emplace_back(match->begin, match->token);
    from = match->end;
  }
  return out;
}

TEST(SpecialTokensTest, LeftmostThenLongest) {
  const SpecialTokens specials({{"<a>", 1}, {"<a><b>", 2}, {"<b>", 3}, {"b>c", 4}, {"<", 5}});
  EXPECT_EQ(FindAll(specials, "x<a>y"), (Spans{{1, 1}}));
  EXPECT_EQ(FindAll(specials, "<a><b><b>"), (Spans{{0, 2}, {6, 3}}));
  EXPECT_EQ(FindAll(specials, "<b>c"), (Spans{{0, 3}}));  // begins before "b>c" does
  EXPECT_EQ(FindAll(specials, "b>c<b"), (Spans{{0, 4}, {3, 5}}));
  EXPECT_EQ(FindAll(specials, "<a><"), (Spans{{0, 1}, {3, 5}}));
  EXPECT_EQ(FindAll(specials, ""), Spans{});
}

TEST(SpecialTokensTest, NoneAtAll) { EXPECT_EQ(FindAll(SpecialTokens({}), "<a>"), Spans{}); }

TEST(SpecialTokensTest, EqualsSearchByDefinition) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> texts;
    for (size_t i = 0; i < 1 + random() % 6; ++i) {
      std::string text;
      for (size_t j = 0; j < 1 + random() % 4; ++j) text += static_cast<char>('a' + random() % 2);
      texts.push_back(text);
    }
    std::vector<SpecialTokens::Entry> entries;
    for (size_t i = 0; i < texts.size(); ++i) entries.push_back({texts[i], static_cast<TokenId>(i)});
    std::string text;
    for (int i = 0; i < 30; ++i) text += static_cast<char>('a' + random() % 3);
    Spans expected;
    for (size_t at = 0; at < text.size();) {
      int best = -1;
      for (size_t i = 0; i < texts.size(); ++i) {
        const bool longer = best < 0 || texts[i].size() > texts[static_cast<size_t>(best)].size();
        if (std::string_view(text).substr(at).starts_with(texts[i]) && longer) best = static_cast<int>(i);
      }
      if (best >= 0) expected.emplace_back(at, best);
      at += best < 0 ? 1 : texts[static_cast<size_t>(best)].size();
    }
    ASSERT_EQ(FindAll(SpecialTokens(entries), text), expected) << text;
  }
}

}  // namespace
}  // namespace millrace::text
