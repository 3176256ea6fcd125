#include "text/vocabulary.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <functional>

#include "text/byte_alphabet.h"
#include "text/test_vocabulary.h"

namespace millrace::text {
namespace {

TokenizerSpec ChatSpec() {
  TokenizerSpec spec =
      SmallVocabulary({{"t", "h"}, {"th", "e"}, {" ", "the"}, {"h", "e"}},
                      {{"<|end|>", TokenType::kControl}, {"<b>", TokenType::kUserDefined}, {"<unk>", TokenType::kUnknown}});
  spec.eos = 260;
  return spec;
}

std::string BuildError(const std::function<void(TokenizerSpec&)>& spoil) {
  TokenizerSpec spec = ChatSpec();
  spoil(spec);
  const auto built = Vocabulary::Build(std::move(spec));
  if (built.ok()) return "built";
  EXPECT_EQ(built.status().code(), Code::kInvalidArgument);
  return built.status().message();
}

TEST(ByteAlphabetTest, IsThatOfGpt2) {
  EXPECT_EQ(AlphabetFromBytes(" \n\tA\x7F\xA0\xAD\xFF"), "ĠĊĉAġłŃÿ");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  EXPECT_EQ(BytesFromAlphabet(AlphabetFromBytes(all)), all);
  EXPECT_EQ(BytesFromAlphabet("a b"), std::nullopt);
  EXPECT_EQ(BytesFromAlphabet("漢"), std::nullopt);
  EXPECT_EQ(BytesFromAlphabet("\xC4"), std::nullopt);
}

TEST(VocabularyTest, TokensStandForBytes) {
  const auto vocabulary = *Vocabulary::Build(ChatSpec());
  ASSERT_EQ(vocabulary->size(), 263U);
  EXPECT_EQ(vocabulary->Text(0), std::string_view("\0", 1));
  EXPECT_EQ(vocabulary->Text(0xE2), "\xE2");
  EXPECT_EQ(vocabulary->Text(258), " the");
  EXPECT_EQ(vocabulary->Find("Ġthe"), 258);
  EXPECT_EQ(vocabulary->Find(" the"), std::nullopt);
  EXPECT_EQ(vocabulary->Text(-1), "");
  EXPECT_EQ(vocabulary->Text(263), "");
  EXPECT_FALSE(vocabulary->Contains(263));
  EXPECT_EQ(vocabulary->Type(263), TokenType::kUnused);
}

TEST(VocabularyTest, KnowsWhatIsNotText) {
  const auto vocabulary = *Vocabulary::Build(ChatSpec());
  EXPECT_TRUE(vocabulary->IsControl(260));
  EXPECT_FALSE(vocabulary->IsControl(261));
  EXPECT_TRUE(vocabulary->IsControl(262));
  EXPECT_FALSE(vocabulary->IsControl(258));
  EXPECT_FALSE(vocabulary->IsControl(-1));
  EXPECT_TRUE(vocabulary->IsEndOfSequence(260));
  EXPECT_FALSE(vocabulary->IsEndOfSequence(261));
}

TEST(VocabularyTest, EndOfSequenceIdsAreOrderedAndIncludeEos) {
  TokenizerSpec spec = ChatSpec();
  spec.end_of_sequence = {262, 260, 262, 1};
  const auto vocabulary = *Vocabulary::Build(std::move(spec));
  EXPECT_EQ(vocabulary->end_of_sequence(), (std::vector<TokenId>{1, 260, 262}));
}

TEST(VocabularyTest, RefusesWhatContradictsItself) {
  using Spec = TokenizerSpec;
  EXPECT_EQ(BuildError([](Spec&) {}), "built");
  EXPECT_EQ(BuildError([](Spec& s) { s.tokens.clear(); }), "0 tokens, expected 1 to 1048576");
  EXPECT_EQ(BuildError([](Spec& s) { s.token_types.pop_back(); }), "262 token types for 263 tokens");
  EXPECT_EQ(BuildError([](Spec& s) { s.tokens[3] = std::string("a"); }), "token 97: text 'a' is that of token 3 too");
  EXPECT_EQ(BuildError([](Spec& s) { s.tokens[3] = std::string("\xFF"); }), "token 3: text is not well-formed UTF-8");
  EXPECT_EQ(BuildError([](Spec& s) { s.tokens[3].assign(4097, 'x'); }), "token 3: text of 4097 bytes, expected at most 4096");
  EXPECT_EQ(BuildError([](Spec& s) { s.tokens[261].assign(1025, 'x'); }), "token 261: text of 1025 bytes, expected at most 1024");
  EXPECT_EQ(BuildError([](Spec& s) { s.token_types[3] = static_cast<TokenType>(9); }), "token 3: type 9 is none of 0 to 5");
  EXPECT_EQ(BuildError([](Spec& s) { s.bos = 263; }), "beginning of sequence is token 263 of 263");
  EXPECT_EQ(BuildError([](Spec& s) { s.eos = -2; }), "end of sequence is token -2 of 263");
  EXPECT_EQ(BuildError([](Spec& s) { s.unk = 1 << 30; }), "unknown is token 1073741824 of 263");
  EXPECT_EQ(BuildError([](Spec& s) { s.pad = 263; }), "padding is token 263 of 263");
  EXPECT_EQ(BuildError([](Spec& s) { s.end_of_sequence = {0, 300}; }), "end of sequence is token 300 of 263");
  EXPECT_EQ(BuildError([](Spec& s) { s.prefix = {263}; }), "prefix is token 263 of 263");
  EXPECT_EQ(BuildError([](Spec& s) { s.suffix.assign(17, 0); }), "17 tokens around a text, expected at most 16");
  EXPECT_EQ(BuildError([](Spec& s) { s.decoders = {ReplaceDecoder{"", "x"}}; }), "decoder step 0: Replace: nothing to look for");
}

// 2000 tokens of 1 KiB that become 64 KiB each.
void Grow(TokenizerSpec& spec, TokenType type) {
  for (int i = 0; i < 2000; ++i) {
    spec.tokens.push_back(fmt::format("{:04}", i).append(1020, 'x'));
    spec.token_types.push_back(type);
  }
}

TEST(VocabularyTest, TextsThatGrowAreCounted) {
  EXPECT_EQ(BuildError([](TokenizerSpec& spec) {
              Grow(spec, TokenType::kNormal);
              spec.decoders = {ReplaceDecoder{"x", std::string(64, 'y')}};
            }),
            "token 1290: decoded: all texts together pass 67108864 bytes");
  EXPECT_EQ(BuildError([](TokenizerSpec& spec) {
              Grow(spec, TokenType::kUserDefined);
              for (TokenId id = 263; id < 2263; ++id) spec.added.push_back({.id = id, .normalized = true});
              ReplaceText replace;
              replace.pattern.text = "x";
              replace.content.assign(64, 'y');
              spec.normalizers.emplace_back(replace);
            }),
            "token 1290: all normalized texts together pass 67108864 bytes");
}

TEST(VocabularyTest, EmptyAndUnusedTokensMayRepeat) {
  TokenizerSpec spec = ChatSpec();
  for (int i = 0; i < 2; ++i) {
    spec.tokens.push_back("");
    spec.token_types.push_back(TokenType::kNormal);
    spec.tokens.push_back("a");
    spec.token_types.push_back(TokenType::kUnused);
  }
  const auto vocabulary = Vocabulary::Build(std::move(spec));
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status().ToString();
  EXPECT_EQ((*vocabulary)->Find("a"), 'a');
}

TEST(VocabularyTest, FingerprintCoversEveryField) {
  const auto print = [](const std::function<void(TokenizerSpec&)>& change) {
    TokenizerSpec spec = ChatSpec();
    change(spec);
    return (*Vocabulary::Build(std::move(spec)))->fingerprint();
  };
  const uint64_t same = print([](TokenizerSpec&) {});
  EXPECT_EQ(print([](TokenizerSpec& s) { s.end_of_sequence = {260}; }), same);  // eos says so already
  const std::vector<std::function<void(TokenizerSpec&)>> changes = {
      [](TokenizerSpec& s) { s.tokens[261] = std::string("<i>"); },
      [](TokenizerSpec& s) { std::swap(s.tokens[5], s.tokens[6]); },
      [](TokenizerSpec& s) { s.token_types[261] = TokenType::kControl; },
      [](TokenizerSpec& s) { std::swap(std::get<BpeModel>(s.model).merges[0], std::get<BpeModel>(s.model).merges[3]); },
      [](TokenizerSpec& s) { std::get<BpeModel>(s.model).merges.pop_back(); },
      [](TokenizerSpec& s) { std::get<BpeModel>(s.model).ignore_merges = true; },
      [](TokenizerSpec& s) { s.model = WordLevelModel{}; },
      [](TokenizerSpec& s) { s.model = ScoredBpeModel{.scores = {0.5F}}; },
      [](TokenizerSpec& s) { s.model = UnigramModel{.scores = {0.5}}; },
      [](TokenizerSpec& s) { s.added = {AddedToken{.id = 261}}; },
      [](TokenizerSpec& s) { s.added = {AddedToken{.id = 261, .lstrip = true}}; },
      [](TokenizerSpec& s) { s.normalizers = {Lowercase{}}; },
      [](TokenizerSpec& s) { s.normalizers = {StripAccents{}}; },
      [](TokenizerSpec& s) { s.normalizers = {BertNormalizer{}}; },
      [](TokenizerSpec& s) { s.normalizers = {BertNormalizer{.strip_accents = false}}; },
      [](TokenizerSpec& s) { s.pre_tokenizers.clear(); },
      [](TokenizerSpec& s) { s.pre_tokenizers[0] = DigitsSplit{.individual = false}; },
      [](TokenizerSpec& s) { s.decoders.push_back(FuseDecoder{}); },
      [](TokenizerSpec& s) { s.clean_up_spaces = true; },
      [](TokenizerSpec& s) { s.prefix = {260}; },
      [](TokenizerSpec& s) { s.suffix = {260}; },
      [](TokenizerSpec& s) { s.bos = 260; },
      [](TokenizerSpec& s) { s.eos = 261; },
      [](TokenizerSpec& s) { s.unk = 262; },
      [](TokenizerSpec& s) { s.pad = 262; },
      [](TokenizerSpec& s) { s.end_of_sequence = {261}; },
  };
  std::vector<uint64_t> prints = {same};
  for (const auto& change : changes) prints.push_back(print(change));
  for (size_t i = 0; i < prints.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(prints[i], prints[j]) << i << " and " << j;
  }
}

}  // namespace
}  // namespace millrace::text
