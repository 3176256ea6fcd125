// MlxBackend behind its boundary: everything here may throw.
#pragma once

#include <mlx/array.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/mlx/boundary.h"
#include "backend/mlx/kv_slabs.h"
#include "backend/mlx/mlx_backend.h"
#include "backend/mlx/step.h"
#include "backend/mlx/weight_store.h"

namespace millrace::backend_mlx {

class MlxBackend::Impl {
 public:
  Impl(const model::ModelConfig& config, const MlxOptions& options, const SlabLimits& limits);

  WeightStore& weights() { return weights_; }
  const KvSlabs& kv() const { return kv_; }

  Status Begin(const model::StepBatch& batch);
  Result<model::StepResult> End();

  // One op: adds its array to the step that is being built, or notes why it could not.
  template <typename Op>
  Act Run(Op&& op) {
    Step& step = steps_.back();
    if (!step.failure.ok()) return {};
    step.failure = Guard([&] { step.acts.push_back(op()); });
    return Act{static_cast<uint32_t>(step.acts.size() - 1)};
  }

  // The ops themselves.
  mlx::core::array Embed(Weight table, float scale);
  mlx::core::array AttnIn(Act x, const model::AttnInOp<Weight>& op);
  mlx::core::array Attend(Act q, const model::AttendOp& op);
  mlx::core::array OutAdd(Act input, const model::OutAddOp<Weight>& op, Act residual);
  mlx::core::array MlpIn(Act x, const model::MlpInOp<Weight>& op);
  mlx::core::array Experts(Act x, const model::ExpertsOp<Weight>& op);
  void Head(Act x, const model::HeadOp<Weight>& op);

 private:
  Status Check(const model::StepBatch& batch) const;
  Status CheckTokens(const model::StepBatch& batch) const;
  Status CheckSpans(const model::StepBatch& batch) const;
  Status CheckOutputs(const model::StepBatch& batch) const;
  void TakeBatch(const model::StepBatch& batch, Step& step) const;
  mlx::core::array IdsOf(const model::StepBatch& batch) const;

  Step& step() { return steps_.back(); }
  const mlx::core::array& At(Act act) { return step().acts[act.index]; }
  const StoredWeight& Use(Weight weight);  // counts its bytes as read by the step
  mlx::core::array Normalise(const mlx::core::array& x, const std::optional<model::NormOp<Weight>>& norm);
  mlx::core::array Biased(const mlx::core::array& x, const std::optional<Weight>& bias);
  mlx::core::array NormaliseHeads(const mlx::core::array& x, model::QkNorm kind, Weight weight, float epsilon);
  mlx::core::array RotateHeads(const mlx::core::array& x, int32_t rope);
  mlx::core::array AddTo(const mlx::core::array& residual, const mlx::core::array& y,
                         const std::optional<model::NormOp<Weight>>& post_norm, float scale);
  void Store(uint32_t layer, const mlx::core::array& keys, const mlx::core::array& values);
  void CountKv(const model::AttendOp& op);
  void TakeOutputs(const mlx::core::array& logits);
  void StartDevice();

  model::ModelConfig config_;
  MlxOptions options_;
  mlx::core::Dtype compute_;
  WeightStore weights_;
  KvSlabs kv_;
  std::vector<RopeTable> ropes_;

  std::deque<Step> steps_;  // started and not ended, oldest first; the last one may be still being built
  // Of the latest started step: tokens of the next one may refer to them.
  std::optional<mlx::core::array> samples_;
  std::vector<int> sample_of_;  // by output row; -1 where it was not sampled

  // Of the latest ended step: valid until the next Launch.
  std::optional<Step> ended_;
  std::vector<model::OutputResult> results_;
  int64_t ended_ns_ = 0;
};

}  // namespace millrace::backend_mlx
