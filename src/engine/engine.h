// Engine: requests in, tokens out. Owns the sequences, the scheduler, the sampler and the model runner.
//
//   Submit ─▶ waiting ─▶ running ─▶ finished ─▶ Publish takes the rest of its output ─▶ gone
//
// One step: plan → Launch → Collect → sample → commit. Where the runner samples by itself (depth 2) the next step is launched before the
// one under way is collected, so that the device never waits for the host: its tokens are those that the step before chooses. A sequence
// whose next token the host must choose waits for its logits; an end that is found late costs a row that is thrown away. Output is a cursor over each sequence's tokens: Publish offers what was
// not taken yet, and what a full sink refuses is offered again next time. So the engine never waits for a reader and never drops
// a token.
//
// One thread. Step does not allocate while sequences only decode. The engine knows no processes, rings or text.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "model/model_runner.h"

namespace millrace::engine {

// Most tokens that one Output holds.
inline constexpr uint32_t kMaxOutputTokens = 256;

struct EngineOptions {
  std::vector<TokenId> end_of_sequence = {};  // the model's own stop tokens
  uint32_t prefill_chunk = 256;               // prompt tokens of one step
  // A step takes fewer prompt tokens when they would need longer than this: everybody else waits for it, and so does whoever watches
  // the heartbeat. 0 = no limit.
  int64_t target_step_ns = 1'000'000'000;
  uint32_t max_waiting = 256;
  // Called before each launch with the requests of that step: whoever survives a crash of it can tell whom to blame.
  std::function<void(std::span<const RequestId>)> on_step = nullptr;
};

// New tokens of one request. Views are valid during Take.
struct Output {
  RequestId request = 0;
  uint32_t first_index = 0;              // of the first token, counted from 0; never skips
  std::span<const TokenId> tokens;       // may be empty in the last output; at most kMaxOutputTokens
  std::span<const float> logprobs;       // empty, or one per token
  std::span<const model::TopToken> top;  // `top_count` per token; id kNoToken where the vocabulary has no more
  uint32_t top_count = 0;
  FinishReason finish = FinishReason::kNone;  // set in the last output of a request
  const Status* error = nullptr;              // set exactly when finish is kError; then no tokens
  const Clocks* clocks = nullptr;
  const Usage* usage = nullptr;  // up to the newest step
};

class OutputSink {
 public:
  virtual ~OutputSink() = default;
  // False: no room now, offer it again later. Must not call the engine.
  virtual bool Take(const Output& output) = 0;
};

struct EngineStats {
  uint32_t waiting = 0;
  uint32_t running = 0;
  uint32_t unpublished = 0;  // finished, output not taken yet
  uint32_t slots = 0;
  uint32_t blocks = 0;
  uint32_t used_blocks = 0;
  uint64_t queued_tokens = 0;  // prompt tokens that are not computed yet
  StepTotals totals;
};

class Engine {
 public:
  // kInvalidArgument when the runner's figures cannot work (no slots, blocks, …) or an end-of-sequence id is outside the
  // vocabulary.
  static Result<std::unique_ptr<Engine>> Create(std::unique_ptr<model::ModelRunner> runner, EngineOptions options);

  // Checks and queues. A failed Status is the whole answer: nothing of that request is published.
  // kInvalidArgument: can never run, message with numbers; kResourceExhausted: queue full; kAlreadyExists: the id is known.
  Status Submit(Request request);

  // Ends the request now with kCancelled; tokens made so far are still published. Unknown ids are ignored: cancel races with the
  // end.
  void Cancel(RequestId id);

  // True when Step would compute something, or collect what was launched.
  bool HasWork() const { return !scheduler_.idle() || in_flight_ > 0; }
  // True while a launched step is not collected.
  bool InFlight() const { return in_flight_ > 0; }
  // True when Publish has something to offer.
  bool HasOutput() const;

  // Launches one step if there is one, and collects the oldest unless the runner may have more under way. A failed Status is the runner's: every running request has ended with that error
  // (to be published), and the engine may go on with others.
  Status Step();

  // Offers new output of every sequence, oldest request first; forgets requests whose end was taken. False when the sink was
  // full.
  bool Publish(OutputSink& sink);

  // The requests of the steps that are under way, or of the latest one.
  std::span<const RequestId> RunningIds() const { return step_ids_; }
  EngineStats Stats() const;
  const StepTotals& Totals() const { return totals_; }
  const model::ModelRunner& runner() const { return *runner_; }

 private:
  // The arrays of one launched step; they stay untouched until it is collected.
  struct Flight {
    model::Ticket ticket;
    std::vector<PlannedSpan> plan;
    std::vector<TokenId> tokens;
    std::vector<model::SpanOfTokens> spans;
    std::vector<model::BlockChange> block_changes;
    std::vector<model::OutputRow> outputs;
    std::vector<model::DeviceSampling> sampling;
    uint64_t prefilled = 0;  // prompt tokens
    int64_t start_ns = 0;
    bool host_chooses = false;  // some output row's token: nothing can be planned before
  };
  static constexpr uint32_t kMaxDepth = 2;

  Engine(std::unique_ptr<model::ModelRunner> runner, EngineOptions options, const SchedulerLimits& limits);

  void ExpireDeadlines(int64_t now);
  void AdaptPrefill(uint64_t prefilled, int64_t step_ns);
  Status LaunchNext();
  Status CollectOldest();
  void FailRunning(const Status& status);
  void Prepare(std::span<const PlannedSpan> plan, Flight& flight);
  void AddSpan(const PlannedSpan& span, Flight& flight);
  void NameRequests();
  Status Launch(Flight& flight);
  Status Check(const Flight& flight, const model::StepResult& result) const;
  void Commit(const Flight& flight, const model::StepResult& result);
  void Count(const Flight& flight, const model::StepResult& result);
  void Append(Sequence& sequence, const Sampled& sampled, int64_t now);
  void Finish(Sequence& sequence, FinishReason reason);
  void Measure(Sequence& sequence) const;
  void Fail(Sequence& sequence, const Status& error);
  bool PublishOne(Sequence& sequence, OutputSink& sink) const;
  Sequence* Find(RequestId id);

  std::unique_ptr<model::ModelRunner> runner_;
  EngineOptions options_;
  Scheduler scheduler_;
  uint32_t prefill_budget_;  // prompt tokens of the next step
  Sampler sampler_;
  std::vector<std::unique_ptr<Sequence>> sequences_;  // by arrival; unique_ptr because the scheduler points at them
  size_t max_sequences_;
  uint64_t arrivals_ = 0;
  uint64_t next_step_ = 1;
  std::array<Flight, kMaxDepth> flights_;  // a ring
  uint32_t depth_;
  uint32_t oldest_ = 0;
  uint32_t in_flight_ = 0;
  int64_t collected_ns_ = 0;  // when the latest step was
  std::vector<RequestId> step_ids_;
  StepTotals totals_;
};

}  // namespace millrace::engine
