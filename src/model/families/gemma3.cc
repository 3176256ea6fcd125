// Family "gemma3": text models of Gemma 3. Gemma2's blocks with norms of each query and key head instead of soft caps; local layers with a
// window and a rope of their own, and every sixth layer global. Checkpoints store norm weights without their 1.
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

constexpr std::array<std::string_view, 1> kArchitectures = {"gemma3"};
constexpr std::array<std::string_view, 1> kModelTypes = {"gemma3_text"};

constexpr std::array<TensorName, 4> kNorms = {{
    {Role::kAttnNorm, "blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight"},
    {Role::kAttnPostNorm, "blk.{}.post_attention_norm.weight", "model.layers.{}.post_attention_layernorm.weight"},
    {Role::kMlpNorm, "blk.{}.ffn_norm.weight", "model.layers.{}.pre_feedforward_layernorm.weight"},
    {Role::kMlpPostNorm, "blk.{}.post_ffw_norm.weight", "model.layers.{}.post_feedforward_layernorm.weight"},
}};
constexpr auto kTensors = names::Join(names::kTables, names::kAttention, names::kGatedMlp,
                                      names::WithOffset(names::Join(names::kOutputNorm, names::kQkNorms, kNorms), 1));
constexpr std::array<std::string_view, 6> kRead = {"attention.sliding_window", "attention.sliding_window_pattern",
                                                   "sliding_window",           "query_pre_attn_scalar",
                                                   "final_logit_softcapping",  "rope.freq_base_swa"};
constexpr Key kLogitCap{"final_logit_softcapping", "final_logit_softcapping"};
constexpr Key kPattern{"attention.sliding_window_pattern", "sliding_window_pattern"};
constexpr Key kOldPattern{"", "_sliding_window_pattern"};
constexpr uint32_t kDefaultPattern = 6;
constexpr size_t kLayersOf27B = 62;

// True for each local layer.
Result<std::vector<bool>> ReadLocalLayers(const Metadata& metadata, size_t layers) {
  ASSIGN_OR_RETURN(std::vector<bool> local, ReadSlidingLayers(metadata, layers));
  if (!local.empty()) return local;
  const Key& key = metadata.Has(kOldPattern) ? kOldPattern : kPattern;
  ASSIGN_OR_RETURN(const uint32_t pattern, metadata.DimensionOr(key, 1U << 16, kDefaultPattern));
  for (size_t i = 0; i < layers; ++i) local.push_back((i + 1) % pattern != 0);
  return local;
}

// Two ropes: 0 is that of the global layers, 1 that of the local ones.
Status AddRopes(const Metadata& metadata, ModelConfig& config) {
  RETURN_IF_ERROR(AddRope(metadata, {.base = 1e6, .section = "full_attention"}, config));
  const RopeSource local{
      .base_key = {"rope.freq_base_swa", "rope_local_base_freq"}, .section = "sliding_attention", .scaled = false};
  return AddRope(metadata, local, config);
}

constexpr uint32_t kDefaultWindow = 4096;  // of transformers, where config.json is silent

Result<ModelConfig> ReadConfig(const Metadata& metadata) {
  RETURN_IF_ERROR(CheckOtherKeys(metadata, kRead));
  RETURN_IF_ERROR(CheckActivation(metadata, "hidden_activation", Activation::kGeluTanh));
  ASSIGN_OR_RETURN(ModelConfig config, ReadTransformer(metadata, "gemma3", {.head_dim = 256}));
  RETURN_IF_ERROR(AddRopes(metadata, config));
  config.norm_placement = NormPlacement::kBoth;
  config.embedding_scale = std::sqrt(static_cast<float>(config.hidden));
  ASSIGN_OR_RETURN(config.logit_softcap, ReadFactor(metadata, kLogitCap, 0, true));
  ASSIGN_OR_RETURN(const uint32_t window, ReadWindow(metadata, metadata.is_gguf() ? 0 : kDefaultWindow));
  ASSIGN_OR_RETURN(const auto local, ReadLocalLayers(metadata, config.layers.size()));
  ASSIGN_OR_RETURN(const float scale, ReadGemmaAttentionScale(metadata, config, kLayersOf27B));
  for (size_t i = 0; i < config.layers.size(); ++i) {
    LayerConfig& layer = config.layers[i];
    layer.activation = Activation::kGeluTanh;
    layer.qk_norm = QkNorm::kPerHead;
    layer.attention_scale = scale;
    layer.rope = local[i] ? 1 : 0;
    layer.window = local[i] ? window : 0;
  }
  return config;
}

}  // namespace

Family Gemma3Family() {
  return {.name = "gemma3",
          .architectures = kArchitectures,
          .model_types = kModelTypes,
          .read_config = &ReadConfig,
          .tensors = kTensors,
          .tied_by_default = true};
}

}  // namespace millrace::model
