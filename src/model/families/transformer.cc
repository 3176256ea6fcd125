#include "model/families/transformer.h"

#include <cmath>

namespace millrace::model {

namespace {

// Far above every known model.
constexpr uint32_t kMaxLayers = 1024;
constexpr uint32_t kMaxHidden = 1U << 16;
constexpr uint32_t kMaxFfn = 1U << 20;
constexpr uint32_t kMaxHeads = 1024;
constexpr uint32_t kMaxHeadDim = 1024;
constexpr uint32_t kMaxContext = 1U << 24;
constexpr double kMaxFactor = 1e6;

constexpr Key kLayers{"block_count", "num_hidden_layers"};
constexpr Key kHidden{"embedding_length", "hidden_size"};
constexpr Key kContext{"context_length", "max_position_embeddings"};
constexpr Key kFfn{"feed_forward_length", "intermediate_size"};
constexpr Key kHeads{"attention.head_count", "num_attention_heads"};
constexpr Key kKvHeads{"attention.head_count_kv", "num_key_value_heads"};
constexpr Key kHeadDim{"attention.key_length", "head_dim"};
constexpr Key kValueDim{"attention.value_length", ""};

Result<uint32_t> ReadHeadDim(const Metadata& metadata, uint32_t hidden, uint32_t heads, uint32_t fallback) {
  uint32_t head_dim = fallback == 0 || metadata.is_gguf() ? hidden / heads : fallback;
  if (metadata.Has(kHeadDim)) {
    ASSIGN_OR_RETURN(head_dim, metadata.Dimension(kHeadDim, kMaxHeadDim));
  } else if (head_dim == 0 || (head_dim * heads != hidden && head_dim != fallback)) {
    return Error(Code::kInvalidArgument, "{}: {} is no multiple of the {} heads, and the head size is not given",
                 metadata.Where(kHidden), hidden, heads);
  }
  if (head_dim > kMaxHeadDim) return Error(Code::kInvalidArgument, "head size {}, expected at most {}", head_dim, kMaxHeadDim);
  if (head_dim % 2 != 0) return Error(Code::kInvalidArgument, "head size {}, expected an even number for rope", head_dim);
  ASSIGN_OR_RETURN(const uint32_t value_dim, metadata.DimensionOr(kValueDim, kMaxHeadDim, head_dim));
  if (value_dim != head_dim) {
    return Error(Code::kUnsupported, "{}: {}, expected the size of keys, {}", metadata.Where(kValueDim), value_dim, head_dim);
  }
  return head_dim;
}

Result<LayerConfig> ReadLayer(const Metadata& metadata, uint32_t hidden, uint32_t head_dim) {
  LayerConfig layer;
  ASSIGN_OR_RETURN(layer.heads, metadata.Dimension(kHeads, kMaxHeads));
  ASSIGN_OR_RETURN(layer.kv_heads, metadata.DimensionOr(kKvHeads, kMaxHeads, layer.heads));
  if (layer.heads % layer.kv_heads != 0) {
    return Error(Code::kInvalidArgument, "{}: {} does not divide the {} query heads", metadata.Where(kKvHeads), layer.kv_heads,
                 layer.heads);
  }
  ASSIGN_OR_RETURN(layer.head_dim, ReadHeadDim(metadata, hidden, layer.heads, head_dim));
  layer.attention_scale = 1.0F / std::sqrt(static_cast<float>(layer.head_dim));
  ASSIGN_OR_RETURN(layer.ffn, metadata.Dimension(kFfn, kMaxFfn));
  return layer;
}

}  // namespace

Result<ModelConfig> ReadTransformer(const Metadata& metadata, std::string_view family, const TransformerKeys& keys) {
  ModelConfig config;
  config.family = family;
  config.name = metadata.name();
  ASSIGN_OR_RETURN(config.hidden, metadata.Dimension(kHidden, kMaxHidden));
  ASSIGN_OR_RETURN(config.context_length, metadata.Dimension(kContext, kMaxContext));
  ASSIGN_OR_RETURN(const uint32_t layers, metadata.Dimension(kLayers, kMaxLayers));
  ASSIGN_OR_RETURN(const LayerConfig layer, ReadLayer(metadata, config.hidden, keys.head_dim));
  config.layers.assign(layers, layer);
  ASSIGN_OR_RETURN(const double epsilon, metadata.Number(keys.epsilon));
  if (!(epsilon > 0 && epsilon < 1)) {
    return Error(Code::kInvalidArgument, "{}: {}, expected a number between 0 and 1", metadata.Where(keys.epsilon), epsilon);
  }
  config.norm_epsilon = static_cast<float>(epsilon);
  return config;
}

Result<float> ReadFactor(const Metadata& metadata, const Key& key, double fallback, bool zero) {
  ASSIGN_OR_RETURN(const double factor, metadata.NumberOr(key, fallback));
  const bool small_enough = factor <= kMaxFactor && (factor >= 1 / kMaxFactor || (zero && factor == 0));
  if (!small_enough) {
    return Error(Code::kInvalidArgument, "{}: {}, expected {} to {}{}", metadata.Where(key), factor, 1 / kMaxFactor, kMaxFactor,
                 zero ? ", or 0" : "");
  }
  return static_cast<float>(factor);
}

}  // namespace millrace::model
