// The beginning and end of a step. The ops are in ops.cc.
#include "backend/mlx/impl.h"

#include <mlx/ops.h>
#include <mlx/transforms.h>

#include <algorithm>
#include <utility>

#include "backend/mlx/sampling.h"
#include "base/clock.h"

namespace millrace::backend_mlx {
namespace {

namespace mx = mlx::core;

mx::Dtype DtypeOf(Compute compute) {
  if (compute == Compute::kF16) return mx::float16;
  return compute == Compute::kBF16 ? mx::bfloat16 : mx::float32;
}

// Two bytes are as good in either half format; the one that the products use saves a conversion.
mx::Dtype KvDtypeOf(const MlxOptions& options) {
  if (options.kv_type == model::KvType::kF32) return mx::float32;
  return options.compute == Compute::kBF16 ? mx::bfloat16 : mx::float16;
}

mx::array Ints(const std::vector<int>& values) { return mx::array(values.data(), {static_cast<int>(values.size())}, mx::int32); }

}  // namespace

MlxBackend::Impl::Impl(const model::ModelConfig& config, const MlxOptions& options, const SlabLimits& limits)
    : config_(config),
      options_(options),
      compute_(DtypeOf(options.compute)),
      weights_(compute_),
      kv_(config, limits, KvDtypeOf(options)) {
  for (const model::RopeConfig& rope : config.ropes) ropes_.push_back(MakeRopeTable(rope, options.context));
}

Status MlxBackend::Impl::CheckTokens(const model::StepBatch& batch) const {
  if (batch.tokens.empty() || batch.tokens.size() > options_.max_batch_tokens) {
    return Error(Code::kInvalidArgument, "step of {} tokens: expected 1 to {}", batch.tokens.size(), options_.max_batch_tokens);
  }
  for (const TokenId token : batch.tokens) {
    const int64_t row = -int64_t{token} - 1;  // of the previous step's outputs
    const bool sampled = row >= 0 && static_cast<size_t>(row) < sample_of_.size() && sample_of_[static_cast<size_t>(row)] >= 0;
    if (row >= 0 && !sampled) {
      return Error(Code::kInvalidArgument, "token {}: the step before sampled nothing in its output row {}", token, row);
    }
    if (row < 0 && static_cast<uint32_t>(token) >= config_.vocab) {
      return Error(Code::kInvalidArgument, "token {}: expected below {}", token, config_.vocab);
    }
  }
  return {};
}

Status MlxBackend::Impl::CheckSpans(const model::StepBatch& batch) const {
  size_t next = 0;
  for (const model::SpanOfTokens& span : batch.spans) {
    if (span.token_begin != next || span.token_count == 0 || span.token_count > batch.tokens.size() - next) {
      return Error(Code::kInvalidArgument, "span of {} tokens from {} on: expected to begin at {} and to end by {}",
                   span.token_count, span.token_begin, next, batch.tokens.size());
    }
    if (span.adapter != -1) return Error(Code::kUnsupported, "adapter {}: this backend has none", span.adapter);
    next += span.token_count;
  }
  if (next == batch.tokens.size()) return {};
  return Error(Code::kInvalidArgument, "spans cover {} of {} tokens", next, batch.tokens.size());
}

Status MlxBackend::Impl::CheckOutputs(const model::StepBatch& batch) const {
  for (const model::OutputRow& output : batch.outputs) {
    if (output.token_index >= batch.tokens.size()) {
      return Error(Code::kInvalidArgument, "output of token {}: the step has {}", output.token_index, batch.tokens.size());
    }
    if (output.kind == model::OutputKind::kLogits) continue;
    const bool known = output.sampling >= 0 && static_cast<size_t>(output.sampling) < batch.sampling.size();
    if (output.kind != model::OutputKind::kSample || output.top_n != 0 || output.mask != -1 || !known) {
      return Error(Code::kUnsupported, "this backend gives logits, or samples without masks and log-probabilities");
    }
  }
  return {};
}

Status MlxBackend::Impl::Check(const model::StepBatch& batch) const {
  if (steps_.size() >= kDepth) return Error(Code::kInvalidArgument, "{} steps are under way, which is the most", steps_.size());
  RETURN_IF_ERROR(CheckTokens(batch));
  RETURN_IF_ERROR(CheckSpans(batch));
  RETURN_IF_ERROR(CheckOutputs(batch));
  if (batch.positions.empty() && batch.parents.empty()) return {};
  return Error(Code::kUnsupported, "explicit positions and token trees: this backend has neither");
}

// Where some tokens are what the previous step samples, they are taken from its array on the device.
mx::array MlxBackend::Impl::IdsOf(const model::StepBatch& batch) const {
  std::vector<int> ids, places;
  bool any = false;
  for (const TokenId token : batch.tokens) {
    const bool sampled = token < 0;
    any = any || sampled;
    ids.push_back(sampled ? -1 : token);
    places.push_back(sampled ? sample_of_[static_cast<size_t>(-(token + 1))] : 0);
  }
  const mx::array known = Ints(ids);
  if (!any) return known;
  // A row that could not be sampled holds -1; its answer is thrown away, but a row of the table must be read.
  const mx::array sampled = mx::maximum(mx::take(*samples_, Ints(places), 0), mx::array(0));
  return mx::where(mx::less(known, mx::array(0)), sampled, known);
}

void MlxBackend::Impl::TakeBatch(const model::StepBatch& batch, Step& step) const {
  step.spans.assign(batch.spans.begin(), batch.spans.end());
  step.outputs.assign(batch.outputs.begin(), batch.outputs.end());
  step.sampling.assign(batch.sampling.begin(), batch.sampling.end());
  std::vector<int> positions;
  for (const model::SpanOfTokens& span : batch.spans) {
    for (uint32_t i = 0; i < span.token_count; ++i) positions.push_back(static_cast<int>(span.first_position + i));
  }
  step.positions = Ints(positions);
  step.ids = IdsOf(batch);
  int rows[2] = {0, 0};
  for (const model::OutputRow& output : batch.outputs) step.place.push_back(rows[output.kind == model::OutputKind::kSample]++);
}

Status MlxBackend::Impl::Begin(const model::StepBatch& batch) {
  const int64_t now = MonotonicNs();
  // A step on top of one that failed would fail for a lesser reason.
  if (!steps_.empty()) RETURN_IF_ERROR(steps_.back().failure);
  RETURN_IF_ERROR(Check(batch));
  RETURN_IF_ERROR(kv_.ApplyChanges(batch.block_changes));
  RETURN_IF_ERROR(kv_.CheckCopies(batch.kv_copies));
  for (const model::SpanOfTokens& span : batch.spans) {
    RETURN_IF_ERROR(kv_.CheckSlot(span.slot, uint64_t{span.first_position} + span.token_count));
  }
  Step step;
  step.begin_ns = now;
  for (const model::KvCopy& copy : batch.kv_copies) kv_.Copy(copy);
  for (const model::SpanOfTokens& span : batch.spans) kv_.Grow(span.slot, span.first_position + span.token_count);
  TakeBatch(batch, step);
  steps_.push_back(std::move(step));
  return {};
}

// The rows of each kind out of logits [outputs, vocab].
void MlxBackend::Impl::TakeOutputs(const mx::array& logits) {
  std::vector<int> plain, sampled;
  std::vector<model::DeviceSampling> sampling;
  Step& now = step();
  for (size_t i = 0; i < now.outputs.size(); ++i) {
    const model::OutputRow& output = now.outputs[i];
    (output.kind == model::OutputKind::kSample ? sampled : plain).push_back(static_cast<int>(i));
    if (output.kind == model::OutputKind::kSample) sampling.push_back(now.sampling[static_cast<size_t>(output.sampling)]);
  }
  const auto rows = [&](const std::vector<int>& which) {
    return which.size() == now.outputs.size() ? logits : mx::take(logits, Ints(which), 0);
  };
  if (!plain.empty()) now.logits = mx::contiguous(rows(plain));
  if (!sampled.empty()) now.samples = SampleRows(rows(sampled), sampling);
}

// From here on the device computes while the host goes on.
void MlxBackend::Impl::StartDevice() {
  Step& now = step();
  std::vector<mx::array> wanted;
  for (const model::SpanOfTokens& span : now.spans) kv_.Gather(span.slot, wanted);
  if (now.logits) wanted.push_back(*now.logits);
  if (now.samples) wanted.push_back(*now.samples);
  samples_ = now.samples;
  sample_of_.clear();
  for (size_t i = 0; i < now.outputs.size(); ++i) {
    sample_of_.push_back(now.outputs[i].kind == model::OutputKind::kSample ? now.place[i] : -1);
  }
  now.acts.clear();
  now.rope_rows.clear();
  now.ids.reset();
  now.positions.reset();
  mx::async_eval(std::move(wanted));
}

mx::array MlxBackend::Impl::Write(std::span<const float> rows, uint32_t width) const {
  return mx::array(rows.data(), {static_cast<int>(rows.size() / width), static_cast<int>(width)}, mx::float32);
}

Result<std::vector<float>> MlxBackend::Impl::Read(Act act) {
  RETURN_IF_ERROR(step().failure);
  mx::array rows = mx::contiguous(At(act));
  mx::eval(rows);
  return std::vector<float>(rows.data<float>(), rows.data<float>() + rows.size());
}

Result<model::StepResult> MlxBackend::Impl::End() {
  if (steps_.empty()) return Error(Code::kInvalidArgument, "no step is under way");
  ended_ = std::move(steps_.front());
  steps_.pop_front();
  results_.clear();
  RETURN_IF_ERROR(ended_->failure);
  std::vector<mx::array> wanted;
  if (ended_->logits) wanted.push_back(*ended_->logits);
  if (ended_->samples) wanted.push_back(*ended_->samples);
  mx::eval(std::move(wanted));
  for (size_t i = 0; i < ended_->outputs.size(); ++i) {
    const auto place = static_cast<size_t>(ended_->place[i]);
    model::OutputResult result;
    if (ended_->outputs[i].kind == model::OutputKind::kSample) {
      if (ended_->samples) result.id = ended_->samples->data<int32_t>()[place];
    } else if (ended_->logits) {  // else there was no Head
      result.logits = std::span(ended_->logits->data<float>() + place * config_.vocab, config_.vocab);
    }
    results_.push_back(result);
  }
  // Steps overlap: what counts as this one's time begins when the one before it was done.
  const int64_t now = MonotonicNs();
  model::StepResult result{.outputs = results_, .weight_bytes = ended_->weight_bytes, .kv_bytes = ended_->kv_bytes};
  result.kernel_ns = now - std::max(ended_->begin_ns, ended_ns_);
  ended_ns_ = now;
  return result;
}

}  // namespace millrace::backend_mlx
