// What the families have in common: reading and checking the dimensions of a decoder-only transformer, under the limits that bound
// whatever later code allocates from these numbers. Families call the parts they need and set the rest.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/status.h"
#include "model/config.h"
#include "model/metadata.h"

namespace millrace::model {

// name, hidden, context_length, norm_epsilon, and the layers: all alike, with heads, head size, feed-forward width, and 1 / sqrt(head
// size) as the scale of attention. No ropes yet.
Result<ModelConfig> ReadTransformer(const Metadata& metadata, std::string_view family);

struct RopeDefaults {
  RopeStyle gguf_style = RopeStyle::kHalves;  // checkpoints rotate halves
  double base = 10000.0;                      // where the file names none
};

// The rope that all layers share, without scaling: dims (all of the head or a part of it) and base. kUnsupported for scaling that is
// not neutral.
Result<RopeConfig> ReadRope(const Metadata& metadata, const RopeDefaults& defaults, uint32_t head_dim);

// A key that changes the arithmetic in a way that the family does not do; harmless with one value.
struct NeutralNumber {
  Key key;
  double neutral;
};
// kUnsupported naming the first key with another value.
Status CheckNeutral(const Metadata& metadata, std::span<const NeutralNumber> numbers);

}  // namespace millrace::model
