// What a config.json asks for and this build does not do is refused by key.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "model/families.h"

namespace millrace::model {
namespace {

// A small model of the type, changed: `change` is an object whose members replace or join those of the file.
Result<ModelConfig> Read(std::string_view type, std::string_view change) {
  Json json = Json::Parse(R"({"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
                              "head_dim": 16, "intermediate_size": 96, "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "norm_epsilon": 1e-5})")
                  .value();
  json.Set("model_type", type);
  if (type == "qwen3_moe") {
    json.Set("num_experts", 4);
    json.Set("num_experts_per_tok", 2);
    json.Set("moe_intermediate_size", 32);
  }
  const Json changes = Json::Parse(change).value();
  for (const auto& [name, value] : changes.members()) json.Set(name, value);
  ASSIGN_OR_RETURN(const Metadata metadata, Metadata::Of(json));
  ASSIGN_OR_RETURN(const Family* family, FindFamily(metadata));
  return family->read_config(metadata);
}

struct Wrong {
  std::string_view type;
  std::string_view change;
  Code code;
  std::string message;  // a part
};

std::vector<Wrong> WrongConfigs() {
  constexpr Code kNo = Code::kUnsupported;
  constexpr Code kBad = Code::kInvalidArgument;
  constexpr Code kLost = Code::kDataLoss;
  return {
      {"lama", "{}", kNo, "model_type 'lama' is not supported, nearest is 'llama'; this build knows: llama, mistral, "},
      {"llama", R"({"hidden_act": "gelu"})", kNo, "config.json 'hidden_act': 'gelu' is not supported by this build"},
      {"gemma2", R"({"hidden_activation": "gelu"})", kNo, "'hidden_activation': 'gelu' is not supported"},
      {"llama", R"({"mlp_bias": true})", kNo,
       "config.json 'mlp_bias': true is not supported by this build, expected 0 or no such"},
      {"gemma2", R"({"attention_bias": true})", kNo, "'attention_bias': true"},
      {"llama", R"({"num_local_experts": 8})", kNo, "'num_local_experts': 8"},
      {"llama", R"({"sliding_window": 4096})", kNo, "'sliding_window': 4096"},
      {"llama", R"({"q_lora_rank": 1536})", kNo, "'q_lora_rank': 1536"},
      {"llama", R"({"no_rope_layers": [1, 0]})", kNo, "'no_rope_layers': not supported by this build"},
      {"qwen2", R"({"query_pre_attn_scalar": 256})", kNo, "'query_pre_attn_scalar': not supported"},
      {"olmo2", R"({"clip_qkv": 8.0})", kNo, "'clip_qkv': 8"},
      {"gemma3_text", R"({"attn_logit_softcapping": 50.0})", kNo, "'attn_logit_softcapping': 50"},
      {"gemma3_text", R"({"use_bidirectional_attention": true})", kNo, "'use_bidirectional_attention': true"},
      {"mistral", R"({"layer_types": ["full_attention", "full_attention"], "sliding_window": 8})", kNo,
       "'layer_types': layer 0 contradicts 'sliding_window': 8"},
      {"qwen3", R"({"layer_types": ["full_attention", "linear_attention"]})", kNo, "'layer_types': 'linear_attention' is not"},
      {"qwen3", R"({"layer_types": ["full_attention"]})", kBad,
       "'layer_types': 1 elements, expected one for each of the 2 layers"},
      {"llama", R"({"layer_types": ["full_attention", "sliding_attention"]})", kNo, "'layer_types': 'sliding_attention' is not"},
      {"smollm3", R"({"no_rope_layers": [1]})", kBad, "'no_rope_layers': 1 elements, expected one for each of the 2 layers"},
      {"smollm3", R"({"no_rope_layers": ["a", 1]})", kBad, "'no_rope_layers': expected a list of numbers, found string"},
      {"llama", R"({"rope_scaling": {"type": "dynamic", "factor": 2.0}})", kNo,
       "'rope_scaling.type': 'dynamic' is not supported"},
      {"llama", R"({"rope_scaling": {"type": "linear"}})", kLost, "config.json 'rope_scaling.factor': missing"},
      {"llama", R"({"rope_scaling": {"type": "linear", "factor": -2}})", kBad, "'rope_scaling.factor': -2, expected above 0"},
      {"llama", R"({"rope_scaling": {"rope_type": "default", "mrope_section": [8, 4, 4]}})", kNo,
       "config.json 'rope_scaling.mrope_section': not known to this build"},
      {"llama", R"({"rope_scaling": 4})", kBad, "config.json 'rope_scaling': expected an object, found integer"},
      {"llama", R"({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 1}})", kBad,
       "'rope_scaling.high_freq_factor': 1, expected above low_freq_factor, 4"},
      {"llama", R"({"rope_scaling": {"type": "linear", "factor": 1e-30}})", kBad, "after scaling, expected at most 64"},
      {"llama", R"({"hidden_size": 32, "num_attention_heads": 64, "num_key_value_heads": 64, "head_dim": null})", kBad,
       "'hidden_size': 32 is no multiple of the 64 heads"},
      {"llama", R"({"rope_theta": 0})", kBad, "'rope_theta': 0, expected above 1"},
      {"llama", R"({"partial_rotary_factor": 0.2})", kBad, "'partial_rotary_factor': 0.2 of a head of 16, expected an even part"},
      {"phi3", R"({"rope_scaling": {"type": "longrope", "short_factor": [1], "long_factor": [1]}})", kBad,
       "'rope_scaling.short_factor': 1 factors, expected one for each of the 8 rotated pairs"},
      {"phi3", R"({"rope_scaling": {"type": "longrope", "long_factor": [1]}})", kLost, "'rope_scaling.short_factor': missing"},
      {"gemma3_text", R"({"rope_parameters": {"rope_theta": 1000000.0}})", kNo, "'rope_parameters.rope_theta': not known"},
      {"qwen3_moe", R"({"num_experts_per_tok": 5})", kBad, "'num_experts_per_tok': 5, expected at most the 4 experts"},
      {"qwen3_moe", R"({"num_experts": 0})", kBad, "'num_experts': 0, expected 1 to 1024"},
      {"qwen3_moe", R"({"shared_expert_intermediate_size": 64})", kNo, "'shared_expert_intermediate_size': 64"},
      {"granite", R"({"logits_scaling": 0})", kBad, "'logits_scaling': 0, expected"},
      {"granite", R"({"residual_multiplier": "a"})", kBad, "'residual_multiplier': expected a number, found string"},
      {"qwen2", R"({"use_sliding_window": 1})", kBad, "'use_sliding_window': expected true or false, found integer"},
      {"llama", R"({"num_hidden_layers": 100000})", kBad, "'num_hidden_layers': 100000, expected 1 to 1024"},
      {"llama", R"({"hidden_size": 65, "head_dim": null})", kBad, "'hidden_size': 65 is no multiple of the 4 heads"},
      {"llama", R"({"rms_norm_eps": null})", kLost, "'rms_norm_eps': missing"},
      {"starcoder2", R"({"hidden_act": "gelu"})", kNo, "'hidden_act': 'gelu' is not supported"},
      {"starcoder2", R"({"norm_epsilon": null})", kLost, "'norm_epsilon': missing"},
      {"llama", R"({"vision_config": {}})", kNo, "'vision_config': not supported"},
  };
}

TEST(FamiliesRefuse, WhatTheyDoNotDo) {
  for (const Wrong& wrong : WrongConfigs()) {
    const auto config = Read(wrong.type, wrong.change);
    ASSERT_FALSE(config.ok()) << wrong.type << " " << wrong.change;
    EXPECT_NE(config.status().message().find(wrong.message), std::string::npos)
        << wrong.change << "\nsaid " << config.status().message() << "\nexpected " << wrong.message;
    EXPECT_EQ(config.status().code(), wrong.code) << wrong.change;
  }
}

constexpr std::string_view kTypes[] = {"llama",  "mistral",     "smollm3", "qwen2",   "qwen3", "qwen3_moe",
                                       "gemma2", "gemma3_text", "phi3",    "granite", "olmo2", "starcoder2"};

// Whatever stands there, there is a configuration within the limits or an error: no crash, no endless loop, no huge allocation.
TEST(FamiliesRefuse, AnyValueOfAnyKey) {
  constexpr std::string_view kValues[] = {"null",
                                          "true",
                                          "-1",
                                          "0",
                                          "1",
                                          "3",
                                          "1e308",
                                          "5e-324",
                                          "4294967296",
                                          "\"x\"",
                                          "[]",
                                          "[1]",
                                          "{}",
                                          R"(["sliding_attention", "full_attention"])",
                                          R"({"rope_type": 1, "factor": "a"})",
                                          R"({"rope_type": "yarn", "factor": 1e300, "beta_fast": 1e-300})",
                                          R"({"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 1e-9})",
                                          R"({"rope_type": "longrope", "short_factor": [], "long_factor": [1e999]})",
                                          R"({"full_attention": [], "sliding_attention": {"rope_theta": 2}})"};
  constexpr std::string_view kKeys[] = {"hidden_size",
                                        "num_hidden_layers",
                                        "num_attention_heads",
                                        "num_key_value_heads",
                                        "head_dim",
                                        "intermediate_size",
                                        "max_position_embeddings",
                                        "rms_norm_eps",
                                        "norm_epsilon",
                                        "rope_theta",
                                        "rope_scaling",
                                        "rope_parameters",
                                        "partial_rotary_factor",
                                        "original_max_position_embeddings",
                                        "rope_local_base_freq",
                                        "sliding_window",
                                        "sliding_window_pattern",
                                        "use_sliding_window",
                                        "max_window_layers",
                                        "layer_types",
                                        "no_rope_layers",
                                        "no_rope_layer_interval",
                                        "num_experts",
                                        "num_experts_per_tok",
                                        "moe_intermediate_size",
                                        "norm_topk_prob",
                                        "decoder_sparse_step",
                                        "mlp_only_layers",
                                        "query_pre_attn_scalar",
                                        "attn_logit_softcapping",
                                        "final_logit_softcapping",
                                        "embedding_multiplier",
                                        "residual_multiplier",
                                        "attention_multiplier",
                                        "logits_scaling",
                                        "hidden_act",
                                        "attention_bias"};
  for (const std::string_view type : kTypes) {
    for (const std::string_view key : kKeys) {
      for (const std::string_view value : kValues) {
        if (value.find("1e999") != std::string_view::npos && !Json::Parse(value).ok()) continue;
        const auto config = Read(type, fmt::format(R"({{"{}": {}}})", key, value));
        if (!config.ok()) {
          EXPECT_FALSE(config.status().message().empty());
          continue;
        }
        ASSERT_LE(config->layers.size(), 1024u);
        for (const LayerConfig& layer : config->layers) ASSERT_LT(layer.rope, static_cast<int32_t>(config->ropes.size()));
        for (const RopeConfig& rope : config->ropes) {
          for (const double frequency : rope.frequencies) ASSERT_TRUE(std::isfinite(frequency)) << type << key << value;
          ASSERT_TRUE(std::isfinite(rope.magnitude) && rope.magnitude > 0) << type << key << value;
        }
      }
    }
  }
}

TEST(FamiliesRefuse, NothingThatIsHarmless) {
  for (const std::string_view type : kTypes) {
    for (const std::string_view change :
         {"{}", R"({"attention_dropout": 0.5, "torch_dtype": "bfloat16", "auto_map": {"A": "b"}, "sliding_window": null})",
          R"({"rope_scaling": {"rope_type": "default"}, "layer_types": null, "mlp_bias": false, "attention_bias": false})"}) {
      const auto config = Read(type, change);
      EXPECT_TRUE(config.ok()) << type << " " << change << ": " << config.status().message();
    }
  }
}

// What a file is silent about is the family's default in transformers; null means none.
TEST(Silence, IsNotNull) {
  const ModelConfig silent = Read("gemma2", "{}").value();
  EXPECT_EQ(silent.logit_softcap, 30);
  EXPECT_EQ(silent.layers[0].attention_softcap, 50);
  EXPECT_EQ(silent.layers[0].window, 4096u);
  EXPECT_EQ(silent.layers[1].window, 0u);
  const ModelConfig none =
      Read("gemma2", R"({"final_logit_softcapping": null, "attn_logit_softcapping": null, "sliding_window": null})").value();
  EXPECT_EQ(none.logit_softcap, 0);
  EXPECT_EQ(none.layers[0].attention_softcap, 0);
  EXPECT_EQ(none.layers[0].window, 0u);
  EXPECT_EQ(Read("mistral", "{}")->layers[0].window, 4096u);
  EXPECT_EQ(Read("mistral", R"({"sliding_window": null})")->layers[0].window, 0u);
}

}  // namespace
}  // namespace millrace::model
