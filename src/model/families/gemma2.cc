// Family "gemma2": norms on both sides of attention and MLP, soft caps of scores and logits, a window on every second layer from the
// first on. Checkpoints store norm weights without their 1.
#include <array>
#include <cmath>

#include "model/families.h"
#include "model/families/checks.h"
#include "model/families/gemma.h"
#include "model/families/rope_keys.h"
#include "model/families/tensor_names.h"
#include "model/families/transformer.h"

namespace millrace::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"gemma2"};

constexpr std::array<TensorName, 4> kNorms = {{
    {Role::kAttnNorm, "blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight"},
    {Role::kAttnPostNorm, "blk.{}.post_attention_norm.weight", "model.layers.{}.post_attention_layernorm.weight"},
    {Role::kMlpNorm, "blk.{}.ffn_norm.weight", "model.layers.{}.pre_feedforward_layernorm.weight"},
    {Role::kMlpPostNorm, "blk.{}.post_ffw_norm.weight", "model.layers.{}.post_feedforward_layernorm.weight"},
}};
constexpr auto kTensors = names::Join(names::kTables, names::kAttention, names::kGatedMlp,
                                      names::WithOffset(names::Join(names::kOutputNorm, kNorms), 1));
constexpr std::array<std::string_view, 5> kRead = {"attention.sliding_window", "sliding_window", "query_pre_attn_scalar",
                                                   "attn_logit_softcapping", "final_logit_softcapping"};
constexpr Key kScoreCap{"attn_logit_softcapping", "attn_logit_softcapping"};
constexpr Key kLogitCap{"final_logit_softcapping", "final_logit_softcapping"};
constexpr size_t kLayersOf27B = 46;

// What both transformers and llama.cpp take where a file is silent, as early files are; null in config.json means none.
constexpr float kDefaultScoreCap = 50;
constexpr float kDefaultLogitCap = 30;
constexpr uint32_t kDefaultWindow = 4096;

Result<float> ReadCap(const Metadata& metadata, const Key& key, float fallback) {
  return ReadFactor(metadata, key, metadata.IsNull(key) ? 0 : fallback, true);
}

Result<ModelConfig> ReadConfig(const Metadata& metadata) {
  RETURN_IF_ERROR(CheckOtherKeys(metadata, kRead));
  RETURN_IF_ERROR(CheckActivation(metadata, "hidden_activation", Activation::kGeluTanh));
  ASSIGN_OR_RETURN(ModelConfig config, ReadTransformer(metadata, "gemma2", {.head_dim = 256}));
  RETURN_IF_ERROR(AddRope(metadata, {}, config));
  config.norm_placement = NormPlacement::kBoth;
  config.embedding_scale = std::sqrt(static_cast<float>(config.hidden));
  ASSIGN_OR_RETURN(config.logit_softcap, ReadCap(metadata, kLogitCap, kDefaultLogitCap));
  ASSIGN_OR_RETURN(const float cap, ReadCap(metadata, kScoreCap, kDefaultScoreCap));
  ASSIGN_OR_RETURN(const uint32_t window, ReadWindow(metadata, kDefaultWindow));
  ASSIGN_OR_RETURN(const auto sliding, ReadSlidingLayers(metadata, config.layers.size()));
  ASSIGN_OR_RETURN(const float scale, ReadGemmaAttentionScale(metadata, config, kLayersOf27B));
  for (size_t i = 0; i < config.layers.size(); ++i) {
    LayerConfig& layer = config.layers[i];
    layer.activation = Activation::kGeluTanh;
    layer.attention_softcap = cap;
    layer.attention_scale = scale;
    layer.window = (sliding.empty() ? i % 2 == 0 : bool{sliding[i]}) ? window : 0;
  }
  return config;
}

}  // namespace

Family Gemma2Family() {
  return {.name = "gemma2",
          .architectures = kArchitectures,
          .model_types = kArchitectures,
          .read_config = &ReadConfig,
          .tensors = kTensors,
          .tied_by_default = true};
}

}  // namespace millrace::model
