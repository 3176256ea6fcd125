#include "cmd/engine_bench.h"

#include <set>

#include "base/clock.h"
#include "base/philox.h"

namespace millrace::cmd {

namespace {

// Notes which requests have produced a token and which have ended.
class Progress final : public engine::OutputSink {
 public:
  bool Take(const engine::Output& output) override {
    if (!output.tokens.empty()) started_.insert(output.request);
    if (output.finish != FinishReason::kNone) ended_.insert(output.request);
    if (output.error != nullptr && output.finish == FinishReason::kError) error_ = *output.error;
    return true;
  }
  size_t started() const { return started_.size(); }
  size_t ended() const { return ended_.size(); }
  const Status& error() const { return error_; }

 private:
  std::set<RequestId> started_;
  std::set<RequestId> ended_;
  Status error_;
};

// Token ids that no cache has seen: drawn anew for every call.
std::vector<TokenId> FreshPrompt(uint32_t tokens, uint32_t vocab) {
  static uint64_t nonce = 0;
  ++nonce;
  std::vector<TokenId> prompt(tokens);
  for (uint32_t i = 0; i < tokens; ++i)
    prompt[i] = static_cast<TokenId>(PhiloxUniform(nonce, 0, i) * static_cast<float>(vocab - 1));
  return prompt;
}

Status Submit(engine::Engine& engine, RequestId id, uint32_t prompt_tokens, uint32_t max_tokens) {
  engine::Request request;
  request.id = id;
  request.sampling.temperature = 0;
  request.sampling.ignore_eos = true;
  request.sampling.max_tokens = max_tokens;
  request.prompt = FreshPrompt(prompt_tokens, engine.runner().config().vocab);
  return engine.Submit(std::move(request));
}

Status StepAndPublish(engine::Engine& engine, Progress& progress) {
  RETURN_IF_ERROR(engine.Step());
  engine.Publish(progress);
  return progress.error();
}

}  // namespace

Result<DecodeSpeed> MeasureDecode(engine::Engine& engine, uint32_t depth, uint32_t batch, uint32_t steps) {
  Progress progress;
  const uint32_t prompt = depth == 0 ? 1 : depth;
  for (uint32_t i = 0; i < batch; ++i) {
    // While later prompts are prefilled the earlier sequences decode already; none may end before the window does.
    const uint32_t head_start = (batch - i) * (1 + prompt / 16);
    RETURN_IF_ERROR(Submit(engine, i + 1, prompt, steps + head_start + 2));
  }
  while (progress.started() < batch) RETURN_IF_ERROR(StepAndPublish(engine, progress));

  const engine::StepTotals before = engine.Stats().totals;
  const int64_t start = MonotonicNs();
  for (uint32_t i = 0; i < steps; ++i) RETURN_IF_ERROR(StepAndPublish(engine, progress));
  const double seconds = static_cast<double>(MonotonicNs() - start) * 1e-9;
  const engine::StepTotals after = engine.Stats().totals;
  if (progress.ended() != 0 || after.decode_rows - before.decode_rows != uint64_t{steps} * batch) {
    return Error(Code::kInternal, "the measured window held {} decode rows, expected {}", after.decode_rows - before.decode_rows,
                 uint64_t{steps} * batch);
  }
  for (uint32_t i = 0; i < batch; ++i) engine.Cancel(i + 1);
  engine.Publish(progress);

  DecodeSpeed speed;
  speed.tok_s = static_cast<double>(steps) * batch / seconds;
  speed.step_bytes = static_cast<double>(after.weight_bytes - before.weight_bytes + after.kv_bytes - before.kv_bytes) / steps;
  speed.bytes_per_token = speed.step_bytes / batch;
  return speed;
}

Result<double> MeasurePrefill(engine::Engine& engine, uint32_t tokens) {
  Progress progress;
  RETURN_IF_ERROR(Submit(engine, 1, tokens, 1));
  const int64_t start = MonotonicNs();
  while (progress.ended() == 0) RETURN_IF_ERROR(StepAndPublish(engine, progress));
  return static_cast<double>(tokens) / (static_cast<double>(MonotonicNs() - start) * 1e-9);
}

}  // namespace millrace::cmd
