#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

#include "base/utf8.h"
#include "text/test_vocabulary.h"

namespace millrace::text {
namespace {

constexpr TokenId kThe = 258;
constexpr TokenId kStart = 260;
constexpr TokenId kTag = 261;

TokenizerSpec ChatSpec() {
  TokenizerSpec spec = SmallVocabulary({{"t", "h"}, {"th", "e"}, {" ", "the"}, {"h", "e"}},
                                       {{"<|start|>", TokenType::kControl}, {"<b>", TokenType::kUserDefined}});
  spec.bos = kStart;
  return spec;
}

std::shared_ptr<const Tokenizer> MakeTokenizer(const TokenizerSpec& spec) {
  const auto tokenizer = Tokenizer::Create(spec);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  return *tokenizer;
}

using Ids = std::vector<TokenId>;

Ids BytesOf(std::string_view text) {
  Ids out;
  for (const char byte : text) out.push_back(static_cast<uint8_t>(byte));
  return out;
}

TEST(TokenizerTest, MergesWithinPieces) {
  const auto tokenizer = MakeTokenizer(ChatSpec());
  EXPECT_EQ(*tokenizer->Encode(" the the"), (Ids{kThe, kThe}));
  EXPECT_EQ(*tokenizer->Encode("the"), (Ids{257}));
  EXPECT_EQ(*tokenizer->Encode("he"), (Ids{259}));
  EXPECT_EQ(*tokenizer->Encode("t1he"), (Ids{'t', '1', 259}));
  EXPECT_EQ(*tokenizer->Encode(""), Ids{});
  EXPECT_EQ(*tokenizer->Encode("é"), (Ids{0xC3, 0xA9}));
}

TEST(TokenizerTest, ControlTextIsOnlyTextUnlessAskedFor) {
  const auto tokenizer = MakeTokenizer(ChatSpec());
  const std::string_view text = "the<|start|> the";
  EXPECT_EQ(*tokenizer->Encode(text, {.parse_special = true}), (Ids{257, kStart, kThe}));
  const Ids plain = *tokenizer->Encode(text);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), kStart), 0);
  EXPECT_EQ(tokenizer->Decode(plain), text);
}

TEST(TokenizerTest, TheModelMakesOnlyControlTokensOfItsOwnVocabulary) {
  TokenizerSpec spec;
  spec.tokens = {"<s>", "a", "<unk>"};
  spec.token_types = {TokenType::kControl, TokenType::kNormal, TokenType::kUnknown};
  spec.unk = 2;
  spec.model = WordLevelModel{};
  EXPECT_EQ(*MakeTokenizer(spec)->Encode("<s>"), Ids{2});
  spec.added = {{.id = 0, .in_model = true}};
  EXPECT_EQ(*MakeTokenizer(spec)->Encode("<s>"), Ids{0});
}

TEST(TokenizerTest, AMergeMakesNoControlToken) {
  const TokenizerSpec spec = SmallVocabulary({{"a", "b"}}, {{"ab", TokenType::kControl}});
  TokenizerSpec merged = spec;
  merged.tokens[256] = "cd";
  const auto tokenizer = Tokenizer::Create(merged);
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_EQ(tokenizer.status().message(), "merge 0 'a' + 'b': 'ab' is no token");
}

TEST(TokenizerTest, UserDefinedTokensAreFoundInBothCases) {
  const auto tokenizer = MakeTokenizer(ChatSpec());
  for (const bool parse_special : {false, true}) {
    EXPECT_EQ(*tokenizer->Encode("a<b>the", {.parse_special = parse_special}), (Ids{'a', kTag, 257}));
  }
}

TEST(TokenizerTest, TextBeforeASpecialTokenEndsThere) {
  const auto tokenizer = MakeTokenizer(ChatSpec());
  // Two spaces before a word give " " and " the"; before a special token they are one piece, here without a merge.
  EXPECT_EQ(*tokenizer->Encode("  the"), (Ids{' ', kThe}));
  EXPECT_EQ(*tokenizer->Encode("  <b>the"), (Ids{' ', ' ', kTag, 257}));
}

TEST(TokenizerTest, BeginningOfSequenceIsAddedOnce) {
  TokenizerSpec spec = ChatSpec();
  const auto without = MakeTokenizer(spec);
  EXPECT_EQ(*without->Encode("the", {.add_prefix = true}), (Ids{257}));  // the vocabulary does not ask for it
  spec.prefix = {kStart};
  const auto with = MakeTokenizer(spec);
  EXPECT_EQ(*with->Encode("the", {.add_prefix = true}), (Ids{kStart, 257}));
  EXPECT_EQ(*with->Encode("the", {.add_prefix = false}), (Ids{257}));
  EXPECT_EQ(*with->Encode("", {.add_prefix = true}), (Ids{kStart}));
  EXPECT_EQ(*with->Encode("<|start|>the", {.add_prefix = true, .parse_special = true}), (Ids{kStart, 257}));
  EXPECT_EQ(*with->Encode("<|start|><|start|>", {.add_prefix = true, .parse_special = true}), (Ids{kStart, kStart}));
  EXPECT_EQ((*with->Encode("<|start|>", {.add_prefix = true}))[0], kStart);
  EXPECT_EQ((*with->Encode("<|start|>", {.add_prefix = true}))[1], '<');
}

TEST(TokenizerTest, IllFormedUtf8IsReplaced) {
  const auto tokenizer = MakeTokenizer(ChatSpec());
  EXPECT_EQ(*tokenizer->Encode("a\xFFz"), BytesOf("a\uFFFDz"));
  EXPECT_EQ(*tokenizer->Encode("\xE2\x82"), BytesOf("\uFFFD"));
  EXPECT_EQ(*tokenizer->Encode("\xED\xA0\x80"), BytesOf("\uFFFD\uFFFD\uFFFD"));
}

TEST(TokenizerTest, MaxTokensIsALimitAndNotACut) {
  const auto tokenizer = MakeTokenizer(ChatSpec());
  EXPECT_TRUE(tokenizer->Encode("abc", {.max_tokens = 3}).ok());
  for (const std::string& text : {std::string("abcd"), std::string("a b c "), std::string(1 << 20, '1'), std::string("abc<b>")}) {
    const auto result = tokenizer->Encode(text, {.max_tokens = 3});
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
    EXPECT_EQ(result.status().message(), "the text has more than 3 tokens");
  }
  TokenizerSpec spec = ChatSpec();
  spec.prefix = {kStart};
  EXPECT_FALSE(MakeTokenizer(spec)->Encode("", {.add_prefix = true, .max_tokens = 0}).ok());
  EXPECT_TRUE(MakeTokenizer(spec)->Encode("<|start|>", {.add_prefix = true, .parse_special = true, .max_tokens = 1}).ok());
}

TEST(TokenizerTest, DecodeHidesControlTokensUnlessAskedFor) {
  const auto tokenizer = MakeTokenizer(ChatSpec());
  const Ids ids = {kStart, 257, kTag, -5, 100'000, 0xE2, 0x82, kStart, 0xAC, 0xFF};
  EXPECT_EQ(tokenizer->Decode(ids), "the<b>€\uFFFD");
  EXPECT_EQ(tokenizer->Decode(ids, true), "<|start|>the<b>\uFFFD<|start|>\uFFFD\uFFFD");
}

TEST(TokenizerTest, WholeWordsFirstWhereTheModelWantsIt) {
  // The merges of "abc" lead to "a", "bc".
  TokenizerSpec spec = SmallVocabulary({{"b", "c"}, {"a", "b"}, {"ab", "c"}});
  EXPECT_EQ(*MakeTokenizer(spec)->Encode("abc"), (Ids{'a', 256}));
  std::get<BpeModel>(spec.model).ignore_merges = true;
  spec.pre_tokenizers[0] = PatternSplit{
      {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       true}};
  spec.pre_tokenizers[1] = ByteLevelSplit{.use_regex = false};
  EXPECT_EQ(*MakeTokenizer(spec)->Encode("abc"), (Ids{258}));
}

TEST(TokenizerTest, SuffixIsAddedWhereAskedFor) {
  TokenizerSpec spec = ChatSpec();
  spec.prefix = {kStart};
  spec.suffix = {kTag, 'x'};
  const auto tokenizer = MakeTokenizer(spec);
  EXPECT_EQ(*tokenizer->Encode("a", {.add_prefix = true, .add_suffix = true}), (Ids{kStart, 'a', kTag, 'x'}));
  EXPECT_EQ(*tokenizer->Encode("a", {.add_suffix = true}), (Ids{'a', kTag, 'x'}));
  EXPECT_EQ(*tokenizer->Encode("a", {.add_prefix = true}), (Ids{kStart, 'a'}));
  EXPECT_FALSE(tokenizer->Encode("a", {.add_suffix = true, .max_tokens = 2}).ok());
}

std::string RandomUtf8(std::mt19937& random, size_t pieces) {
  const std::vector<std::string> choices = {"the", " ",         "\n", "é", "漢",     "😀", "1", "'s",
                                            "<b>", "<|start|>", "<|", "!", "\u3000", "\t", "x"};
  std::string out;
  for (size_t i = 0; i < pieces; ++i) out += choices[random() % choices.size()];
  return out;
}

TEST(TokenizerTest, DecodeGivesEncodedTextBack) {
  const auto tokenizer = MakeTokenizer(ChatSpec());
  std::mt19937 random(11);
  for (int round = 0; round < 500; ++round) {
    const std::string text = RandomUtf8(random, random() % 40);
    for (const bool parse_special : {false, true}) {
      EXPECT_EQ(tokenizer->Decode(*tokenizer->Encode(text, {.parse_special = parse_special}), true), text);
    }
  }
}

TEST(TokenizerTest, ManyThreadsShareOneTokenizer) {
  const auto tokenizer = MakeTokenizer(ChatSpec());
  std::mt19937 random(12);
  const std::string text = RandomUtf8(random, 2000);
  const Ids expected = *tokenizer->Encode(text);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (size_t i = 0; i < wrong.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 20; ++round) wrong[i] += *tokenizer->Encode(text) != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

}  // namespace
}  // namespace millrace::text
