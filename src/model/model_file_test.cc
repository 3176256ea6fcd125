#include "model/model_file.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "model/rope.h"
#include "model/testing/llama_image.h"

namespace millrace::model {
namespace {

using testing::LlamaImage;
using weights::testing::AsBytes;

TEST(ModelFile, ReadsConfigAndTensorsByRole) {
  LlamaImage image;
  image.extra.String("general.name", "Tiny").F32("llama.rope.freq_base", 50000.0F);
  const std::string bytes = image.Build();
  const auto file = ModelFile::Parse(AsBytes(bytes));
  ASSERT_TRUE(file.ok()) << file.status().message();
  const ModelConfig& config = file->config();
  EXPECT_EQ(config.family, "llama");
  EXPECT_EQ(config.name, "Tiny");
  EXPECT_EQ(config.hidden, 64u);
  EXPECT_EQ(config.vocab, 32u);
  EXPECT_EQ(config.context_length, 256u);
  EXPECT_EQ(config.norm_epsilon, 1e-5F);
  ASSERT_EQ(config.ropes.size(), 1u);
  EXPECT_EQ(config.ropes[0].style, RopeStyle::kAdjacentPairs);
  EXPECT_EQ(config.ropes[0].dims(), 16u);
  EXPECT_EQ(config.ropes[0].frequencies, RopeFrequencies(16, 50000.0));
  EXPECT_TRUE(config.tied_head);
  ASSERT_EQ(config.layers.size(), 2u);
  for (const LayerConfig& layer : config.layers) {
    EXPECT_EQ(layer.heads, 4u);
    EXPECT_EQ(layer.kv_heads, 2u);
    EXPECT_EQ(layer.head_dim, 16u);
    EXPECT_EQ(layer.ffn, 96u);
  }
  EXPECT_EQ(file->Tensor(Role::kKey, 1).name, "blk.1.attn_k.weight");
  EXPECT_EQ(file->Tensor(Role::kKey, 1).rows, 32u);
  EXPECT_EQ(file->Tensor(Role::kDown, 0).name, "blk.0.ffn_down.weight");
  EXPECT_EQ(file->Tensor(Role::kDown, 0).cols, 96u);
  EXPECT_EQ(file->Tensor(Role::kOutputNorm).name, "output_norm.weight");
  EXPECT_EQ(file->Tensor(Role::kHead).name, "token_embd.weight");
}

TEST(ModelFile, NamesFromTheFileCannotSteerATerminal) {
  LlamaImage image;
  image.extra.String("general.name", "Ti\x1b[2Jny");
  const std::string bytes = image.Build();
  const auto file = ModelFile::Parse(AsBytes(bytes));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->config().name, "Ti?[2Jny");
}

TEST(ModelFile, AnUntiedHeadIsItsOwnTensor) {
  const std::string bytes = LlamaImage{.untied = true}.Build();
  const auto file = ModelFile::Parse(AsBytes(bytes));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_FALSE(file->config().tied_head);
  EXPECT_EQ(file->Tensor(Role::kHead).name, "output.weight");
  EXPECT_NE(file->Tensor(Role::kHead).data.data(), file->Tensor(Role::kEmbedding).data.data());
}

TEST(ModelFile, DefaultsOfOptionalKeys) {
  LlamaImage image{.kv_heads = 4};
  image.without = {"llama.attention.head_count_kv"};
  const std::string bytes = image.Build();
  const auto file = ModelFile::Parse(AsBytes(bytes));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->config().layers[0].kv_heads, 4u);
  EXPECT_EQ(file->config().ropes[0].frequencies, RopeFrequencies(16, 10000.0));
  EXPECT_EQ(file->config().name, "");
}

TEST(ModelFile, HeadSizeMayDifferFromHiddenByHeads) {
  LlamaImage image{.head_dim = 32};
  image.numbers = {{"llama.attention.key_length", 32}, {"llama.rope.dimension_count", 8}};
  const std::string bytes = image.Build();
  const auto file = ModelFile::Parse(AsBytes(bytes));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->config().layers[0].head_dim, 32u);
  EXPECT_EQ(file->config().ropes[0].dims(), 8u);
  EXPECT_EQ(file->Tensor(Role::kAttnOut, 0).cols, 128u);
}

TEST(ModelFile, NeutralValuesOfUnsupportedKeysPass) {
  LlamaImage image;
  image.extra.U32("llama.expert_count", 0).F32("llama.rope.scaling.factor", 1.0F).String("llama.rope.scaling.type", "none");
  image.extra.Bool("llama.attention.causal", true);
  const std::string bytes = image.Build();
  EXPECT_TRUE(ModelFile::Parse(AsBytes(bytes)).ok());
}

struct Wrong {
  std::string name;
  Code code;
  std::string message;  // whole
  std::function<void(LlamaImage&)> change;
};

void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }

std::vector<Wrong> WrongFiles() {
  const auto number = [](std::string key, uint32_t value) {
    return [key = std::move(key), value](LlamaImage& image) { image.numbers[key] = value; };
  };
  const auto lack = [](std::string name) { return [name = std::move(name)](LlamaImage& image) { image.without.insert(name); }; };
  const auto shape = [](std::string name, std::vector<uint64_t> dims) {
    return [name = std::move(name), dims = std::move(dims)](LlamaImage& image) { image.shapes[name] = dims; };
  };
  const auto invalid = Code::kInvalidArgument;
  return {
      {"unknown_architecture", Code::kUnsupported,
       "architecture 'foo' is not supported; this build knows: llama, smollm3, qwen2, qwen3, qwen3moe, gemma2, gemma3, phi3, "
       "granite, olmo2, starcoder2",
       [](LlamaImage& image) { image.architecture = "foo"; }},
      {"no_architecture", Code::kDataLoss, "metadata 'general.architecture': missing", lack("general.architecture")},
      {"no_layers_key", Code::kDataLoss, "metadata 'llama.block_count': missing", lack("llama.block_count")},
      {"zero_layers", invalid, "metadata 'llama.block_count': 0, expected 1 to 1024", number("llama.block_count", 0)},
      {"huge_layers", invalid, "metadata 'llama.block_count': 4294967295, expected 1 to 1024", number("llama.block_count", ~0U)},
      {"one_layer_too_many", Code::kDataLoss, "tensor 'blk.2.attn_norm.weight': missing", number("llama.block_count", 3)},
      {"one_layer_too_few", Code::kUnsupported,
       "tensor 'blk.1.attn_norm.weight' [64]: not part of a model of family llama with 1 layers", number("llama.block_count", 1)},
      {"huge_hidden", invalid, "metadata 'llama.embedding_length': 65537, expected 1 to 65536",
       number("llama.embedding_length", 65537)},
      {"zero_context", invalid, "metadata 'llama.context_length': 0, expected 1 to 16777216", number("llama.context_length", 0)},
      {"zero_heads", invalid, "metadata 'llama.attention.head_count': 0, expected 1 to 1024",
       number("llama.attention.head_count", 0)},
      {"heads_do_not_divide_hidden", invalid,
       "metadata 'llama.embedding_length': 64 is no multiple of the 6 heads, and the head size is not given",
       number("llama.attention.head_count", 6)},
      {"odd_head_size", invalid, "head size 1, expected an even number for rope", number("llama.attention.head_count", 64)},
      {"kv_heads_do_not_divide_heads", invalid, "metadata 'llama.attention.head_count_kv': 3 does not divide the 4 query heads",
       number("llama.attention.head_count_kv", 3)},
      {"zero_kv_heads", invalid, "metadata 'llama.attention.head_count_kv': 0, expected 1 to 1024",
       number("llama.attention.head_count_kv", 0)},
      {"value_length", Code::kUnsupported, "metadata 'llama.attention.value_length': 8, expected the size of keys, 16",
       number("llama.attention.value_length", 8)},
      {"rope_beyond_head", invalid,
       "metadata 'llama.rope.dimension_count': 18, expected an even number of at most the head size 16",
       number("llama.rope.dimension_count", 18)},
      {"odd_rope", invalid, "metadata 'llama.rope.dimension_count': 7, expected an even number of at most the head size 16",
       number("llama.rope.dimension_count", 7)},
      {"rope_base_nan", invalid, "metadata 'llama.rope.freq_base': nan, expected a finite number",
       [](LlamaImage& image) { image.extra.F32("llama.rope.freq_base", __builtin_nanf("")); }},
      {"epsilon_missing", Code::kDataLoss, "metadata 'llama.attention.layer_norm_rms_epsilon': missing",
       lack("llama.attention.layer_norm_rms_epsilon")},
      {"epsilon_too_large", invalid, "metadata 'llama.attention.layer_norm_rms_epsilon': 1, expected a number between 0 and 1",
       number("llama.attention.layer_norm_rms_epsilon", 1)},
      {"rope_scaling", Code::kUnsupported,
       "metadata 'llama.rope.scaling.type': 'ntk' is not supported by this build, expected one of default, none, linear, llama3, "
       "yarn, longrope",
       [](LlamaImage& image) { image.extra.String("llama.rope.scaling.type", "ntk"); }},
      {"rope_scaling_without_factor", Code::kDataLoss, "metadata 'llama.rope.scaling.factor': missing",
       [](LlamaImage& image) { image.extra.String("llama.rope.scaling.type", "yarn"); }},
      {"rope_scaling_factor", invalid, "metadata 'llama.rope.scaling.factor': 0, expected above 0 and at most 1000000",
       [](LlamaImage& image) { image.extra.F32("llama.rope.scaling.factor", 0); }},
      {"unknown_key", Code::kUnsupported, "metadata 'llama.attention.fancy': not known to this build",
       number("llama.attention.fancy", 1)},
      {"experts", Code::kUnsupported,
       "metadata 'llama.expert_count': 8 is not supported by this build, expected 0 or no such key",
       number("llama.expert_count", 8)},
      {"experts_of_wrong_type", invalid, "metadata 'llama.expert_count': expected f32, found string",
       [](LlamaImage& image) { image.extra.String("llama.expert_count", "8"); }},
      {"rope_freqs", invalid, "tensor 'rope_freqs.weight': factor 0, expected above 0 and at most 1000000",
       [](LlamaImage& image) { image.extra.Filled("rope_freqs.weight", {8}, DType::kF32); }},
      {"bias", Code::kUnsupported, "tensor 'blk.0.ffn_gate.bias' [96]: not part of a model of family llama with 2 layers",
       [](LlamaImage& image) { image.extra.Filled("blk.0.ffn_gate.bias", {96}, DType::kF32); }},
      {"one_bias", Code::kDataLoss, "layer 0: expected biases of queries, keys and values, or none of them",
       [](LlamaImage& image) { image.extra.Filled("blk.0.attn_q.bias", {64}, DType::kF32); }},
      {"vocab_size", Code::kDataLoss, "metadata 'llama.vocab_size': 33, but tensor 'token_embd.weight' has 32 rows",
       number("llama.vocab_size", 33)},
      {"no_embedding", Code::kDataLoss, "tensor 'token_embd.weight': missing", lack("token_embd.weight")},
      {"no_norm", Code::kDataLoss, "tensor 'output_norm.weight': missing", lack("output_norm.weight")},
      {"no_up", Code::kDataLoss, "tensor 'blk.1.ffn_up.weight': missing", lack("blk.1.ffn_up.weight")},
      {"key_shape", Code::kDataLoss,
       "tensor 'blk.1.attn_k.weight': expected shape [32, 64] (KV heads * head size x hidden), found [64, 64]",
       shape("blk.1.attn_k.weight", {64, 64})},
      {"transposed_down", Code::kDataLoss,
       "tensor 'blk.0.ffn_down.weight': expected shape [64, 96] (hidden x feed-forward), found [96, 64]",
       shape("blk.0.ffn_down.weight", {64, 96})},
      {"third_dimension", Code::kDataLoss,
       "tensor 'blk.0.ffn_up.weight': expected shape [96, 64] (feed-forward x hidden), found [2, 48, 64]",
       shape("blk.0.ffn_up.weight", {64, 48, 2})},
      {"norm_width", Code::kDataLoss, "tensor 'output_norm.weight': expected shape [64] (hidden), found [32]",
       shape("output_norm.weight", {32})},
      {"norm_rank", Code::kDataLoss, "tensor 'output_norm.weight': expected shape [64] (hidden), found [1, 64]",
       shape("output_norm.weight", {64, 1})},
      {"embedding_width", Code::kDataLoss,
       "tensor 'token_embd.weight': expected shape [32, 64] (vocabulary x hidden), found [32, 32]",
       shape("token_embd.weight", {32, 32})},
      {"norm_type", Code::kUnsupported, "tensor 'blk.0.ffn_norm.weight': expected type F32, F16 or BF16 for a vector, found Q8_0",
       [](LlamaImage& image) { image.types["blk.0.ffn_norm.weight"] = DType::kQ8_0; }},
  };
}

class WrongModels : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongModels, AreRefusedWithTheReason) {
  LlamaImage image;
  GetParam().change(image);
  const std::string bytes = image.Build();
  const auto file = ModelFile::Parse(AsBytes(bytes));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().message(), GetParam().message);
  EXPECT_EQ(file.status().code(), GetParam().code);
}

INSTANTIATE_TEST_SUITE_P(Llama, WrongModels, ::testing::ValuesIn(WrongFiles()), [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace millrace::model
