// Backends as the worker layer sees them: a row each. A program holds those that it links; libexec/millrace-worker has the CPU's, a
// backend with a library of its own gets a program of its own (mlx_row.h). To add one: a folder backend/NAME and one row.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"
#include "model/config.h"
#include "model/model_file.h"
#include "model/model_runner.h"

namespace millrace::worker {

struct BackendOptions {
  uint32_t threads = 0;  // 0 = the backend decides
  std::string isa;       // empty = the best that this machine has
  bool reference = false;
  model::KvType kv_type = model::KvType::kF16;
  uint32_t slots = 0;
  uint32_t context = 0;
  uint64_t kv_tokens = 0;  // positions for which the KV pool has room
  uint32_t max_batch_tokens = 0;
  std::function<void(size_t done, size_t total)> progress = nullptr;  // while weights load; may be empty
};

// A model ready to run. `pool` and `kernels` are the runner's own, for measuring memory with the same threads while no step runs; null
// where a backend does not compute on the processor. They live as long as the runner.
struct LoadedRunner {
  std::unique_ptr<model::ModelRunner> runner;
  kernels::ThreadPool* pool = nullptr;
  const kernels::KernelTable* kernels = nullptr;
};

struct BackendRow {
  std::string_view name;
  uint32_t block_tokens;  // positions of a KV block; for planning memory before the backend exists
  // `file` is only needed during the call.
  Result<LoadedRunner> (*load)(const model::ModelFile& file, const BackendOptions& options);
};

const BackendRow& CpuRow();

}  // namespace millrace::worker
