#include "worker/worker.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/clock.h"
#include "base/log.h"

namespace millrace::worker {
namespace {

constexpr std::chrono::microseconds kSpin{50};
constexpr std::chrono::milliseconds kSleep{250};  // the heart beats at least so often
constexpr std::chrono::milliseconds kRetry{1};    // while the up ring is full and nothing else is to be done
constexpr int64_t kControlCheckNs = 100'000'000;
constexpr uint64_t kTellingPrefillTokens = 16;  // a step with fewer says little about the speed of prefill

}  // namespace

std::function<void(std::span<const RequestId>)> BlameIn(ipc::WorkerVitals& vitals) {
  return [&vitals, step = uint64_t{0}](std::span<const RequestId> requests) mutable { vitals.BeginStep(++step, requests); };
}

Worker::Worker(ipc::WorkerChannel& channel, ControlSocket& control, LoadedModel& model)
    : channel_(&channel),
      control_(&control),
      engine_(model.engine.get()),
      publisher_(channel.up()),
      mailbox_(channel.down(), *model.engine, publisher_) {
  if (model.pool != nullptr && model.kernels != nullptr) roof_.emplace(*model.pool, *model.kernels, model.bytes_per_token);
}

Status Worker::Run() {
  while (true) {
    RETURN_IF_ERROR(mailbox_.Drain());
    if (Over()) return {};
    if (engine_->HasWork()) Step();
    RETURN_IF_ERROR(publisher_.Publish(*engine_));
    Report();
    if (!engine_->HasWork()) RETURN_IF_ERROR(Idle());
  }
}

bool Worker::Over() {
  const int64_t now = MonotonicNs();
  if (now - control_checked_ns_ >= kControlCheckNs) {
    control_checked_ns_ = now;
    gone_ = gone_ || GatewayGone();
  }
  if (gone_) return true;
  if (!mailbox_.end_ns()) return false;
  const bool idle = !engine_->HasWork() && !engine_->HasOutput() && publisher_.refusals() == 0;
  return idle || now >= *mailbox_.end_ns();
}

// Nothing is sent this way after the start; all that can happen is its end.
bool Worker::GatewayGone() {
  const auto packet = control_->Receive();
  return !packet.ok();
}

void Worker::Step() {
  ipc::WorkerVitals& vitals = channel_->vitals();
  const engine::StepTotals before = engine_->Totals();
  const int64_t start = MonotonicNs();
  vitals.Set(ipc::WorkerStat::kStepStartedNs, static_cast<uint64_t>(start));
  const Status status = engine_->Step();
  if (!engine_->InFlight()) vitals.EndStep();  // else the device may still die of it
  vitals.Set(ipc::WorkerStat::kStepStartedNs, 0);
  if (!status.ok()) LogError("step failed: {}", status.message());

  const int64_t ns = MonotonicNs() - start;
  step_ns_ += static_cast<uint64_t>(ns);
  expected_step_ns_ = std::max(static_cast<double>(ns), expected_step_ns_ * 0.98);
  const uint64_t prefilled = engine_->Totals().prefill_tokens - before.prefill_tokens;
  if (prefilled < kTellingPrefillTokens) return;
  const double rate = static_cast<double>(prefilled) * 1e9 / static_cast<double>(std::max<int64_t>(1, ns));
  prefill_tokens_per_s_ = prefill_tokens_per_s_ == 0 ? rate : 0.8 * prefill_tokens_per_s_ + 0.2 * rate;
}

void Worker::Report() {
  using ipc::WorkerStat;
  ipc::WorkerVitals& vitals = channel_->vitals();
  const engine::EngineStats stats = engine_->Stats();
  vitals.Set(WorkerStat::kWaitingSequences, stats.waiting);
  vitals.Set(WorkerStat::kRunningSequences, stats.running);
  vitals.Set(WorkerStat::kFreeSlots, stats.slots - stats.running);
  vitals.Set(WorkerStat::kFreeBlocks, stats.blocks - stats.used_blocks);
  vitals.Set(WorkerStat::kTotalBlocks, stats.blocks);
  vitals.Set(WorkerStat::kQueuedTokens, stats.queued_tokens);
  vitals.Set(WorkerStat::kSteps, stats.totals.steps);
  vitals.Set(WorkerStat::kPrefilledTokens, stats.totals.prefill_tokens);
  vitals.Set(WorkerStat::kDecodedTokens, stats.totals.decode_rows);
  vitals.Set(WorkerStat::kBytesRead, stats.totals.weight_bytes + stats.totals.kv_bytes);
  vitals.Set(WorkerStat::kStepNs, step_ns_);
  vitals.Set(WorkerStat::kExpectedStepNs, static_cast<uint64_t>(expected_step_ns_));
  vitals.Set(WorkerStat::kPrefillTokensPerS, static_cast<uint64_t>(prefill_tokens_per_s_));
  vitals.Beat();
}

Status Worker::Idle() {
  if (publisher_.blocked()) {
    std::this_thread::sleep_for(kRetry);
  } else if (roof_) {
    MeasureRoof();
  } else if (!channel_->WaitForWork(kSpin, kSleep)) {
    // Woken for nothing, perhaps because the other end of the wake-up is closed: look now, or the loop would spin until it does.
    gone_ = GatewayGone();
  }
  return channel_->down().health();
}

// One slice, then the loop looks at the mailbox again.
void Worker::MeasureRoof() {
  const Status status = roof_->Slice();
  if (!roof_->done()) return;
  const ipc::Roof roof{.buffer_bytes = roof_->buffer_bytes(), .threads = roof_->threads(), .gb_s = roof_->gb_s()};
  if (!status.ok()) {
    LogWarning("the speed of memory is not measured: {}", status.message());
  } else if (!ipc::Push(channel_->up(), roof)) {
    return;  // no room: the next call sends it
  }
  roof_.reset();
}

}  // namespace millrace::worker
