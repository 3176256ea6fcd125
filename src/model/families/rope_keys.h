// Rope as files describe it: base, rotated share of a head, scaling. GGUF has keys under "rope." and tensors of factors; config.json has
// rope_theta beside an object rope_scaling, or, written by newer transformers, everything in an object rope_parameters.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "model/config.h"
#include "model/metadata.h"

namespace millrace::model {

struct RopeSource {
  RopeStyle gguf_style = RopeStyle::kHalves;  // checkpoints rotate halves
  Key base_key{"rope.freq_base", "rope_theta"};
  double base = 10000.0;  // where the file names none
  double share = 1.0;     // of a head that is rotated, where config.json names none
  // The object inside rope_parameters, of families that have ropes for several kinds of layers.
  std::string_view section = "";
  bool scaled = true;                // rope_scaling, and all scaling in GGUF files, belong to this rope
  bool yarn_means_longrope = false;  // what the first Phi-3 checkpoints called it
};

// Reads and checks a rope. kUnsupported for kinds of scaling and parameters of scaling that this build does not know. `head_dim` and
// `context_length` are the model's.
//
// "longrope" has two tables, for contexts up to the original one and above. transformers changes between them while a sequence grows,
// which changes keys that are cached already; here (as in mlx-lm) the table is fixed by the model: the long one where context_length
// exceeds the original context.
Result<RopeConfig> ReadRope(const Metadata& metadata, const RopeSource& source, uint32_t head_dim, uint32_t context_length);

// The same, appended to the model's ropes.
Status AddRope(const Metadata& metadata, const RopeSource& source, ModelConfig& config);

}  // namespace millrace::model
