// The arithmetic of a decoder layer by composition of MLX ops. Rows are float32 wherever they are kept between ops; the products
// themselves run in the type that the weights are held in.
#pragma once

#include <mlx/array.h>

#include "backend/mlx/weight_store.h"
#include "model/config.h"

namespace millrace::backend_mlx {

// x [rows, cols] -> W x [rows, rows of W].
mlx::core::array Multiply(const mlx::core::array& x, const StoredWeight& weight);

// Rows `ids` [tokens] of a matrix: [tokens, cols].
mlx::core::array TakeRows(const StoredWeight& weight, const mlx::core::array& ids);

mlx::core::array Activate(model::Activation activation, const mlx::core::array& x);

// cap * tanh(x / cap), or x where cap is 0.
mlx::core::array Softcap(const mlx::core::array& x, float cap);

// [act(gate) * up] of x [..., 2 * width]: gate first, then up.
mlx::core::array Gated(model::Activation activation, const mlx::core::array& gate_up);

// The weighted outputs of each token's chosen experts, summed: x [tokens, hidden] -> [tokens, hidden]. `logits`: the router's,
// [tokens, experts]. gate_up, down: matrices of all experts one after the other, of one part each.
struct ExpertWeights {
  const StoredWeight& gate_up;
  const StoredWeight& down;
};
mlx::core::array MixExperts(const mlx::core::array& x, const mlx::core::array& logits, const ExpertWeights& weights,
                            const model::ExpertsConfig& config, model::Activation activation);

}  // namespace millrace::backend_mlx
