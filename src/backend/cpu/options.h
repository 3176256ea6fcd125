// What can be chosen when a CPU backend is made.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"
#include "model/config.h"

namespace millrace::backend_cpu {

struct CpuOptions {
  uint32_t threads = 0;  // 0 = one per processor that this process may use
  kernels::Isa isa = kernels::BestIsa();
  // Float reference mode: weights dequantised to f32, f32 activations and f32 KV whatever kv_type says. Slow and large; for tests.
  bool reference = false;
  model::KvType kv_type = model::KvType::kF16;
  uint32_t slots = 8;               // sequences with a block table
  uint32_t context = 8192;          // most positions of one sequence
  uint32_t blocks = 0;              // KV blocks of 32 positions; 0 = slots x context
  uint32_t max_batch_tokens = 512;  // most token rows of one step
  uint32_t max_outputs = 0;         // most output rows of one step; 0 = max_batch_tokens
};

}  // namespace millrace::backend_cpu
