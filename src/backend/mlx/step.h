// One step between Begin and End.
#pragma once

#include <mlx/array.h>

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "backend/mlx/attention.h"
#include "base/status.h"
#include "model/model_runner.h"

namespace millrace::backend_mlx {

struct Step {
  // Copies of what the batch said.
  std::vector<model::SpanOfTokens> spans;
  std::vector<model::OutputRow> outputs;
  std::vector<model::DeviceSampling> sampling;

  // While it is built. `acts` goes away when the device starts: what is held cannot be reused by MLX.
  std::vector<mlx::core::array> acts;
  std::optional<mlx::core::array> ids;        // [tokens]
  std::optional<mlx::core::array> positions;  // [tokens]
  std::map<int32_t, RopeTable> rope_rows;     // by index of the rope
  Status failure;                             // of the first op that failed; the others then do nothing

  // What it makes. Row i of the step's outputs is row place[i] of the array that its kind says.
  std::vector<int> place;
  std::optional<mlx::core::array> logits;   // [rows of kind kLogits, vocab], f32
  std::optional<mlx::core::array> samples;  // [rows of kind kSample], int32
  uint64_t weight_bytes = 0;
  uint64_t kv_bytes = 0;
  int64_t begin_ns = 0;
};

}  // namespace millrace::backend_mlx
