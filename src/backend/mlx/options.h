// What can be chosen when an MLX backend is made.
#pragma once

#include <cstdint>

#include "model/config.h"

namespace millrace::backend_mlx {

// The type of products, of float matrices and of scales. Automatic: f32 on a processor, where MLX computes no faster in halves and every
// weight keeps its value; f16 on a GPU.
enum class Compute : uint8_t { kAutomatic, kF32, kF16, kBF16 };

struct MlxOptions {
  Compute compute = Compute::kAutomatic;
  // f32 products and f32 keys and values, whatever else is said.
  bool reference = false;
  model::KvType kv_type = model::KvType::kF16;
  uint32_t slots = 8;               // sequences at a time
  uint32_t context = 8192;          // most positions of one sequence
  uint32_t blocks = 0;              // KV blocks of kBlockTokens positions; 0 = slots x context
  uint32_t max_batch_tokens = 512;  // most token rows of one step
};

}  // namespace millrace::backend_mlx
