// What the generations of Gemma share.
#pragma once

#include <cmath>
#include <cstddef>

#include "base/status.h"
#include "model/config.h"
#include "model/families/transformer.h"
#include "model/metadata.h"

namespace millrace::model {

// 1 / sqrt(query_pre_attn_scalar). GGUF files do not hold that number: there it is the head size, but hidden / heads in the 27B models,
// which are known by their layers (llama.cpp does the same).
inline Result<float> ReadGemmaAttentionScale(const Metadata& metadata, const ModelConfig& config, size_t layers_of_27b) {
  constexpr Key kScalar{"", "query_pre_attn_scalar"};
  const LayerConfig& layer = config.layers[0];
  if (metadata.is_gguf()) {
    const bool is_27b = config.layers.size() == layers_of_27b;
    return 1.0F / std::sqrt(static_cast<float>(is_27b ? config.hidden / layer.heads : layer.head_dim));
  }
  ASSIGN_OR_RETURN(const float scalar, ReadFactor(metadata, kScalar, 256));
  return 1.0F / std::sqrt(scalar);
}

}  // namespace millrace::model
