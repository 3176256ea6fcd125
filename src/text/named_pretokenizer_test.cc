#include "text/named_pretokenizer.h"

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "text/pattern_classes.h"

namespace millrace::text {
namespace {

using Pieces = std::vector<std::string>;

Pieces Cut(std::string_view name, std::string_view text) {
  const auto pre_tokenizer = NamedPreTokenizer::Create(name);
  EXPECT_TRUE(pre_tokenizer.ok()) << pre_tokenizer.status().ToString();
  Pieces out;
  const Status status = (*pre_tokenizer)->Split(text, [&](std::string_view piece) {
    EXPECT_FALSE(piece.empty());
    out.emplace_back(piece);
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  std::string joined;
  for (const std::string& piece : out) joined += piece;
  EXPECT_EQ(joined, text);
  return out;
}

TEST(PreTokenizerTest, Gpt2) {
  EXPECT_EQ(Cut("gpt-2", "Hello world! It's  2024."), (Pieces{"Hello", " world", "!", " It", "'s", " ", " 2024", "."}));
  EXPECT_EQ(Cut("gpt-2", "a \n b"), (Pieces{"a", " \n", " b"}));
  EXPECT_EQ(Cut("gpt-2", "a   "), (Pieces{"a", "   "}));
  EXPECT_EQ(Cut("gpt-2", "'S we'LL"), (Pieces{"'", "S", " we", "'", "LL"}));
  EXPECT_EQ(Cut("gpt-2", ""), Pieces{});
}

TEST(PreTokenizerTest, SmollmCutsDigitsFirst) {
  EXPECT_EQ(Cut("smollm", "in 2024"), (Pieces{"in", " ", "2", "0", "2", "4"}));
  // The spaces before a digit are the end of their piece: the look-ahead does not see the digit.
  EXPECT_EQ(Cut("smollm", "a  1"), (Pieces{"a", "  ", "1"}));
  EXPECT_EQ(Cut("gpt-2", "a  1"), (Pieces{"a", " ", " 1"}));
  EXPECT_EQ(Cut("smollm", "x²½Ⅷ٣"), (Pieces{"x", "²", "½", "Ⅷ", "٣"}));
}

TEST(PreTokenizerTest, Llama3) {
  EXPECT_EQ(Cut("llama-bpe", "I'LL pay 12345$\r\n\r\n ok"), (Pieces{"I", "'LL", " pay", " ", "123", "45", "$\r\n\r\n", " ok"}));
  EXPECT_EQ(Cut("llama-bpe", "it'\u017F"), (Pieces{"it", "'\u017F"}));  // case folding beyond ASCII, as in the original
  EXPECT_TRUE((*NamedPreTokenizer::Create("llama-bpe"))->whole_words_first());
  EXPECT_FALSE((*NamedPreTokenizer::Create("smollm"))->whole_words_first());
}

TEST(PreTokenizerTest, DefaultCutsThreeDigitsAndPunctuation) {
  EXPECT_EQ(Cut("default", "a,b 12345"), (Pieces{"a", ",", "b", " ", "123", "45"}));
}

TEST(PreTokenizerTest, UnknownNameListsTheKnownOnes) {
  const auto result = NamedPreTokenizer::Create("nope");
  EXPECT_EQ(result.status().code(), Code::kUnsupported);
  EXPECT_NE(result.status().message().find("'nope': expected one of gpt-2"), std::string::npos) << result.status().message();
  EXPECT_NE(result.status().message().find("smollm"), std::string::npos);
}

TEST(PreTokenizerTest, StopsWhenTold) {
  const auto pre_tokenizer = *NamedPreTokenizer::Create("smollm");
  int pieces = 0;
  ASSERT_TRUE(pre_tokenizer->Split("a b 1 2 c d", [&](std::string_view) { return ++pieces < 3; }).ok());
  EXPECT_EQ(pieces, 3);
}

// What the classes are must not depend on the Unicode version of the regular expression library.
TEST(PreTokenizerTest, ClassesAreOurTables) {
  EXPECT_STREQ(kPatternUnicodeVersion, "16.0.0");
  // New in Unicode 15: Kawi letter and digit. Unassigned in 16: an Arabic letter of version 17.
  EXPECT_EQ(Cut("gpt-2", "\U00011F04a"), (Pieces{"\U00011F04a"}));
  EXPECT_EQ(Cut("smollm", "\U00011F50a"), (Pieces{"\U00011F50", "a"}));
  EXPECT_EQ(Cut("gpt-2", "\u088Fa"), (Pieces{"\u088F", "a"}));
  // White space by White_Space: U+0085 is, U+180E, U+200B and U+001C are not.
  EXPECT_EQ(Cut("gpt-2", "a\u0085\u0085b"), (Pieces{"a", "\u0085", "\u0085", "b"}));
  EXPECT_EQ(Cut("gpt-2", "a\u180E\u180Eb"), (Pieces{"a", "\u180E\u180E", "b"}));
  EXPECT_EQ(Cut("gpt-2", "a\u200B!b"), (Pieces{"a", "\u200B!", "b"}));
  EXPECT_EQ(Cut("gpt-2", "a\x1C\x1C!"), (Pieces{"a", "\x1C\x1C!"}));
}

TEST(PreTokenizerTest, EveryRangeEdgeIsInItsClass) {
  std::string letters;
  for (const CodePointRange& range : kLRanges) {
    Utf8Append(range.first, letters);
    Utf8Append(range.last, letters);
  }
  EXPECT_EQ(Cut("gpt-2", letters), Pieces{letters});
  std::string numbers;
  for (const CodePointRange& range : kNRanges) {
    Utf8Append(range.first, numbers);
    Utf8Append(range.last, numbers);
  }
  EXPECT_EQ(Cut("gpt-2", numbers), Pieces{numbers});
  EXPECT_EQ(Cut("smollm", numbers).size(), 2 * std::size(kNRanges));
  std::string spaces;
  for (const CodePointRange& range : kWhiteSpaceRanges) Utf8Append(range.first, spaces);
  EXPECT_EQ(Cut("gpt-2", spaces), Pieces{spaces});
}

// No input meets the match limit, whatever the pattern has to back out of.
TEST(PreTokenizerTest, LongRunsAreCutWithoutMeetingALimit) {
  const std::vector<std::string> units = {"a", " ", "\n", "1", "!", "\u3000", "漢", " \n", "'s", "a ", " '", "\r\n\t", "😀"};
  for (const char* name : {"gpt-2", "smollm", "llama-bpe", "default"}) {
    for (const std::string& unit : units) {
      std::string text;
      while (text.size() < 200'000) text += unit;
      EXPECT_FALSE(Cut(name, text).empty()) << name << " " << unit;
      EXPECT_FALSE(Cut(name, text + "x").empty()) << name << " " << unit;
    }
  }
}

}  // namespace
}  // namespace millrace::text
