// Families read the metadata of GGUF files as llama.cpp's converters write it.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "model/families.h"
#include "model/rope.h"
#include "weights/testing/gguf_builder.h"

namespace millrace::model {
namespace {

using weights::testing::AsBytes;
using weights::testing::GgufBuilder;

// 8 layers, hidden 64, 4 heads of 16 over 2, feed-forward 96, context 1024.
Result<ModelConfig> Read(const std::string& arch, const std::function<void(GgufBuilder&)>& more) {
  GgufBuilder file;
  file.String("general.architecture", arch);
  for (const auto& [key, value] : std::map<std::string, uint32_t>{{"block_count", 8},
                                                                  {"context_length", 1024},
                                                                  {"embedding_length", 64},
                                                                  {"feed_forward_length", 96},
                                                                  {"attention.head_count", 4},
                                                                  {"attention.head_count_kv", 2},
                                                                  {"vocab_size", 32}}) {
    file.U32(arch + "." + key, value);
  }
  file.F32(arch + ".attention.layer_norm_rms_epsilon", 1e-6F).F32(arch + ".attention.layer_norm_epsilon", 1e-5F);
  more(file);
  const std::string bytes = file.Build();
  ASSIGN_OR_RETURN(const auto parsed, weights::GgufFile::Parse(AsBytes(bytes)));
  ASSIGN_OR_RETURN(const Metadata metadata, Metadata::Of(parsed));
  ASSIGN_OR_RETURN(const Family* family, FindFamily(metadata));
  return family->read_config(metadata);
}

ModelConfig MustRead(const std::string& arch, const std::function<void(GgufBuilder&)>& more = [](GgufBuilder&) {}) {
  auto config = Read(arch, more);
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.ok() ? *std::move(config) : ModelConfig{};
}

GgufBuilder::Tensor FactorTensor(std::string name, const std::vector<float>& factors) {
  weights::testing::ByteWriter data;
  for (const float factor : factors) data.Put(factor);
  return {.name = std::move(name), .dims = {factors.size()}, .type = Info(DType::kF32).gguf_id, .data = data.bytes()};
}

TEST(FamiliesInGguf, StyleOfRopeFollowsTheFamily) {
  for (const std::string arch : {"llama", "smollm3", "granite"}) {
    EXPECT_EQ(MustRead(arch).ropes.at(0).style, RopeStyle::kAdjacentPairs) << arch;
  }
  for (const std::string arch : {"qwen2", "qwen3", "gemma2", "gemma3", "phi3", "olmo2", "starcoder2"}) {
    EXPECT_EQ(MustRead(arch).ropes.at(0).style, RopeStyle::kHalves) << arch;
  }
}

TEST(FamiliesInGguf, LlamaWithTheFactorsOfVersion31) {
  const std::vector<float> factors = {1, 1, 1.5, 2, 4, 8, 8, 8};
  const ModelConfig config = MustRead("llama", [&](GgufBuilder& file) {
    file.F32("llama.rope.freq_base", 500000).U32("llama.rope.dimension_count", 16);
    file.Add(FactorTensor("rope_freqs.weight", factors));
  });
  const std::vector<double> expected(factors.begin(), factors.end());
  EXPECT_EQ(config.ropes[0].frequencies, DividedBy(RopeFrequencies(16, 500000), expected));
}

TEST(FamiliesInGguf, ScalingWithoutATypeIsLinear) {
  const auto factor = [](GgufBuilder& file) { file.F32("llama.rope.scaling.factor", 4); };
  EXPECT_EQ(MustRead("llama", factor).ropes[0].frequencies, DividedBy(RopeFrequencies(16, 10000), 4));
  const auto old = [](GgufBuilder& file) { file.F32("llama.rope.scale_linear", 2); };
  EXPECT_EQ(MustRead("llama", old).ropes[0].frequencies, DividedBy(RopeFrequencies(16, 10000), 2));
}

TEST(FamiliesInGguf, Yarn) {
  const ModelConfig config = MustRead("qwen2", [](GgufBuilder& file) {
    file.String("qwen2.rope.scaling.type", "yarn").F32("qwen2.rope.scaling.factor", 4);
    file.U32("qwen2.rope.scaling.original_context_length", 256).Bool("qwen2.rope.scaling.finetuned", true);
  });
  EXPECT_EQ(config.ropes[0].frequencies, ScaledAsYarn(RopeFrequencies(16, 10000), {.factor = 4, .original_context = 256}));
  EXPECT_FLOAT_EQ(config.ropes[0].magnitude, 1.1386294F);
}

TEST(FamiliesInGguf, MistralIsLlamaWithAWindowOnEveryLayer) {
  const ModelConfig config = MustRead("llama", [](GgufBuilder& file) { file.U32("llama.attention.sliding_window", 128); });
  for (const LayerConfig& layer : config.layers) EXPECT_EQ(layer.window, 128u);
}

TEST(FamiliesInGguf, EveryFourthLayerOfSmolLm3DoesNotRotate) {
  const ModelConfig config = MustRead("smollm3");
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(config.layers[i].rope, i % 4 == 3 ? -1 : 0);
}

TEST(FamiliesInGguf, Qwen3Moe) {
  const ModelConfig config = MustRead("qwen3moe", [](GgufBuilder& file) {
    file.U32("qwen3moe.expert_count", 16).U32("qwen3moe.expert_used_count", 4).U32("qwen3moe.expert_feed_forward_length", 48);
  });
  for (const LayerConfig& layer : config.layers) {
    EXPECT_EQ(layer.mlp, MlpKind::kExperts);
    EXPECT_EQ(layer.ffn, 0u);
    EXPECT_EQ(layer.experts.count, 16u);
    EXPECT_EQ(layer.experts.used, 4u);
    EXPECT_EQ(layer.experts.ffn, 48u);
    EXPECT_TRUE(layer.experts.renormalise);
    EXPECT_EQ(layer.qk_norm, QkNorm::kPerHead);
  }
}

TEST(FamiliesInGguf, Gemma2) {
  const ModelConfig config = MustRead("gemma2", [](GgufBuilder& file) {
    file.F32("gemma2.attn_logit_softcapping", 50).F32("gemma2.final_logit_softcapping", 30);
    file.U32("gemma2.attention.sliding_window", 64).U32("gemma2.attention.key_length", 32);
    file.U32("gemma2.attention.value_length", 32);
  });
  EXPECT_EQ(config.logit_softcap, 30);
  EXPECT_EQ(config.embedding_scale, 8);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(config.layers[i].window, i % 2 == 0 ? 64u : 0u);
    EXPECT_EQ(config.layers[i].attention_softcap, 50);
    EXPECT_EQ(config.layers[i].attention_scale, 1 / std::sqrt(32.0F));
    EXPECT_EQ(config.layers[i].activation, Activation::kGeluTanh);
  }
}

TEST(FamiliesInGguf, Gemma3) {
  const ModelConfig config = MustRead("gemma3", [](GgufBuilder& file) {
    file.F32("gemma3.rope.freq_base", 1e6F).U32("gemma3.attention.sliding_window", 64);
    file.String("gemma3.rope.scaling.type", "linear").F32("gemma3.rope.scaling.factor", 8);
  });
  EXPECT_EQ(config.ropes[0].frequencies, DividedBy(RopeFrequencies(16, 1e6), 8));
  EXPECT_EQ(config.ropes[1].frequencies, RopeFrequencies(16, 1e4));
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(config.layers[i].window, i == 5 ? 0u : 64u);
    EXPECT_EQ(config.layers[i].rope, i == 5 ? 0 : 1);
  }
}

TEST(FamiliesInGguf, Phi3WithTwoTables) {
  const std::vector<float> of_long = {1, 2, 3, 4, 5, 6};
  const auto file_of = [&](uint32_t original) {
    return [&of_long, original](GgufBuilder& file) {
      file.U32("phi3.rope.dimension_count", 12).U32("phi3.rope.scaling.original_context_length", original);
      file.F32("phi3.rope.scaling.attn_factor", 1.19F).U32("phi3.attention.sliding_window", 0);
      file.Add(FactorTensor("rope_factors_long.weight", of_long));
      file.Add(FactorTensor("rope_factors_short.weight", {1, 1, 1, 1, 1, 2}));
    };
  };
  const ModelConfig config = MustRead("phi3", file_of(256));
  const std::vector<double> expected(of_long.begin(), of_long.end());
  EXPECT_EQ(config.ropes[0].frequencies, DividedBy(RopeFrequencies(12, 1e4), expected));
  EXPECT_EQ(config.ropes[0].magnitude, 1.19F);
  EXPECT_EQ(MustRead("phi3", file_of(1024)).ropes[0].frequencies[4], RopeFrequencies(12, 1e4)[4]);
}

TEST(FamiliesInGguf, StarCoder2) {
  const ModelConfig config = MustRead("starcoder2");
  EXPECT_EQ(config.norm, NormKind::kLayer);
  EXPECT_EQ(config.norm_epsilon, 1e-5F);
  EXPECT_EQ(config.layers[0].mlp, MlpKind::kPlain);
  EXPECT_EQ(config.layers[0].window, 0u);
}

TEST(FamiliesInGguf, Granite) {
  const ModelConfig config = MustRead("granite", [](GgufBuilder& file) {
    file.F32("granite.attention.scale", 0.015625F).F32("granite.embedding_scale", 12).F32("granite.residual_scale", 0.22F);
    file.F32("granite.logit_scale", 8);
  });
  EXPECT_EQ(config.layers[0].attention_scale, 0.015625F);
  EXPECT_EQ(config.embedding_scale, 12);
  EXPECT_EQ(config.residual_scale, 0.22F);
  EXPECT_EQ(config.logit_scale, 0.125F);
  EXPECT_EQ(MustRead("granite").layers[0].attention_scale, 0.25F);
}

TEST(FamiliesInGguf, KeysOfOtherFamiliesAreRefused) {
  const std::vector<std::pair<std::string, std::string>> cases = {{"qwen2", "attention.sliding_window"},
                                                                  {"olmo2", "logit_scale"},
                                                                  {"granite", "expert_count"},
                                                                  {"llama", "final_logit_softcapping"},
                                                                  {"phi3", "embedding_scale"},
                                                                  {"gemma2", "expert_used_count"},
                                                                  {"qwen3", "expert_count"},
                                                                  {"smollm3", "pooling_type"}};
  for (const auto& [arch, key] : cases) {
    const std::string name = arch + "." + key;
    const auto config = Read(arch, [&](GgufBuilder& file) { file.U32(name, 5); });
    ASSERT_FALSE(config.ok()) << name;
    EXPECT_EQ(config.status().code(), Code::kUnsupported) << name;
    EXPECT_NE(config.status().message().find("'" + name + "': 5 is not supported"), std::string::npos)
        << config.status().message();
  }
}

}  // namespace
}  // namespace millrace::model
