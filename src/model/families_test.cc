// Families read the config.json files that public models have into the architecture that those models are.
#include "model/families.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "model/rope.h"

namespace millrace::model {
namespace {

Result<ModelConfig> Read(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(text));
  ASSIGN_OR_RETURN(const Metadata metadata, Metadata::Of(json));
  ASSIGN_OR_RETURN(const Family* family, FindFamily(metadata));
  return family->read_config(metadata);
}

ModelConfig MustRead(std::string_view text) {
  auto config = Read(text);
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.ok() ? *std::move(config) : ModelConfig{};
}

// What is the same in most models; tests change what is not.
LayerConfig Layer(uint32_t heads, uint32_t kv_heads, uint32_t head_dim, uint32_t ffn) {
  LayerConfig layer;
  layer.heads = heads;
  layer.kv_heads = kv_heads;
  layer.head_dim = head_dim;
  layer.ffn = ffn;
  layer.attention_scale = 1.0F / std::sqrt(static_cast<float>(head_dim));
  return layer;
}

bool Same(const LayerConfig& a, const LayerConfig& b) {
  return a.heads == b.heads && a.kv_heads == b.kv_heads && a.head_dim == b.head_dim && a.rope == b.rope && a.window == b.window &&
         a.attention_scale == b.attention_scale && a.attention_softcap == b.attention_softcap && a.qk_norm == b.qk_norm &&
         a.mlp == b.mlp && a.ffn == b.ffn && a.experts.count == b.experts.count && a.experts.used == b.experts.used &&
         a.experts.ffn == b.experts.ffn && a.experts.renormalise == b.experts.renormalise && a.activation == b.activation;
}

void ExpectLayers(const ModelConfig& config, size_t count, const LayerConfig& expected) {
  EXPECT_EQ(config.layers.size(), count);
  for (size_t i = 0; i < config.layers.size(); ++i) EXPECT_TRUE(Same(config.layers[i], expected)) << "layer " << i;
}

TEST(Families, Llama32Of1B) {
  const ModelConfig config = MustRead(R"({
    "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 128000,
    "eos_token_id": 128001, "head_dim": 64, "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02,
    "intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama",
    "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
    "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
                     "rope_type": "llama3"},
    "rope_theta": 500000.0, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "transformers_version": "4.45.0.dev0",
    "use_cache": true, "vocab_size": 128256})");
  EXPECT_EQ(config.family, "llama");
  EXPECT_EQ(config.hidden, 2048u);
  EXPECT_EQ(config.context_length, 131072u);
  EXPECT_EQ(config.norm_epsilon, 1e-5F);
  ASSERT_EQ(config.ropes.size(), 1u);
  EXPECT_EQ(config.ropes[0].style, RopeStyle::kHalves);
  EXPECT_EQ(config.ropes[0].frequencies, ScaledAsLlama3(RopeFrequencies(64, 500000), {32, 1, 4, 8192}));
  EXPECT_EQ(config.ropes[0].magnitude, 1);
  ExpectLayers(config, 16, Layer(32, 8, 64, 8192));
}

TEST(Families, RopeAsNewerTransformersWriteIt) {
  const auto text = [](std::string_view rope) {
    return fmt::format(R"({{"model_type": "llama", "hidden_size": 128, "intermediate_size": 256, "max_position_embeddings": 8192,
      "num_attention_heads": 4, "num_hidden_layers": 1, "rms_norm_eps": 1e-6, {}}})",
                       rope);
  };
  const ModelConfig llama3 = MustRead(text(R"("rope_parameters": {"rope_theta": 500000.0, "rope_type": "llama3", "factor": 8.0,
      "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 1024})"));
  EXPECT_EQ(llama3.ropes[0].frequencies, ScaledAsLlama3(RopeFrequencies(32, 500000), {8, 1, 4, 1024}));
  const ModelConfig part = MustRead(text(R"("rope_parameters": {"rope_theta": 2000.0, "partial_rotary_factor": 0.5})"));
  EXPECT_EQ(part.ropes[0].frequencies, RopeFrequencies(16, 2000));
  const ModelConfig yarn = MustRead(text(R"("rope_theta": 3000.0, "rope_scaling": {"rope_type": "yarn", "factor": 40,
      "original_max_position_embeddings": 4096, "mscale": 1.0, "mscale_all_dim": 0.5, "beta_fast": 16, "beta_slow": 2,
      "truncate": false})"));
  EXPECT_EQ(yarn.ropes[0].frequencies, ScaledAsYarn(RopeFrequencies(32, 3000), {3000, 40, 4096, 16, 2, false}));
  EXPECT_FLOAT_EQ(yarn.ropes[0].magnitude, 1.15572199F);
}

TEST(Families, Qwen25Of05B) {
  const std::string text = R"({
    "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645,
    "hidden_act": "silu", "hidden_size": 896, "initializer_range": 0.02, "intermediate_size": 4864,
    "max_position_embeddings": 32768, "max_window_layers": 21, "model_type": "qwen2", "num_attention_heads": 14,
    "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768,
    "tie_word_embeddings": true, "torch_dtype": "bfloat16", "transformers_version": "4.43.1", "use_cache": true,
    "use_sliding_window": false, "vocab_size": 151936})";
  const ModelConfig config = MustRead(text);
  EXPECT_EQ(config.family, "qwen2");
  EXPECT_EQ(config.ropes[0].frequencies, RopeFrequencies(64, 1e6));
  ExpectLayers(config, 24, Layer(14, 2, 64, 4864));

  // The same with windows, which begin at a layer, and with yarn as its model card writes it.
  std::string windows = text;
  windows.replace(windows.find("_window\": false"), 15, "_window\": true ");
  const ModelConfig sliding = MustRead(windows);
  EXPECT_EQ(sliding.layers[20].window, 0u);
  EXPECT_EQ(sliding.layers[21].window, 32768u);
  std::string yarn = text;
  yarn.insert(1, R"("rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"},)");
  const ModelConfig stretched = MustRead(yarn);
  EXPECT_EQ(stretched.ropes[0].frequencies,
            ScaledAsYarn(RopeFrequencies(64, 1e6), {.base = 1e6, .factor = 4, .original_context = 32768}));
  EXPECT_FLOAT_EQ(stretched.ropes[0].magnitude, 1.1386294F);
}

TEST(Families, Qwen3Of06B) {
  const ModelConfig config = MustRead(R"({
    "architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 151643,
    "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu", "hidden_size": 1024, "initializer_range": 0.02,
    "intermediate_size": 3072, "max_position_embeddings": 40960, "max_window_layers": 28, "model_type": "qwen3",
    "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_scaling": null,
    "rope_theta": 1000000, "sliding_window": null, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_cache": true,
    "use_sliding_window": false, "vocab_size": 151936})");
  LayerConfig layer = Layer(16, 8, 128, 3072);
  layer.qk_norm = QkNorm::kPerHead;
  ExpectLayers(config, 28, layer);
  EXPECT_EQ(config.ropes[0].frequencies, RopeFrequencies(128, 1e6));
}

constexpr std::string_view kQwen3Moe = R"({
    "architectures": ["Qwen3MoeForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 151643,
    "decoder_sparse_step": 1, "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu", "hidden_size": 2048,
    "initializer_range": 0.02, "intermediate_size": 6144, "max_position_embeddings": 40960, "max_window_layers": 48,
    "mlp_only_layers": [], "model_type": "qwen3_moe", "moe_intermediate_size": 768, "norm_topk_prob": true,
    "num_attention_heads": 32, "num_experts": 128, "num_experts_per_tok": 8, "num_hidden_layers": 48, "num_key_value_heads": 4,
    "output_router_logits": false, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000.0,
    "router_aux_loss_coef": 0.001, "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
    "use_cache": true, "use_sliding_window": false, "vocab_size": 151936})";

TEST(Families, Qwen3Of30BWithExperts) {
  LayerConfig layer = Layer(32, 4, 128, 0);
  layer.qk_norm = QkNorm::kPerHead;
  layer.mlp = MlpKind::kExperts;
  layer.experts = {.count = 128, .used = 8, .ffn = 768, .renormalise = true};
  ExpectLayers(MustRead(kQwen3Moe), 48, layer);

  std::string mixed(kQwen3Moe);
  mixed.replace(mixed.find("\"mlp_only_layers\": []"), 21, "\"mlp_only_layers\": [3]");
  mixed.replace(mixed.find("step\": 1"), 8, "step\": 2");
  const ModelConfig config = MustRead(mixed);
  EXPECT_EQ(config.layers[0].mlp, MlpKind::kGated);
  EXPECT_EQ(config.layers[0].ffn, 6144u);
  EXPECT_EQ(config.layers[1].mlp, MlpKind::kExperts);
  EXPECT_EQ(config.layers[2].mlp, MlpKind::kGated);
  EXPECT_EQ(config.layers[3].mlp, MlpKind::kGated);
  EXPECT_EQ(config.layers[5].mlp, MlpKind::kExperts);
}

TEST(Families, Mistral7BOfTheFirstVersion) {
  const ModelConfig config = MustRead(R"({
    "architectures": ["MistralForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096,
    "initializer_range": 0.02, "intermediate_size": 14336, "max_position_embeddings": 32768, "model_type": "mistral",
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
    "sliding_window": 4096, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": "4.34.0.dev0",
    "use_cache": true, "vocab_size": 32000})");
  LayerConfig layer = Layer(32, 8, 128, 14336);
  layer.window = 4096;
  ExpectLayers(config, 32, layer);
}

TEST(Families, Gemma2Of2B) {
  const ModelConfig config = MustRead(R"({
    "architectures": ["Gemma2ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "attn_logit_softcapping": 50.0,
    "bos_token_id": 2, "cache_implementation": "hybrid", "eos_token_id": 1, "final_logit_softcapping": 30.0, "head_dim": 256,
    "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 2304, "initializer_range": 0.02,
    "intermediate_size": 9216, "max_position_embeddings": 8192, "model_type": "gemma2", "num_attention_heads": 8,
    "num_hidden_layers": 26, "num_key_value_heads": 4, "pad_token_id": 0, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0, "sliding_window": 4096, "torch_dtype": "float32", "transformers_version": "4.42.4",
    "use_cache": true, "vocab_size": 256000})");
  EXPECT_EQ(config.embedding_scale, 48.0F);
  EXPECT_EQ(config.logit_softcap, 30.0F);
  EXPECT_EQ(config.norm_placement, NormPlacement::kBoth);
  ASSERT_EQ(config.layers.size(), 26u);
  LayerConfig layer = Layer(8, 4, 256, 9216);
  layer.activation = Activation::kGeluTanh;
  layer.attention_softcap = 50;
  for (size_t i = 0; i < 26; ++i) {
    layer.window = i % 2 == 0 ? 4096 : 0;
    EXPECT_TRUE(Same(config.layers[i], layer)) << i;
  }
}

void ExpectGemma3(const ModelConfig& config) {
  EXPECT_EQ(config.family, "gemma3");
  EXPECT_EQ(config.embedding_scale, std::sqrt(1152.0F));
  EXPECT_EQ(config.logit_softcap, 0);
  EXPECT_EQ(config.norm_placement, NormPlacement::kBoth);
  ASSERT_EQ(config.ropes.size(), 2u);
  EXPECT_EQ(config.ropes[0].frequencies, RopeFrequencies(256, 1e6));
  EXPECT_EQ(config.ropes[1].frequencies, RopeFrequencies(256, 1e4));
  ASSERT_EQ(config.layers.size(), 26u);
  LayerConfig layer = Layer(4, 1, 256, 6912);
  layer.activation = Activation::kGeluTanh;
  layer.qk_norm = QkNorm::kPerHead;
  for (size_t i = 0; i < 26; ++i) {
    layer.rope = i % 6 == 5 ? 0 : 1;
    layer.window = i % 6 == 5 ? 0 : 512;
    EXPECT_TRUE(Same(config.layers[i], layer)) << i;
  }
}

constexpr std::string_view kGemma3 = R"({
    "architectures": ["Gemma3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "attn_logit_softcapping": null,
    "bos_token_id": 2, "cache_implementation": "hybrid", "eos_token_id": 1, "final_logit_softcapping": null, "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 1152, "initializer_range": 0.02, "intermediate_size": 6912,
    "max_position_embeddings": 32768, "model_type": "gemma3_text", "num_attention_heads": 4, "num_hidden_layers": 26,
    "num_key_value_heads": 1, "pad_token_id": 0, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06,
    "rope_local_base_freq": 10000, "rope_scaling": null, "rope_theta": 1000000, "sliding_window": 512,
    "sliding_window_pattern": 6, "torch_dtype": "bfloat16", "transformers_version": "4.50.0.dev0", "use_cache": true,
    "vocab_size": 262144})";

TEST(Families, Gemma3Of1B) {
  ExpectGemma3(MustRead(kGemma3));
  std::string scaled(kGemma3);
  scaled.replace(scaled.find("\"rope_scaling\": null"), 20, R"("rope_scaling": {"factor": 8.0, "rope_type": "linear"})");
  const ModelConfig config = MustRead(scaled);
  EXPECT_EQ(config.ropes[0].frequencies, DividedBy(RopeFrequencies(256, 1e6), 8));
  EXPECT_EQ(config.ropes[1].frequencies, RopeFrequencies(256, 1e4));
}

TEST(Families, Gemma3AsNewerTransformersWriteIt) {
  std::string text(kGemma3);
  const std::string_view old = "\"rope_local_base_freq\": 10000, \"rope_scaling\": null, \"rope_theta\": 1000000,";
  text.replace(text.find("\"rope_local_base"), old.size(),
               R"("rope_parameters": {"full_attention": {"rope_theta": 1000000, "rope_type": "default"},
                                      "sliding_attention": {"rope_theta": 10000, "rope_type": "default"}},)");
  std::string types = "\"layer_types\": [";
  for (int i = 0; i < 26; ++i)
    types += std::string(i == 0 ? "" : ", ") + (i % 6 == 5 ? "\"full_attention\"" : "\"sliding_attention\"");
  const std::string_view pattern = "\"sliding_window_pattern\": 6";
  text.replace(text.find(pattern), pattern.size(), types + "]");
  ExpectGemma3(MustRead(text));
}

std::string Phi3(std::string_view context, std::string_view window, std::string_view scaling) {
  return fmt::format(
      R"({{"architectures": ["Phi3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 1,
      "embd_pdrop": 0.0, "eos_token_id": 32000, "hidden_act": "silu", "hidden_size": 3072, "initializer_range": 0.02,
      "intermediate_size": 8192, "max_position_embeddings": {}, "model_type": "phi3", "num_attention_heads": 32,
      "num_hidden_layers": 32, "num_key_value_heads": 32, "original_max_position_embeddings": 4096, "pad_token_id": 32000,
      "resid_pdrop": 0.0, "rms_norm_eps": 1e-05, "rope_scaling": {}, "rope_theta": 10000.0, "sliding_window": {},
      "tie_word_embeddings": false, "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 32064}})",
      context, scaling, window);
}

TEST(Families, Phi3MiniFor4k) {
  const ModelConfig config = MustRead(Phi3("4096", "2047", "null"));
  LayerConfig layer = Layer(32, 32, 96, 8192);
  layer.window = 2047;
  ExpectLayers(config, 32, layer);
  EXPECT_EQ(config.ropes[0].frequencies, RopeFrequencies(96, 1e4));
  EXPECT_EQ(config.ropes[0].magnitude, 1);
}

TEST(Families, Phi3MiniFor128kRotatesByTheLongTable) {
  std::string list_of_long = "[1.5";
  std::string list_of_short = "[1.0";
  std::vector<double> factors = {1.5};
  for (int i = 1; i < 48; ++i) {
    list_of_long += fmt::format(", {}.25", i);
    list_of_short += ", 1.5";
    factors.push_back(i + 0.25);
  }
  const auto scaling = [&](std::string_view type) {
    return fmt::format(R"({{"long_factor": {}], "short_factor": {}], "type": "{}"}})", list_of_long, list_of_short, type);
  };
  for (const std::string_view type : {"longrope", "su", "yarn"}) {
    const ModelConfig config = MustRead(Phi3("131072", "262144", scaling(type)));
    EXPECT_EQ(config.ropes[0].frequencies, DividedBy(RopeFrequencies(96, 1e4), factors)) << type;
    EXPECT_FLOAT_EQ(config.ropes[0].magnitude, 1.190238F) << type;
  }
  const ModelConfig config = MustRead(Phi3("4096", "null", scaling("longrope")));
  EXPECT_EQ(config.ropes[0].frequencies[1], RopeFrequencies(96, 1e4)[1] / 1.5);
}

TEST(Families, Granite31Of2B) {
  const ModelConfig config = MustRead(R"({
    "architectures": ["GraniteForCausalLM"], "attention_bias": false, "attention_dropout": 0.1, "attention_multiplier": 0.015625,
    "bos_token_id": 0, "embedding_multiplier": 12.0, "eos_token_id": 0, "hidden_act": "silu", "hidden_size": 2048,
    "initializer_range": 0.02, "intermediate_size": 8192, "logits_scaling": 8.0, "max_position_embeddings": 131072,
    "mlp_bias": false, "model_type": "granite", "num_attention_heads": 32, "num_hidden_layers": 40, "num_key_value_heads": 8,
    "pad_token_id": 0, "residual_multiplier": 0.22, "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 5000000.0,
    "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 49155})");
  LayerConfig layer = Layer(32, 8, 64, 8192);
  layer.attention_scale = 0.015625F;
  ExpectLayers(config, 40, layer);
  EXPECT_EQ(config.embedding_scale, 12.0F);
  EXPECT_EQ(config.residual_scale, 0.22F);
  EXPECT_EQ(config.logit_scale, 0.125F);
}

TEST(Families, Olmo2Of1B) {
  const ModelConfig config = MustRead(R"({
    "architectures": ["Olmo2ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "eos_token_id": 100257,
    "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 8192,
    "max_position_embeddings": 4096, "model_type": "olmo2", "num_attention_heads": 16, "num_hidden_layers": 16,
    "num_key_value_heads": 16, "pad_token_id": 100277, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 500000,
    "tie_word_embeddings": false, "torch_dtype": "float32", "use_cache": true, "vocab_size": 100352})");
  LayerConfig layer = Layer(16, 16, 128, 8192);
  layer.qk_norm = QkNorm::kFullWidth;
  ExpectLayers(config, 16, layer);
  EXPECT_EQ(config.norm_placement, NormPlacement::kPost);
}

TEST(Families, SmolLm3Of3B) {
  std::string rotates = "[1, 1, 1, 0";
  for (int i = 0; i < 8; ++i) rotates += ", 1, 1, 1, 0";
  const auto text = [](std::string_view no_rope) {
    return fmt::format(R"({{
    "architectures": ["SmolLM3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 128000,
    "eos_token_id": 128012, "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 11008,
    "max_position_embeddings": 65536, "max_window_layers": 28, "mlp_bias": false, "model_type": "smollm3",
    "no_rope_layer_interval": 4, {} "num_attention_heads": 16, "num_hidden_layers": 36, "num_key_value_heads": 4,
    "pad_token_id": 128004, "pretraining_tp": 2, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 5000000.0,
    "sliding_window": null, "torch_dtype": "bfloat16", "use_cache": false, "use_sliding_window": false,
    "vocab_size": 128256}})",
                       no_rope);
  };
  for (const std::string& no_rope : {"\"no_rope_layers\": " + rotates + "],", std::string()}) {
    const ModelConfig config = MustRead(text(no_rope));
    ASSERT_EQ(config.layers.size(), 36u);
    for (size_t i = 0; i < 36; ++i) EXPECT_EQ(config.layers[i].rope, i % 4 == 3 ? -1 : 0);
    EXPECT_EQ(config.ropes[0].frequencies, RopeFrequencies(128, 5e6));
  }
}

TEST(Families, StarCoder2Of3B) {
  const ModelConfig config = MustRead(R"({
    "architectures": ["Starcoder2ForCausalLM"], "attention_dropout": 0.1, "bos_token_id": 0, "embedding_dropout": 0.1,
    "eos_token_id": 0, "hidden_act": "gelu_pytorch_tanh", "hidden_size": 3072, "initializer_range": 0.018042,
    "intermediate_size": 12288, "layer_norm_epsilon": 1e-05, "max_position_embeddings": 16384, "mlp_type": "default",
    "model_type": "starcoder2", "norm_epsilon": 1e-05, "norm_type": "layer_norm", "num_attention_heads": 24,
    "num_hidden_layers": 30, "num_key_value_heads": 2, "residual_dropout": 0.1, "rope_theta": 999999.4420358813,
    "sliding_window": 4096, "transformers_version": "4.37.0.dev0", "use_bias": true, "use_cache": true, "vocab_size": 49152})");
  LayerConfig layer = Layer(24, 2, 128, 12288);
  layer.window = 4096;
  layer.mlp = MlpKind::kPlain;
  layer.activation = Activation::kGeluTanh;
  ExpectLayers(config, 30, layer);
  EXPECT_EQ(config.norm, NormKind::kLayer);
  EXPECT_EQ(config.norm_epsilon, 1e-5F);
  EXPECT_EQ(config.ropes[0].frequencies, RopeFrequencies(128, 999999.4420358813));
}

TEST(Families, EveryFamilyNamesEveryRoleItNeeds) {
  for (const Family& family : Families()) {
    for (const bool gguf : {true, false}) {
      for (const TensorName& name : family.tensors) {
        EXPECT_TRUE(name.fused >= 1 && (!name.gguf.empty() || !name.checkpoint.empty())) << family.name;
      }
      if (gguf && family.architectures.empty()) continue;
      for (const Role role : {Role::kEmbedding, Role::kOutputNorm, Role::kHead, Role::kQuery, Role::kAttnOut, Role::kUp}) {
        const auto covers = [&](const TensorName& name) {
          const auto first = static_cast<uint32_t>(name.role);
          const auto wanted = static_cast<uint32_t>(role);
          return first <= wanted && wanted < first + name.fused && !(gguf ? name.gguf : name.checkpoint).empty();
        };
        EXPECT_TRUE(std::any_of(family.tensors.begin(), family.tensors.end(), covers)) << family.name;
      }
    }
  }
}

}  // namespace
}  // namespace millrace::model
