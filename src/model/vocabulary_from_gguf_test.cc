#include "model/vocabulary_from_gguf.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "text/tokenizer.h"
#include "weights/testing/gguf_builder.h"

namespace millrace::model {
namespace {

using text::TokenType;
using weights::GgufFile;
using weights::GgufType;
using weights::testing::AsBytes;
using weights::testing::GgufBuilder;

const std::vector<std::string> kTokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "ab", "<|eot_id|>"};

GgufBuilder Sample() {
  GgufBuilder builder;
  builder.String("tokenizer.ggml.model", "gpt2").String("tokenizer.ggml.pre", "smollm");
  builder.Strings("tokenizer.ggml.tokens", kTokens).Strings("tokenizer.ggml.merges", {"a b"});
  // <|eot_id|> is an ordinary token here, so it ends nothing.
  builder.Numbers<int32_t>("tokenizer.ggml.token_type", GgufType::kInt32, {3, 3, 4, 1, 6, 5, 1});
  return builder;
}

Result<text::TokenizerSpec> Read(const GgufBuilder& builder, uint32_t vocab = 7) {
  const std::string image = builder.Build();
  const auto file = GgufFile::Parse(AsBytes(image));
  if (!file.ok()) return file.status();
  return TokenizerSpecFromGguf(*file, vocab);  // copies: may outlive the image
}

TEST(VocabularyFromGguf, FillsTheSpecification) {
  GgufBuilder builder = Sample();
  builder.U32("tokenizer.ggml.bos_token_id", 1).U32("tokenizer.ggml.eos_token_id", 2).U32("tokenizer.ggml.unknown_token_id", 0);
  builder.U32("tokenizer.ggml.padding_token_id", 2).Bool("tokenizer.ggml.add_bos_token", true);
  builder.Bool("tokenizer.ggml.add_space_prefix", true);
  const auto spec = Read(builder);
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->tokens, kTokens);
  ASSERT_EQ(std::get<text::BpeModel>(spec->model).merges.size(), 1U);
  EXPECT_EQ(std::get<text::BpeModel>(spec->model).merges[0].both, "ab");
  EXPECT_EQ(spec->token_types,
            (std::vector<TokenType>{TokenType::kControl, TokenType::kControl, TokenType::kUserDefined, TokenType::kNormal,
                                    TokenType::kByte, TokenType::kUnused, TokenType::kNormal}));
  EXPECT_EQ(spec->bos, 1);
  EXPECT_EQ(spec->eos, 2);
  EXPECT_FALSE(spec->unk);  // byte-level models leave out what has no token
  EXPECT_EQ(spec->pad, 2);
  EXPECT_EQ(spec->prefix, std::vector<TokenId>{1});
  EXPECT_EQ(spec->end_of_sequence, (std::vector<TokenId>{0, 2}));
}

TEST(VocabularyFromGguf, OptionalKeysMayBeAbsent) {
  GgufBuilder builder;
  builder.String("tokenizer.ggml.model", "gpt2").Strings("tokenizer.ggml.tokens", kTokens).Strings("tokenizer.ggml.merges", {});
  const auto spec = Read(builder);
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_TRUE(spec->token_types.empty());
  EXPECT_FALSE(spec->bos || spec->eos || spec->unk || spec->pad);
  EXPECT_TRUE(spec->prefix.empty());
  EXPECT_TRUE(spec->end_of_sequence.empty());
}

TEST(VocabularyFromGguf, EndOfTurnAndEndOfMessageIdsEndAnAnswer) {
  GgufBuilder builder = Sample();
  builder.U32("tokenizer.ggml.eos_token_id", 0).U32("tokenizer.ggml.eot_token_id", 4).U32("tokenizer.ggml.eom_token_id", 3);
  const auto spec = Read(builder);
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->end_of_sequence, (std::vector<TokenId>{0, 2, 3, 4}));
}

TEST(VocabularyFromGguf, LlamaThreeFilesExpectTheirBosUnlessTheySayOtherwise) {
  GgufBuilder builder;
  builder.String("tokenizer.ggml.model", "gpt2").String("tokenizer.ggml.pre", "llama-bpe").U32("tokenizer.ggml.bos_token_id", 1);
  builder.Strings("tokenizer.ggml.tokens", kTokens).Strings("tokenizer.ggml.merges", {});
  EXPECT_EQ(Read(builder)->prefix, std::vector<TokenId>{1});
  builder.Bool("tokenizer.ggml.add_bos_token", false);
  EXPECT_TRUE(Read(builder)->prefix.empty());
}

// Encodes as the vocabulary of `builder` says, with what comes around a text.
std::vector<TokenId> Encoded(const GgufBuilder& builder, std::string_view text, uint32_t vocab) {
  const auto spec = Read(builder, vocab);
  EXPECT_TRUE(spec.ok()) << spec.status().message();
  const auto tokenizer = text::Tokenizer::Create(*spec);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return *(*tokenizer)->Encode(text, {.add_prefix = true, .add_suffix = true, .parse_special = true});
}
using Ids = std::vector<TokenId>;

GgufBuilder Llama(const std::string& name) {
  GgufBuilder builder;
  builder.String("tokenizer.ggml.model", "llama").String("general.name", name);
  builder.Strings("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "<|end|>", "▁", "a", "▁a"});
  builder.Numbers<float>("tokenizer.ggml.scores", GgufType::kFloat32, {0, 0, 0, 0, -3, -2, -1});
  builder.Numbers<int32_t>("tokenizer.ggml.token_type", GgufType::kInt32, {2, 3, 3, 3, 1, 1, 1});
  return builder;
}

TEST(VocabularyFromGguf, SentencePieceBpe) {
  EXPECT_EQ(Encoded(Llama("x"), "a aé<|end|> a", 7), (Ids{1, 6, 6, 0, 3, 4, 6}));
  EXPECT_EQ(Encoded(Llama("Phi-3 mini"), "<|end|>  a", 7), (Ids{1, 3, 6}));  // takes the spaces along
  EXPECT_EQ(Encoded(Llama("x").Bool("tokenizer.ggml.add_space_prefix", false), "a a", 7), (Ids{1, 5, 6}));
  EXPECT_EQ(Encoded(Llama("x").Bool("tokenizer.ggml.remove_extra_whitespaces", true), "  a   a ", 7), (Ids{1, 6, 6}));
  EXPECT_EQ(Encoded(Llama("x").Bool("tokenizer.ggml.add_bos_token", false).Bool("tokenizer.ggml.add_eos_token", true), "a", 7),
            (Ids{6, 2}));
  const auto spec = Read(Llama("x"), 7);
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ((*text::Tokenizer::Create(*spec))->Decode(Ids{1, 6, 6, 5}), "a aa");
}

TEST(VocabularyFromGguf, BpeOverText) {
  GgufBuilder builder;
  builder.String("tokenizer.ggml.model", "gemma4")
      .U32("tokenizer.ggml.bos_token_id", 0)
      .U32("tokenizer.ggml.unknown_token_id", 6);
  builder.Strings("tokenizer.ggml.tokens", {"<bos>", "a", "▁", "▁a", "<0xC3>", "<0xA9>", "<unk>"})
      .Strings("tokenizer.ggml.merges", {"▁ a"});
  builder.Numbers<int32_t>("tokenizer.ggml.token_type", GgufType::kInt32, {3, 1, 1, 1, 6, 6, 3});
  EXPECT_EQ(Encoded(builder, "a aé", 7), (Ids{0, 1, 3, 4, 5}));
}

TEST(VocabularyFromGguf, Unigram) {
  GgufBuilder builder;
  builder.String("tokenizer.ggml.model", "t5").Bool("tokenizer.ggml.add_space_prefix", true);
  builder.Strings("tokenizer.ggml.tokens", {"<pad>", "</s>", "<unk>", "▁a", "a", "aa"});
  builder.Numbers<float>("tokenizer.ggml.scores", GgufType::kFloat32, {0, 0, 0, -1, -2, -3});
  builder.Numbers<int32_t>("tokenizer.ggml.token_type", GgufType::kInt32, {3, 3, 2, 1, 1, 1});
  EXPECT_EQ(Encoded(builder, "aaa b", 6), (Ids{3, 5, 2, 1}));
}

TEST(VocabularyFromGguf, WordPiece) {
  GgufBuilder builder;
  builder.String("tokenizer.ggml.model", "bert").U32("tokenizer.ggml.unknown_token_id", 2).U32("tokenizer.ggml.cls_token_id", 0);
  builder.U32("tokenizer.ggml.seperator_token_id", 1).U32("tokenizer.ggml.padding_token_id", 3);
  builder.Strings("tokenizer.ggml.tokens", {"[CLS]", "[SEP]", "[UNK]", "[PAD]", "▁the", "re", "▁."});
  builder.Numbers<int32_t>("tokenizer.ggml.token_type", GgufType::kInt32, {3, 3, 3, 3, 1, 1, 1});
  EXPECT_EQ(Encoded(builder, "Thére. x", 7), (Ids{0, 4, 5, 6, 2, 1}));
  EXPECT_EQ(Read(builder, 7)->tokens[5], "##re");
}

TEST(VocabularyFromGguf, RowsNamedAfterTheirNumberAreUnused) {
  GgufBuilder builder;
  builder.String("tokenizer.ggml.model", "gpt2").String("tokenizer.ggml.pre", "gpt-2").Strings("tokenizer.ggml.merges", {});
  builder.Strings("tokenizer.ggml.tokens", {"[PAD0]", "a", "[PAD2]", "[PAD9]"});
  builder.Numbers<int32_t>("tokenizer.ggml.token_type", GgufType::kInt32, {1, 1, 4, 4});
  const auto spec = Read(builder, 4);
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->token_types,
            (std::vector<TokenType>{TokenType::kNormal, TokenType::kNormal, TokenType::kUnused, TokenType::kUserDefined}));
}

TEST(VocabularyFromGguf, ErrorsNameTheKey) {
  const auto message = [](const std::function<void(GgufBuilder&)>& change) {
    GgufBuilder builder = Sample();
    change(builder);
    return Read(builder).status().message();
  };
  EXPECT_EQ(Read(GgufBuilder()).status().message(), "metadata 'tokenizer.ggml.model': missing");
  EXPECT_EQ(Read(GgufBuilder().String("tokenizer.ggml.model", "rwkv")).status().message(),
            "metadata 'tokenizer.ggml.model': 'rwkv' is not supported; this build knows: gpt2 (byte-level BPE), llama "
            "(SentencePiece BPE), "
            "gemma4 (BPE over text), t5 (unigram), bert (WordPiece)");
  EXPECT_EQ(Read(GgufBuilder().String("tokenizer.ggml.model", "gpt2")).status().message(),
            "metadata 'tokenizer.ggml.tokens': missing");
  EXPECT_EQ(Read(Sample(), 8).status().message(),
            "metadata 'tokenizer.ggml.tokens': 7 tokens, but the model's embedding has 8 rows");
  EXPECT_EQ(message([](GgufBuilder& b) { b.U32("tokenizer.ggml.eos_token_id", 7); }),
            "metadata 'tokenizer.ggml.eos_token_id': 7, expected an id below 7");
  EXPECT_EQ(message([](GgufBuilder& b) { b.U32("tokenizer.ggml.eot_token_id", ~0U); }),
            "metadata 'tokenizer.ggml.eot_token_id': 4294967295, expected an id below 7");
  EXPECT_EQ(message([](GgufBuilder& b) { b.Bool("tokenizer.ggml.add_bos_token", true); }),
            "metadata 'tokenizer.ggml.add_bos_token': set, but there is no tokenizer.ggml.bos_token_id");

  GgufBuilder few;
  few.String("tokenizer.ggml.model", "gpt2").Strings("tokenizer.ggml.tokens", kTokens).Strings("tokenizer.ggml.merges", {});
  GgufBuilder odd = few;
  few.Numbers<int32_t>("tokenizer.ggml.token_type", GgufType::kInt32, {1, 1});
  EXPECT_EQ(Read(few).status().message(), "metadata 'tokenizer.ggml.token_type': 2 types for 7 tokens");
  odd.Numbers<int32_t>("tokenizer.ggml.token_type", GgufType::kInt32, {1, 1, 1, 9, 1, 1, 1});
  EXPECT_EQ(Read(odd).status().message(), "metadata 'tokenizer.ggml.token_type': token 3: type 9, expected 1 to 6");
}

}  // namespace
}  // namespace millrace::model
