#include "text/decoder.h"

#include <gtest/gtest.h>

#include <random>

#include "base/utf8.h"
#include "text/test_vocabulary.h"
#include "text/tokenizer.h"

namespace millrace::text {
namespace {

TokenizerSpec ChatSpec() {
  return SmallVocabulary({{"\xE2", "\x82"}, {"\xF0", "\x9F"}, {"\xAC", "t"}, {"t", "h"}},
                         {{"<|end|>", TokenType::kControl}, {"漢<", TokenType::kUserDefined}});
}

std::shared_ptr<const Vocabulary> ChatVocabulary() { return *Vocabulary::Build(ChatSpec()); }
constexpr TokenId kEuroHead = 256;  // E2 82
constexpr TokenId kEnd = 260;

TEST(IncrementalDecoderTest, HoldsBackAnIncompleteCodePoint) {
  const auto vocabulary = ChatVocabulary();
  IncrementalDecoder decoder(*vocabulary);
  EXPECT_EQ(decoder.Feed('a'), "a");
  EXPECT_EQ(decoder.Feed(kEuroHead), "");
  EXPECT_EQ(decoder.pending_bytes(), 2U);
  EXPECT_EQ(decoder.Feed(258), "€t");
  EXPECT_EQ(decoder.pending_bytes(), 0U);
  EXPECT_EQ(decoder.Flush(), "");
}

TEST(IncrementalDecoderTest, FlushReplacesWhatStaysIncomplete) {
  const auto vocabulary = ChatVocabulary();
  IncrementalDecoder decoder(*vocabulary);
  EXPECT_EQ(decoder.Feed(kEuroHead), "");
  EXPECT_EQ(decoder.Flush(), "\uFFFD");
  EXPECT_EQ(decoder.Flush(), "");
  EXPECT_EQ(decoder.Feed(0xAC), "\uFFFD");  // the head is gone
}

TEST(IncrementalDecoderTest, IllFormedBytesAreReplacedAsSoonAsTheyAreKnown) {
  const auto vocabulary = ChatVocabulary();
  IncrementalDecoder decoder(*vocabulary);
  EXPECT_EQ(decoder.Feed(0xFF), "\uFFFD");
  EXPECT_EQ(decoder.Feed(kEuroHead), "");
  EXPECT_EQ(decoder.Feed('x'), "\uFFFDx");
  EXPECT_EQ(decoder.Feed(0xED), "");
  EXPECT_EQ(decoder.Feed(0xA0), "\uFFFD\uFFFD");  // half of a surrogate pair
}

TEST(IncrementalDecoderTest, ControlTokensAreHiddenUnlessAskedFor) {
  const auto vocabulary = ChatVocabulary();
  IncrementalDecoder hidden(*vocabulary);
  EXPECT_EQ(hidden.Feed(kEuroHead), "");
  EXPECT_EQ(hidden.Feed(kEnd), "");
  EXPECT_EQ(hidden.Feed(0xAC), "€");
  IncrementalDecoder shown(*vocabulary, true);
  EXPECT_EQ(shown.Feed(kEnd), "<|end|>");
  EXPECT_EQ(shown.Feed(261), "漢<");
  EXPECT_EQ(shown.Feed(-1), "");
  EXPECT_EQ(shown.Feed(5000), "");
}

// Whatever the tokens: what comes out bit by bit is the full decode, each part is whole UTF-8, and little waits.
TEST(IncrementalDecoderTest, EqualsFullDecodeOfRandomTokens) {
  const auto tokenizer = *Tokenizer::Create(ChatSpec());
  const Vocabulary* vocabulary = &tokenizer->vocabulary();
  std::mt19937 random(5);
  const std::vector<TokenId> likely = {kEuroHead, 257,  258,  0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0x98,
                                       0x80,      0xC3, 0xA9, 0xF4, 0x8F, 0xED, 0xA0, 'a',  kEnd};
  for (int round = 0; round < 3000; ++round) {
    const bool show_special = round % 2 == 0;
    IncrementalDecoder decoder(*vocabulary, show_special);
    std::vector<TokenId> tokens;
    std::string text;
    for (size_t i = 0; i < random() % 40; ++i) {
      tokens.push_back(random() % 4 == 0 ? static_cast<TokenId>(random() % vocabulary->size())
                                         : likely[random() % likely.size()]);
      const std::string_view part = decoder.Feed(tokens.back());
      ASSERT_TRUE(Utf8IsValid(part));
      ASSERT_LE(decoder.pending_bytes(), 3U);
      text += part;
    }
    text += decoder.Flush();
    ASSERT_EQ(text, tokenizer->Decode(tokens, show_special));
  }
}

}  // namespace
}  // namespace millrace::text
