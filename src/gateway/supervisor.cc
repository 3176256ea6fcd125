#include "gateway/supervisor.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/log.h"

namespace millrace::gateway {
namespace {

constexpr int64_t kHeartbeatCheckNs = 500'000'000;
constexpr int64_t kRecordsPerTurn = 512;  // then other work of the loop gets its turn

// For the first step of a worker: two operations per weight and prompt token, two weights per byte, 256 tokens.
constexpr double kChunkOperationsPerByte = 2.0 * 2.0 * 256.0;
constexpr double kSlowOperationsPerSecond = 20e9;
constexpr double kMostPatienceNs = 600e9;

}  // namespace

Supervisor::Supervisor(net::Loop& loop, WorkerLauncher& launcher, Listener& listener, WorkerPlan plan,
                       const SupervisionLimits& limits, uint64_t random_key)
    : loop_(&loop),
      launcher_(&launcher),
      listener_(&listener),
      plan_(std::move(plan)),
      limits_(limits),
      random_(random_key),
      record_(std::make_unique<ipc::Record>()),
      start_timer_(loop),
      silence_timer_(loop),
      heartbeat_timer_(loop),
      stop_timer_(loop),
      read_timer_(loop) {}

void Supervisor::Start() { Launch(); }

void Supervisor::SetState(ModelState state, std::string cause) {
  state_ = state;
  cause_ = std::move(cause);
  listener_->OnStateChange();
}

void Supervisor::Launch() {
  ipc::Attach attach = plan_.attach;
  attach.incarnation = ++incarnations_;
  loading_ = {};
  end_cause_.clear();
  end_code_ = Code::kUnavailable;
  progressed_ = false;
  exited_ = false;
  reading_ = true;
  ready_since_ns_ = 0;
  WorkerEvents events;
  events.on_records = [this] { ReadRing(kRecordsPerTurn); };
  events.on_exit = [this](const std::string& exit_status) { OnExit(exit_status); };
  auto link = launcher_->Launch(attach, plan_.model_fds, std::move(events));
  if (!link.ok()) return AfterDeath(fmt::format("the worker cannot be started: {}", link.status().message()));
  link_ = *std::move(link);
  SetState(ModelState::kStarting, "");
  ExpectProgress();
  ReadRing(kRecordsPerTurn);  // also asks for the first wake-up
}

bool Supervisor::Push(const ipc::ToWorker& message) {
  if (state_ != ModelState::kReady || link_ == nullptr || !reading_ || exited_) return false;
  if (ipc::Push(link_->channel().down(), message)) return true;
  const Status& health = link_->channel().down().health();
  if (!health.ok()) End("the worker broke its ring: " + health.message());
  return false;
}

void Supervisor::ReadRing(int64_t budget) {
  if (link_ == nullptr || !reading_) return;
  ipc::GatewayChannel& channel = link_->channel();
  channel.ClearWake();
  do {
    while (true) {
      if (budget-- == 0) {
        // No wake-up comes while we have not asked for one, so come back by ourselves.
        read_timer_.Arm(loop_->NowNs(), [this] { ReadRing(kRecordsPerTurn); });
        listener_->OnDrained();
        return;
      }
      const auto popped = channel.up().TryPop(*record_);
      if (!popped.ok()) return End("the worker broke its ring: " + popped.status().message());
      if (!*popped) break;
      const auto message = ipc::ReadToGateway(*record_);
      const Status handled = message.ok() ? Handle(*message) : message.status();
      if (!handled.ok()) return End("the worker broke the protocol: " + handled.message());
      if (!reading_) return;
    }
  } while (!channel.up().PrepareSleep());
  listener_->OnDrained();
}

Status Supervisor::Handle(const ipc::ToGateway& message) {
  if (const auto* hello = std::get_if<ipc::Hello>(&message)) {
    if (state_ == ModelState::kReady) return Error(Code::kDataLoss, "a second hello");
    OnHello(*hello);
    return {};
  }
  if (const auto* loading = std::get_if<ipc::Loading>(&message)) {
    if (state_ == ModelState::kReady) return Error(Code::kDataLoss, "loading progress after the hello");
    const bool advanced = state_ == ModelState::kStarting || loading->done > loading_.done;
    loading_ = *loading;
    if (advanced) ExpectProgress();
    SetState(ModelState::kLoading, "");
    return {};
  }
  if (const auto* roof = std::get_if<ipc::Roof>(&message)) {
    roof_gb_s_ = roof->gb_s;
    listener_->OnStateChange();
    return {};
  }
  const auto* failed = std::get_if<ipc::Failed>(&message);
  if (failed != nullptr && failed->request == 0) {
    end_cause_ = failed->message;  // why the worker is about to end, in its own words
    end_code_ = failed->code;
    return {};
  }
  if (state_ != ModelState::kReady) return Error(Code::kDataLoss, "an answer to a request before the hello");
  if (failed != nullptr) return listener_->OnFailed(*failed);
  const auto& tokens = std::get<ipc::Tokens>(message);
  progressed_ = progressed_ || !tokens.tokens.empty();
  return listener_->OnTokens(tokens);
}

Status Supervisor::CheckHello(const ipc::Hello& hello) const {
  if (hello.protocol != ipc::kProtocolVersion) {
    return Error(Code::kUnsupported, "the worker speaks protocol {}, this gateway {}", hello.protocol, ipc::kProtocolVersion);
  }
  if (hello.build_id != plan_.build_id) {
    return Error(Code::kUnsupported,
                 "the worker is of build '{}', this gateway of build '{}': build both anew from the same sources", hello.build_id,
                 plan_.build_id);
  }
  if (hello.vocabulary_size != plan_.vocabulary_size) {
    return Error(Code::kDataLoss, "the worker's vocabulary has {} tokens, this gateway's {}", hello.vocabulary_size,
                 plan_.vocabulary_size);
  }
  if (hello.vocabulary_fingerprint != plan_.vocabulary_fingerprint) {
    return Error(Code::kDataLoss, "the worker's vocabulary has the fingerprint {:016x}, this gateway's {:016x}",
                 hello.vocabulary_fingerprint, plan_.vocabulary_fingerprint);
  }
  if (hello.slots == 0 || hello.context == 0) {
    return Error(Code::kDataLoss, "the worker has {} slots of {} tokens, expected at least 1", hello.slots, hello.context);
  }
  return {};
}

void Supervisor::OnHello(const ipc::Hello& hello) {
  if (const Status fits = CheckHello(hello); !fits.ok()) return GiveUp(fits.message());
  hello_ = hello;
  silence_timer_.Cancel();
  ready_since_ns_ = last_beat_ns_ = loop_->NowNs();
  last_heartbeat_ = link_->channel().signs().heartbeat();
  WatchHeartbeat();
  SetState(ModelState::kReady, "");
}

// While a worker starts, each sign of progress buys it the same time again: large models may take long, silence may not.
void Supervisor::ExpectProgress() {
  silence_timer_.ArmAfter(limits_.hello_silence_ns, [this] {
    End(fmt::format("no progress for {} s while starting", limits_.hello_silence_ns / 1'000'000'000));
  });
}

// How long the running step may take. The worker's own estimate stretches it, but not without end. Before the first step there is no
// estimate: then a chunk of prompt at the speed of a very slow machine, so that a large model on a small one is not taken for hung.
int64_t Supervisor::Patience() const {
  const ipc::WorkerSigns& signs = link_->channel().signs();
  const uint64_t expected_ns = signs.Get(ipc::WorkerStat::kExpectedStepNs);
  const double slow_step_s = static_cast<double>(hello_.bytes_per_token) * kChunkOperationsPerByte / kSlowOperationsPerSecond;
  const double step_ns = expected_ns > 0 ? static_cast<double>(expected_ns) : slow_step_s * 1e9;
  return std::max(limits_.hang_ns, static_cast<int64_t>(std::min(2 * step_ns, kMostPatienceNs)));
}

void Supervisor::WatchHeartbeat() {
  heartbeat_timer_.ArmAfter(std::min(kHeartbeatCheckNs, limits_.hang_ns / 2 + 1), [this] {
    const int64_t now = loop_->NowNs();
    const uint64_t heartbeat = link_->channel().signs().heartbeat();
    if (heartbeat != last_heartbeat_ || !listener_->HasWork()) {
      last_heartbeat_ = heartbeat;
      last_beat_ns_ = now;
    }
    const int64_t patience = Patience();
    if (now - last_beat_ns_ > patience) {
      return End(
          fmt::format("the worker hangs: no heartbeat for {:.1f} s with work at hand", static_cast<double>(patience) / 1e9));
    }
    WatchHeartbeat();
  });
}

void Supervisor::End(std::string cause) {
  reading_ = false;
  read_timer_.Cancel();
  silence_timer_.Cancel();
  heartbeat_timer_.Cancel();
  if (link_ == nullptr) return;
  LogWarning("worker {} of model {}: {}; killing it", link_->pid(), plan_.attach.model_name, cause);
  end_cause_ = std::move(cause);
  link_->Kill();
}

void Supervisor::GiveUp(std::string cause) {
  gave_up_ = true;
  End(std::move(cause));
}

void Supervisor::OnExit(const std::string& exit_status) {
  exited_ = true;                                 // and gets nothing more
  ReadRing(std::numeric_limits<int64_t>::max());  // what it managed to say before it died still counts
  std::vector<RequestId> blamed = link_->channel().signs().Blamed();
  std::string cause = end_cause_.empty() ? fmt::format("the worker died: {}", exit_status) : end_cause_;
  start_timer_.Cancel();
  silence_timer_.Cancel();
  heartbeat_timer_.Cancel();
  read_timer_.Cancel();
  reading_ = false;
  link_.reset();
  if (stopped_) {
    stop_timer_.Cancel();
    listener_->OnLost("the server is shutting down", {});
    SetState(ModelState::kStopped, "");
    return std::exchange(stopped_, nullptr)();
  }
  LogWarning("model {}: {}", plan_.attach.model_name, cause);
  // The state changes first: a request that comes while streams end must not be given to a worker that is gone.
  if (gave_up_ || CannotChange()) {
    SetState(ModelState::kFailed, cause);
  } else {
    AfterDeath(cause);
  }
  listener_->OnLost(cause, blamed);
}

// A first worker that could not load its model: another one would fail in the same way.
bool Supervisor::CannotChange() const {
  return incarnations_ == 1 && ready_since_ns_ == 0 &&
         (end_code_ == Code::kDataLoss || end_code_ == Code::kUnsupported || end_code_ == Code::kInvalidArgument ||
          end_code_ == Code::kResourceExhausted);
}

bool Supervisor::IsCrashLoop() {
  const int64_t now = loop_->NowNs();
  if (!progressed_) bad_deaths_.push_back(now);
  while (!bad_deaths_.empty() && bad_deaths_.front() <= now - limits_.crash_loop_window_ns) bad_deaths_.pop_front();
  return bad_deaths_.size() >= limits_.crash_loop_deaths;
}

void Supervisor::AfterDeath(const std::string& cause) {
  const int64_t now = loop_->NowNs();
  if (ready_since_ns_ != 0 && now - ready_since_ns_ >= limits_.healthy_ns) {
    backoffs_ = 0;
    bad_deaths_.clear();
  }
  if (IsCrashLoop()) {
    const auto deaths = bad_deaths_.size();
    bad_deaths_.clear();
    next_start_ns_ = now + limits_.retry_failed_ns;
    start_timer_.Arm(next_start_ns_, [this] { Launch(); });
    return SetState(ModelState::kFailed, fmt::format("{} deaths in a row, the last one: {}", deaths, cause));
  }
  const int64_t grown = limits_.first_backoff_ns << std::min(backoffs_++, 20U);
  const double factor = 1 + limits_.jitter * (2 * random_.NextUnit() - 1);
  next_start_ns_ = now + static_cast<int64_t>(static_cast<double>(std::min(grown, limits_.max_backoff_ns)) * factor);
  start_timer_.Arm(next_start_ns_, [this] { Launch(); });
  SetState(ModelState::kBackoff, cause);
}

void Supervisor::Stop(std::function<void()> done) {
  start_timer_.Cancel();
  silence_timer_.Cancel();
  stopped_ = std::move(done);
  if (link_ == nullptr) {
    start_timer_.Arm(loop_->NowNs(), [this] {
      SetState(ModelState::kStopped, "");
      std::exchange(stopped_, nullptr)();
    });
    return;
  }
  if (!Push(ipc::Shutdown{})) return link_->Kill();
  stop_timer_.ArmAfter(limits_.stop_ns, [this] { End("the worker did not stop when asked to"); });
}

}  // namespace millrace::gateway
