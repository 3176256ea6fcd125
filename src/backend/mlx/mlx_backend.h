// MlxBackend: the Backend concept on MLX. Ops add to a lazy graph; Head starts the device on it, and End waits for the oldest step that was
// started. So two steps may be under way (RunnerInfo::depth), and tokens that the first one samples feed the second one without coming
// back to the host.
//
// Exceptions of MLX end here: an op that fails makes its step fail at End. MLX binds its streams to the thread that made them: one thread
// makes, uses and destroys a backend. Nothing of MLX is visible in this header.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "backend/mlx/options.h"
#include "base/status.h"
#include "model/backend.h"
#include "model/config.h"
#include "model/model_runner.h"

namespace millrace::backend_mlx {

inline constexpr uint32_t kDepth = 2;

class MlxBackend {
 public:
  static constexpr uint32_t kBlockTokens = 64;  // positions of a KV block

  struct Weight {
    uint32_t index = 0;  // into the weight store
  };
  struct Act {
    uint32_t index = 0;  // of the step that is being built
  };

  // kUnsupported when the MLX library is another version than the one this was built with, kInvalidArgument for options or shapes out of
  // range. Takes no memory for keys and values before sequences need it.
  static Result<std::unique_ptr<MlxBackend>> Create(const model::ModelConfig& config, const MlxOptions& options);
  ~MlxBackend();

  Result<Weight> Load(std::span<const weights::TensorView> views);
  Result<Weight> LoadVector(std::span<const weights::TensorView> views);

  Status Begin(const model::StepBatch& batch);
  Act Embed(Weight table, float scale);
  Act AttnIn(Act x, const model::AttnInOp<Weight>& op);
  Act Attend(Act q, const model::AttendOp& op);
  Act OutAdd(Act input, const model::OutAddOp<Weight>& op, Act residual);
  Act MlpIn(Act x, const model::MlpInOp<Weight>& op);
  Act Experts(Act x, const model::ExpertsOp<Weight>& op);
  void Head(Act x, const model::HeadOp<Weight>& op);
  Result<model::StepResult> End();

  const model::RunnerInfo& info() const { return info_; }

  // What became of the file's element types, for the log: "Q4_1 converted to affine 4-bit without loss, …".
  std::string DescribeWeights() const;

 private:
  class Impl;

  MlxBackend();
  Status Start(const model::ModelConfig& config, const MlxOptions& options);
  void FillInfo(const MlxOptions& options);

  std::unique_ptr<Impl> impl_;
  std::string device_;
  model::RunnerInfo info_;
};

static_assert(model::Backend<MlxBackend>);

}  // namespace millrace::backend_mlx
