// What the families have in common: reading and checking the dimensions of a decoder-only transformer, under the limits that bound
// whatever later code allocates from these numbers. Families call the parts they need and set the rest.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "model/config.h"
#include "model/metadata.h"

namespace millrace::model {

// What differs between families in how they name or leave out a dimension.
struct TransformerKeys {
  Key epsilon{"attention.layer_norm_rms_epsilon", "rms_norm_eps"};
  uint32_t head_dim = 0;  // where config.json names none; 0 = hidden / heads
};

// name, hidden, context_length, norm_epsilon, and the layers: all alike, with heads, head size, feed-forward width, and 1 / sqrt(head
// size) as the scale of attention. No ropes yet.
Result<ModelConfig> ReadTransformer(const Metadata& metadata, std::string_view family, const TransformerKeys& keys = {});

// A factor or a cap: `fallback` without the key, else finite and above 0; where `zero` also 0.
Result<float> ReadFactor(const Metadata& metadata, const Key& key, double fallback, bool zero = false);

}  // namespace millrace::model
