#include "gateway/testing/sim_worker.h"

#include <algorithm>
#include <array>
#include <deque>
#include <utility>

#include "base/check.h"
#include "gateway/timer.h"
#include "ipc/channel.h"

namespace millrace::gateway::testing {
namespace {

constexpr int64_t kReapNs = 2'000'000;  // longest from a death to its notice

struct Sequence {
  ipc::Submit submit;
  std::vector<TokenId> answer;
  uint32_t sent = 0;
  FinishReason end = FinishReason::kStop;  // after the last token of `answer`
  ipc::HopClocks clocks;
};

class SimWorkerImpl final : public SimWorker {
 public:
  SimWorkerImpl(SimLauncher& launcher, net::SimLoop& loop, uint32_t incarnation, WorkerEvents events)
      : launcher_(&launcher),
        loop_(&loop),
        incarnation_(incarnation),
        events_(std::move(events)),
        step_timer_(loop),
        exit_timer_(loop),
        record_(std::make_unique<ipc::Record>()) {
    gateway_wake_ = loop.MakeWake();
    worker_wake_ = loop.MakeWake();
    ipc::HeapChannelOptions options;
    options.incarnation = incarnation;
    options.wake_worker = [this] { worker_wake_->Signal(); };
    options.wake_gateway = [this] { gateway_wake_->Signal(); };
    std::tie(gateway_, worker_) = ipc::HeapChannel::Create(std::move(options));
    gateway_watch_ = *loop.WatchReadable(gateway_wake_->fd(), [this] { events_.on_records(); });
    worker_watch_ = *loop.WatchReadable(worker_wake_->fd(), [this] { ReadRing(); });
    Load();
  }
  ~SimWorkerImpl() override { Unregister(*launcher_, this); }

  ipc::GatewayChannel& channel() override { return gateway_; }
  int pid() const override { return 1000 + static_cast<int>(incarnation_); }
  void Kill() override { Exit("signal 9 (Killed)"); }

  void Die() override { Exit("signal 9 (Killed)"); }
  void Stall() override { stalled_ = true; }
  void PushRaw(const ipc::ToGateway& message) override { ipc::Push(worker_.up(), message); }
  void PushGarbage() override {
    std::array<std::byte, 40> bytes;
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(loop_->Random());
    const auto type = static_cast<uint16_t>(64 + loop_->Random() % 8);
    static_cast<void>(worker_.up().TryPush(type, bytes));
  }
  size_t sequences() const override { return sequences_.size(); }

 private:
  SimWorkerOptions& options() { return launcher_->options(); }
  bool Chance(double probability) {
    return probability > 0 && static_cast<double>(loop_->Random() >> 11) * 0x1p-53 < probability;
  }

  void Exit(std::string cause) {
    if (std::exchange(dead_, true)) return;
    step_timer_.Cancel();
    exit_timer_.ArmAfter(static_cast<int64_t>(loop_->Random() % kReapNs), [this, cause = std::move(cause)] {
      Unregister(*launcher_, this);
      const auto on_exit = std::move(events_.on_exit);  // destroys us
      on_exit(cause);
    });
  }

  void Load() {
    if (Chance(options().faults.mute)) {
      stalled_ = true;
      return;
    }
    const bool dies = Chance(options().faults.die_while_loading);
    step_timer_.ArmAfter(options().load_ns / 2, [this, dies] {
      PushRaw(ipc::Loading{.done = 1, .total = 2});
      if (dies) return Exit("exit code 1");
      step_timer_.ArmAfter(options().load_ns / 2, [this] { SayHello(); });
    });
  }

  void SayHello() {
    ipc::Hello hello;
    hello.build_id = options().build_id;
    hello.vocabulary_fingerprint = options().vocabulary_fingerprint;
    hello.vocabulary_size = options().vocabulary_size;
    hello.end_of_sequence = options().end_of_sequence;
    hello.engine = "sim";
    hello.isa = "none";
    hello.threads = 1;
    hello.slots = options().slots;
    hello.context = options().context;
    hello.block_tokens = 16;
    hello.blocks = 1024;
    hello.bytes_per_token = 1000;
    PushRaw(hello);
    if (options().roof_gb_s > 0) PushRaw(ipc::Roof{.buffer_bytes = 1000, .threads = 1, .gb_s = options().roof_gb_s});
    ReadRing();
  }

  void ReadRing() {
    if (dead_ || stalled_) return;
    do {
      while (true) {
        const auto popped = worker_.down().TryPop(*record_);
        CHECK(popped.ok(), "the gateway's ring is sound");
        if (!*popped) break;
        auto message = reader_.Feed(*record_);
        CHECK(message.ok(), message.ok() ? "" : message.status().message().c_str());
        if (message->has_value()) Take(std::move(**message));
        if (dead_) return;
      }
    } while (!worker_.down().PrepareSleep());
    if (!sequences_.empty() && !step_timer_.pending()) ScheduleStep();
  }

  void Take(ipc::ToWorker message) {
    if (auto* submit = std::get_if<ipc::Submit>(&message)) {
      if (options().on_submit) options().on_submit(*submit);
      Sequence sequence;
      sequence.answer = options().answer(submit->prompt);
      if (submit->sampling.ignore_eos) {
        while (sequence.answer.size() < submit->sampling.max_tokens) sequence.answer.push_back('.');
      }
      if (sequence.answer.size() >= submit->sampling.max_tokens) {
        sequence.answer.resize(submit->sampling.max_tokens);
        sequence.end = FinishReason::kLength;
      }
      sequence.clocks = submit->clocks;
      sequence.clocks.drained = sequence.clocks.scheduled = loop_->NowNs();
      sequence.submit = std::move(*submit);
      sequences_.push_back(std::move(sequence));
    } else if (const auto* cancel = std::get_if<ipc::Cancel>(&message)) {
      CountCancel(*launcher_);
      for (Sequence& sequence : sequences_) {
        if (sequence.submit.request != cancel->request) continue;
        sequence.answer.resize(sequence.sent);
        sequence.end = FinishReason::kCancelled;
      }
    } else {
      Exit("exit code 0");
    }
  }

  void ScheduleStep() {
    int64_t delay = options().step_ns / 2 + static_cast<int64_t>(loop_->Random() % static_cast<uint64_t>(options().step_ns));
    if (Chance(options().faults.late)) delay += static_cast<int64_t>(loop_->Random() % 8'000'000'000);
    std::vector<RequestId> ids;
    ids.reserve(sequences_.size());
    for (const Sequence& sequence : sequences_) ids.push_back(sequence.submit.request);
    worker_.vitals().BeginStep(++steps_, ids);
    step_timer_.ArmAfter(delay, [this] { Step(); });
  }

  void Step() {
    const SimFaults& faults = options().faults;
    if (stalled_) return;
    if (Chance(faults.die)) return Exit("signal 11 (Segmentation fault)");
    if (Chance(faults.stall)) {
      stalled_ = true;
      return;
    }
    worker_.vitals().Beat();
    worker_.vitals().EndStep();
    if (Chance(faults.garbage)) PushGarbage();
    std::erase_if(sequences_, [this](Sequence& sequence) { return Publish(sequence); });
    ReadRing();
    if (!dead_ && !sequences_.empty() && !step_timer_.pending()) ScheduleStep();
  }

  // True when the end of the sequence was taken by the ring.
  bool Publish(Sequence& sequence) {
    ipc::Tokens event;
    event.request = sequence.submit.request;
    event.first_index = sequence.sent;
    const size_t left = sequence.answer.size() - sequence.sent;
    const size_t count = std::min<size_t>(left, 1 + loop_->Random() % 3);
    for (size_t i = 0; i < count; ++i) {
      event.tokens.push_back(sequence.answer[sequence.sent + i]);
      if (sequence.submit.sampling.top_logprobs >= 0) {
        event.logprobs.push_back({.logprob = -0.5F, .top = {}});
        for (int32_t rank = 0; rank < sequence.submit.sampling.top_logprobs; ++rank) {
          event.logprobs.back().top.emplace_back(event.tokens.back(), -0.5F - static_cast<float>(rank));
        }
      }
    }
    sequence.clocks.last_token = loop_->NowNs();
    if (sequence.clocks.first_token == 0) sequence.clocks.first_token = loop_->NowNs();
    event.clocks = sequence.clocks;
    event.usage = ipc::Usage{.prompt_tokens = static_cast<uint32_t>(sequence.submit.prompt.size()),
                             .completion_tokens = static_cast<uint32_t>(sequence.sent + count),
                             .decode_steps = 1,
                             .prefill_ns = 1'000'000,
                             .decode_ns = 1'000'000,
                             .decode_bytes = 5'000'000,
                             .mean_batch = 1};
    if (count == left) event.finish = sequence.end;
    if (!ipc::Push(worker_.up(), event)) return false;  // the same again after the next step
    sequence.sent += static_cast<uint32_t>(count);
    return event.finish != FinishReason::kNone;
  }

  SimLauncher* launcher_;
  net::SimLoop* loop_;
  const uint32_t incarnation_;
  WorkerEvents events_;
  std::unique_ptr<net::SimWake> gateway_wake_, worker_wake_;
  ipc::GatewayChannel gateway_;
  ipc::WorkerChannel worker_;
  std::unique_ptr<net::Watch> gateway_watch_, worker_watch_;
  Timer step_timer_, exit_timer_;
  std::unique_ptr<ipc::Record> record_;
  ipc::ToWorkerReader reader_;
  std::deque<Sequence> sequences_;
  uint64_t steps_ = 0;
  bool dead_ = false;
  bool stalled_ = false;
};

}  // namespace

Result<std::unique_ptr<WorkerLink>> SimLauncher::Launch(const ipc::Attach& attach, std::span<const int>, WorkerEvents events) {
  ++launches_;
  if (options_.faults.cannot_start > 0 && static_cast<double>(loop_->Random() >> 11) * 0x1p-53 < options_.faults.cannot_start) {
    return Error(Code::kNotFound, "no such program");
  }
  auto worker = std::make_unique<SimWorkerImpl>(*this, *loop_, attach.incarnation, std::move(events));
  current_ = worker.get();
  return std::unique_ptr<WorkerLink>(std::move(worker));
}

}  // namespace millrace::gateway::testing
