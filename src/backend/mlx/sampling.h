// Sampling on the device: the chain of the engine's sampler (temperature, top-k, top-p, min-p) by composition of MLX ops. The draw is
// the same function of (seed, choice, position), so that it does not depend on who else is in the batch; sums are rounded differently,
// so a draw on the border of two tokens may fall to the other one.
#pragma once

#include <mlx/array.h>

#include <span>

#include "model/model_runner.h"

namespace millrace::backend_mlx {

// logits: [rows, vocab] in f32, one entry of `sampling` for each. Token ids [rows] as int32; kNoToken where the largest logit is infinite
// or no logit is a number.
mlx::core::array SampleRows(const mlx::core::array& logits, std::span<const model::DeviceSampling> sampling);

}  // namespace millrace::backend_mlx
