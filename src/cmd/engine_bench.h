// Speed of an engine in this process: no gateway, no ring, no text. The "direct" side of every comparison.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "engine/engine.h"

namespace millrace::cmd {

struct DecodeSpeed {
  double tok_s = 0;            // of all sequences together
  double bytes_per_token = 0;  // bytes of a step / batch
  double step_bytes = 0;
};

// `batch` sequences whose prompts hold `depth` tokens (at least one) decode `steps` tokens each, greedily; timed from the step after the
// last of them got its first token. The engine is idle before and after.
Result<DecodeSpeed> MeasureDecode(engine::Engine& engine, uint32_t depth, uint32_t batch, uint32_t steps);

// Prompt tokens per second of one request of `tokens` tokens, first token included.
Result<double> MeasurePrefill(engine::Engine& engine, uint32_t tokens);

}  // namespace millrace::cmd
