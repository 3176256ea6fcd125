// The MLX backend's row. A library of its own (millrace_worker_mlx): only programs that may depend on MLX link it.
#pragma once

#include <string>

#include "base/status.h"
#include "worker/backends.h"

namespace millrace::worker {

const BackendRow& MlxRow();

// What MLX computes on. It may end the process where nothing works: ask in a child that does nothing else.
struct MlxDevice {
  std::string name;
  bool gpu = false;
  std::string version;  // of MLX
};
Result<MlxDevice> ProbeMlx();

}  // namespace millrace::worker
