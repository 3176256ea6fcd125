#include "model/families/transformer.h"

#include <cmath>

#include "model/rope.h"
#include "weights/shown_text.h"

namespace millrace::model {

namespace {

// Far above every known model.
constexpr uint32_t kMaxLayers = 1024;
constexpr uint32_t kMaxHidden = 1U << 16;
constexpr uint32_t kMaxFfn = 1U << 20;
constexpr uint32_t kMaxHeads = 1024;
constexpr uint32_t kMaxHeadDim = 1024;
constexpr uint32_t kMaxContext = 1U << 24;
constexpr double kMaxRopeBase = 1e12;

constexpr Key kLayers{"block_count", "num_hidden_layers"};
constexpr Key kHidden{"embedding_length", "hidden_size"};
constexpr Key kContext{"context_length", "max_position_embeddings"};
constexpr Key kFfn{"feed_forward_length", "intermediate_size"};
constexpr Key kHeads{"attention.head_count", "num_attention_heads"};
constexpr Key kKvHeads{"attention.head_count_kv", "num_key_value_heads"};
constexpr Key kHeadDim{"attention.key_length", "head_dim"};
constexpr Key kValueDim{"attention.value_length", ""};
constexpr Key kRmsEpsilon{"attention.layer_norm_rms_epsilon", "rms_norm_eps"};
constexpr Key kRopeDims{"rope.dimension_count", ""};
constexpr Key kRopeShare{"", "partial_rotary_factor"};
constexpr Key kRopeBase{"rope.freq_base", "rope_theta"};

Result<uint32_t> ReadHeadDim(const Metadata& metadata, uint32_t hidden, uint32_t heads) {
  uint32_t head_dim = hidden / heads;
  if (metadata.Has(kHeadDim)) {
    ASSIGN_OR_RETURN(head_dim, metadata.Dimension(kHeadDim, kMaxHeadDim));
  } else if (hidden % heads != 0) {
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

Result<LayerConfig> ReadLayer(const Metadata& metadata, uint32_t hidden) {
  LayerConfig layer;
  ASSIGN_OR_RETURN(layer.heads, metadata.Dimension(kHeads, kMaxHeads));
  ASSIGN_OR_RETURN(layer.kv_heads, metadata.DimensionOr(kKvHeads, kMaxHeads, layer.heads));
  if (layer.heads % layer.kv_heads != 0) {
    return Error(Code::kInvalidArgument, "{}: {} does not divide the {} query heads", metadata.Where(kKvHeads), layer.kv_heads,
                 layer.heads);
  }
  ASSIGN_OR_RETURN(layer.head_dim, ReadHeadDim(metadata, hidden, layer.heads));
  layer.attention_scale = 1.0F / std::sqrt(static_cast<float>(layer.head_dim));
  ASSIGN_OR_RETURN(layer.ffn, metadata.Dimension(kFfn, kMaxFfn));
  return layer;
}

Result<uint32_t> ReadRopeDims(const Metadata& metadata, uint32_t head_dim) {
  if (metadata.Has(kRopeShare)) {
    ASSIGN_OR_RETURN(const double share, metadata.Number(kRopeShare));
    const double dims = share * head_dim;
    if (!(share > 0 && share <= 1) || std::fmod(std::floor(dims), 2.0) != 0) {
      return Error(Code::kInvalidArgument, "{}: {} of a head of {}, expected an even part of at most all",
                   metadata.Where(kRopeShare), share, head_dim);
    }
    return static_cast<uint32_t>(dims);
  }
  ASSIGN_OR_RETURN(const uint32_t dims, metadata.DimensionOr(kRopeDims, kMaxHeadDim, head_dim));
  if (dims > head_dim || dims % 2 != 0) {
    return Error(Code::kInvalidArgument, "{}: {}, expected an even number of at most the head size {}", metadata.Where(kRopeDims),
                 dims, head_dim);
  }
  return dims;
}

}  // namespace

Result<ModelConfig> ReadTransformer(const Metadata& metadata, std::string_view family) {
  ModelConfig config;
  config.family = family;
  config.name = metadata.name();
  ASSIGN_OR_RETURN(config.hidden, metadata.Dimension(kHidden, kMaxHidden));
  ASSIGN_OR_RETURN(config.context_length, metadata.Dimension(kContext, kMaxContext));
  ASSIGN_OR_RETURN(const uint32_t layers, metadata.Dimension(kLayers, kMaxLayers));
  ASSIGN_OR_RETURN(const LayerConfig layer, ReadLayer(metadata, config.hidden));
  config.layers.assign(layers, layer);
  ASSIGN_OR_RETURN(const double epsilon, metadata.Number(kRmsEpsilon));
  if (!(epsilon > 0 && epsilon < 1)) {
    return Error(Code::kInvalidArgument, "{}: {}, expected a number between 0 and 1", metadata.Where(kRmsEpsilon), epsilon);
  }
  config.norm_epsilon = static_cast<float>(epsilon);
  return config;
}

Result<RopeConfig> ReadRope(const Metadata& metadata, const RopeDefaults& defaults, uint32_t head_dim) {
  RopeConfig rope;
  rope.style = metadata.is_gguf() ? defaults.gguf_style : RopeStyle::kHalves;
  ASSIGN_OR_RETURN(const uint32_t dims, ReadRopeDims(metadata, head_dim));
  ASSIGN_OR_RETURN(const double base, metadata.NumberOr(kRopeBase, defaults.base));
  if (!(base >= 1.0 && base <= kMaxRopeBase)) {
    return Error(Code::kInvalidArgument, "{}: {}, expected 1 to {}", metadata.Where(kRopeBase), base, kMaxRopeBase);
  }
  rope.frequencies = RopeFrequencies(dims, base);
  return rope;
}

Status CheckNeutral(const Metadata& metadata, std::span<const NeutralNumber> numbers) {
  for (const NeutralNumber& number : numbers) {
    if (!metadata.Has(number.key)) continue;
    ASSIGN_OR_RETURN(const double value, metadata.Number(number.key));
    if (value != number.neutral) {
      return Error(Code::kUnsupported, "{}: {} is not supported by this build, expected {} or no such key",
                   metadata.Where(number.key), value, number.neutral);
    }
  }
  return {};
}

}  // namespace millrace::model
