// Honest files: what is written is read, and typed access keeps its word.
#include "weights/gguf.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "weights/testing/gguf_builder.h"

namespace millrace::weights {
namespace {

using testing::AsBytes;
using testing::GgufBuilder;

GgufBuilder Sample() {
  GgufBuilder builder;
  builder.String("general.architecture", "llama").U32("llama.block_count", 2).F32("llama.rope.freq_base", 10000.0F);
  builder.Bool("tokenizer.ggml.add_bos_token", true);
  builder.Strings("tokenizer.ggml.tokens", {"a", "", "\xC4\xA0t", std::string("\xFF\x00z", 3)});
  builder.Numbers<int32_t>("tokenizer.ggml.token_type", GgufType::kInt32, {3, 1, -7, 6});
  builder.Numbers<float>("tokenizer.ggml.scores", GgufType::kFloat32, {0.5F, -2.0F});
  builder.Filled("token_embd.weight", {64, 3}, DType::kQ8_0, 1).Filled("output_norm.weight", {7}, DType::kF32, 2);
  builder.Filled("blk.0.attn_q.weight", {32, 2}, DType::kQ4_1, 3).Filled("experts", {32, 2, 5}, DType::kF16, 4);
  return builder;
}

TEST(GgufFile, ReadsTensorsAsRowsAndColumns) {
  const std::string image = Sample().Build();
  const auto file = GgufFile::Parse(AsBytes(image));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->version(), 3u);
  ASSERT_EQ(file->tensors().size(), 4u);

  const TensorView* embedding = file->FindTensor("token_embd.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->dtype, DType::kQ8_0);
  EXPECT_EQ(embedding->rank, 2u);
  EXPECT_EQ(embedding->rows, 3u);
  EXPECT_EQ(embedding->cols, 64u);
  EXPECT_EQ(embedding->row_bytes(), 68u);
  ASSERT_EQ(embedding->data.size(), 204u);
  for (const std::byte b : embedding->data) EXPECT_EQ(b, std::byte{1});

  const TensorView* norm = file->FindTensor("output_norm.weight");
  ASSERT_NE(norm, nullptr);
  EXPECT_EQ(norm->rows, 1u);
  EXPECT_EQ(norm->cols, 7u);
  ASSERT_EQ(norm->data.size(), 28u);
  EXPECT_EQ(norm->data.front(), std::byte{2});
  EXPECT_EQ(norm->data.back(), std::byte{2});

  const TensorView* experts = file->FindTensor("experts");
  ASSERT_NE(experts, nullptr);
  EXPECT_EQ(experts->rank, 3u);
  EXPECT_EQ(experts->rows, 10u);
  EXPECT_EQ(experts->dims, (std::array<uint64_t, 4>{32, 2, 5, 1}));
  EXPECT_EQ(experts->data.back(), std::byte{4});

  EXPECT_EQ(file->FindTensor("token_embd"), nullptr);
  EXPECT_EQ(file->tensor_bytes(), 204u + 28u + 40u + 640u);
}

TEST(GgufFile, ReadsVersionTwo) {
  GgufBuilder builder = Sample();
  builder.version = 2;
  const std::string image = builder.Build();
  const auto file = GgufFile::Parse(AsBytes(image));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->version(), 2u);
}

TEST(GgufFile, ReadsAFileOfMetadataOnly) {
  GgufBuilder builder;
  builder.String("general.architecture", "llama");
  const std::string image = builder.Build();
  const auto file = GgufFile::Parse(AsBytes(image));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_TRUE(file->tensors().empty());
}

TEST(GgufFile, HonoursItsOwnAlignment) {
  GgufBuilder builder;
  builder.alignment = 256;
  builder.U32("general.alignment", 256).Filled("a", {4}, DType::kF32, 5).Filled("b", {4}, DType::kF32, 6);
  const std::string image = builder.Build();
  const auto file = GgufFile::Parse(AsBytes(image));
  ASSERT_TRUE(file.ok()) << file.status().message();
  const auto* b = file->FindTensor("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ((b->data.data() - AsBytes(image).data()) % 256, 0);
  EXPECT_EQ(b->data[0], std::byte{6});
}

TEST(GgufFile, TypedAccess) {
  const std::string image = Sample().Build();
  const auto file = GgufFile::Parse(AsBytes(image));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(*file->GetString("general.architecture"), "llama");
  EXPECT_EQ(*file->GetU32("llama.block_count"), 2u);
  EXPECT_EQ(*file->GetU64("llama.block_count"), 2u);
  EXPECT_EQ(*file->GetF32("llama.rope.freq_base"), 10000.0F);
  EXPECT_TRUE(*file->GetBool("tokenizer.ggml.add_bos_token"));
  EXPECT_EQ(*file->GetI32Array("tokenizer.ggml.token_type"), (std::vector<int32_t>{3, 1, -7, 6}));
  EXPECT_EQ(*file->GetF32Array("tokenizer.ggml.scores"), (std::vector<float>{0.5F, -2.0F}));
  EXPECT_EQ(*file->GetU32Or("absent", 9), 9u);
  EXPECT_EQ(*file->GetU32Or("llama.block_count", 9), 2u);
  EXPECT_EQ(*file->GetF32Or("absent", 1.5F), 1.5F);
  EXPECT_FALSE(*file->GetBoolOr("absent", false));
}

TEST(GgufFile, StringArraysAreViewsInOrder) {
  const std::string image = Sample().Build();
  const auto file = GgufFile::Parse(AsBytes(image));
  ASSERT_TRUE(file.ok());
  const auto tokens = file->GetStringArray("tokenizer.ggml.tokens");
  ASSERT_TRUE(tokens.ok());
  EXPECT_EQ(tokens->size(), 4u);
  std::vector<std::string> read;
  for (const std::string_view token : *tokens) {
    read.emplace_back(token);
    EXPECT_GE(token.data(), image.data());
    EXPECT_LE(token.data() + token.size(), image.data() + image.size());
  }
  EXPECT_EQ(read, (std::vector<std::string>{"a", "", "\xC4\xA0t", std::string("\xFF\x00z", 3)}));
}

TEST(GgufFile, StringArrayStaysInsideWhenTheBytesChangeLater) {
  GgufBuilder builder;
  builder.Strings("list", {"first", "second"});
  std::string image = builder.Build();
  const auto file = GgufFile::Parse(AsBytes(image));
  ASSERT_TRUE(file.ok());
  const size_t length_at = image.find("first") - 8;
  image.replace(length_at, 8, std::string(8, '\xFF'));
  size_t seen = 0;
  const auto list = file->GetStringArray("list");
  ASSERT_TRUE(list.ok());
  for (const std::string_view text : *list) {
    ++seen;
    EXPECT_LE(text.size(), image.size());
  }
  EXPECT_EQ(seen, 2u);
}

TEST(GgufFile, IntegersOfAnyWidthThatFit) {
  GgufBuilder builder;
  builder.Add<uint8_t>("u8", GgufType::kUint8, 200)
      .Add<int8_t>("i8", GgufType::kInt8, -3)
      .Add<uint16_t>("u16", GgufType::kUint16, 60000);
  builder.Add<int64_t>("i64", GgufType::kInt64, 5).Add<uint64_t>("u64", GgufType::kUint64, 1ULL << 40);
  builder.Add<int64_t>("least", GgufType::kInt64, INT64_MIN).Add<double>("f64", GgufType::kFloat64, 0.25);
  const std::string image = builder.Build();
  const auto file = GgufFile::Parse(AsBytes(image));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(*file->GetU32("u8"), 200u);
  EXPECT_EQ(*file->GetU32("u16"), 60000u);
  EXPECT_EQ(*file->GetU32("i64"), 5u);
  EXPECT_EQ(*file->GetU64("u64"), 1ULL << 40);
  EXPECT_EQ(*file->GetF32("f64"), 0.25F);
  EXPECT_EQ(file->GetU32("u64").status().message(),
            "metadata 'u64': expected a whole number of at most 4294967295, found 1099511627776");
  EXPECT_EQ(file->GetU32("i8").status().message(), "metadata 'i8': expected a whole number of at most 4294967295, found -3");
  EXPECT_EQ(file->GetU64("least").status().message(),
            "metadata 'least': expected a whole number of at most 18446744073709551615, found -9223372036854775808");
}

TEST(GgufFile, WrongTypesNameKeyExpectedAndFound) {
  const std::string image = Sample().Build();
  const auto file = GgufFile::Parse(AsBytes(image));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->GetU32("nothing").status().code(), Code::kDataLoss);
  EXPECT_EQ(file->GetU32("nothing").status().message(), "metadata 'nothing': missing");
  EXPECT_EQ(file->GetU32("general.architecture").status().message(),
            "metadata 'general.architecture': expected a whole number, found string");
  EXPECT_EQ(file->GetString("llama.block_count").status().message(), "metadata 'llama.block_count': expected string, found u32");
  EXPECT_EQ(file->GetStringArray("tokenizer.ggml.scores").status().message(),
            "metadata 'tokenizer.ggml.scores': expected array of string, found array of 2 f32");
  EXPECT_EQ(file->GetI32Array("general.architecture").status().message(),
            "metadata 'general.architecture': expected array of i32, found string");
  EXPECT_EQ(file->GetBool("llama.block_count").status().message(), "metadata 'llama.block_count': expected bool, found u32");
  EXPECT_EQ(file->GetU32Or("general.architecture", 1).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(file->GetF32Or("llama.block_count", 1).status().code(), Code::kInvalidArgument);
}

TEST(GgufFile, StringValuesMustBeUtf8WhenRead) {
  GgufBuilder builder;
  builder.String("bad", "\xFF\xFE");
  const std::string image = builder.Build();
  const auto file = GgufFile::Parse(AsBytes(image));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->GetString("bad").status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace millrace::weights
