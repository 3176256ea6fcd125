#include "engine/engine.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "engine/device_sampling.h"
#include "engine/request_check.h"

namespace millrace::engine {
namespace {

Status CheckRunner(const model::ModelRunner& runner, const EngineOptions& options) {
  const model::RunnerInfo& info = runner.info();
  const uint32_t vocab = runner.config().vocab;
  if (vocab == 0 || info.slots == 0 || info.blocks == 0 || info.block_tokens == 0 || info.context < 2 ||
      info.max_batch_tokens == 0) {
    return Error(Code::kInvalidArgument,
                 "the runner offers a vocabulary of {}, {} slots, {} blocks of {} tokens, a context of {} and {} tokens a step; "
                 "none may be 0",
                 vocab, info.slots, info.blocks, info.block_tokens, info.context, info.max_batch_tokens);
  }
  if (options.prefill_chunk == 0) return Error(Code::kInvalidArgument, "prefill_chunk: expected 1 or more, found 0");
  for (const TokenId id : options.end_of_sequence) {
    if (id < 0 || static_cast<uint32_t>(id) >= vocab) {
      return Error(Code::kInvalidArgument, "end-of-sequence id: expected one in [0, {}), found {}", vocab, id);
    }
  }
  return {};
}

constexpr uint32_t kLeastPrefill = 16;  // below, reading the weights costs more than the products

uint32_t FirstPrefillBudget(const EngineOptions& options, uint64_t weight_bytes) {
  if (options.target_step_ns == 0 || weight_bytes == 0) return options.prefill_chunk;
  const double guess =
      static_cast<double>(options.target_step_ns) * options.first_prefill_bytes_per_ns / static_cast<double>(weight_bytes);
  return std::min(options.prefill_chunk, std::max(kLeastPrefill, static_cast<uint32_t>(std::min(guess, 1e6))));
}

double Ratio(uint64_t part, uint64_t whole) { return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole); }

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Create(std::unique_ptr<model::ModelRunner> runner, EngineOptions options) {
  RETURN_IF_ERROR(CheckRunner(*runner, options));
  const model::RunnerInfo& info = runner->info();
  const SchedulerLimits limits{
      .slots = info.slots,
      .blocks = info.blocks,
      .block_tokens = info.block_tokens,
      .context = info.context,
      .max_batch_tokens = info.max_batch_tokens,
      .max_waiting = options.max_waiting,
      .contiguous = info.kv_contiguous,
      .mixes_prefill_and_decode = info.mixes_prefill_and_decode,
  };
  return std::unique_ptr<Engine>(new Engine(std::move(runner), std::move(options), limits));
}

Engine::Engine(std::unique_ptr<model::ModelRunner> runner, EngineOptions options, const SchedulerLimits& limits)
    : runner_(std::move(runner)),
      options_(std::move(options)),
      scheduler_(limits),
      prefill_budget_(FirstPrefillBudget(options_, runner_->info().weight_bytes)),
      sampler_(runner_->config().vocab),
      max_sequences_(size_t{limits.max_waiting} + limits.slots),
      depth_(runner_->info().samples ? std::min(runner_->info().depth, kMaxDepth) : 1) {
  sequences_.reserve(max_sequences_);
  step_ids_.reserve(size_t{limits.slots} * depth_);
  for (Flight& flight : flights_) {
    flight.plan.reserve(limits.slots);
    flight.tokens.reserve(limits.max_batch_tokens);
    flight.spans.reserve(limits.slots);
    flight.block_changes.reserve(limits.blocks);
    flight.outputs.reserve(limits.slots);
    flight.sampling.reserve(limits.slots);
  }
}

Sequence* Engine::Find(RequestId id) {
  const auto at = std::find_if(sequences_.begin(), sequences_.end(), [id](const auto& sequence) { return sequence->id == id; });
  return at == sequences_.end() ? nullptr : at->get();
}

Status Engine::Submit(Request request) {
  RETURN_IF_ERROR(CheckRequest(request, runner_->config().vocab));
  if (Find(request.id) != nullptr) return Error(Code::kAlreadyExists, "request {} is here already", request.id);
  ASSIGN_OR_RETURN(const uint32_t limit, scheduler_.LimitTokens(request.prompt.size(), request.sampling.max_tokens));
  if (sequences_.size() >= max_sequences_) {
    return Error(Code::kResourceExhausted, "{} requests are waiting, running or unread already, which is the most",
                 sequences_.size());
  }
  auto sequence = std::make_unique<Sequence>();
  sequence->id = request.id;
  sequence->priority = request.priority;
  sequence->deadline_ns = request.deadline_ns;
  sequence->arrival = arrivals_++;
  sequence->prompt_tokens = static_cast<uint32_t>(request.prompt.size());
  sequence->limit_tokens = limit;
  sequence->sampler = SamplerState(request.sampling, options_.end_of_sequence, request.prompt, limit);
  sequence->tokens = std::move(request.prompt);
  sequence->sampling = std::move(request.sampling);
  RETURN_IF_ERROR(scheduler_.Add(*sequence));
  sequences_.push_back(std::move(sequence));
  return {};
}

void Engine::Cancel(RequestId id) {
  Sequence* sequence = Find(id);
  if (sequence != nullptr && sequence->state != SequenceState::kFinished) Finish(*sequence, FinishReason::kCancelled);
}

void Engine::ExpireDeadlines(int64_t now) {
  for (const auto& sequence : sequences_) {
    if (sequence->deadline_ns == 0 || sequence->deadline_ns > now || sequence->state == SequenceState::kFinished) continue;
    Fail(*sequence,
         Error(Code::kDeadlineExceeded, "the deadline of the request passed after {} tokens", sequence->output_tokens()));
  }
}

Status Engine::Step() {
  ExpireDeadlines(MonotonicNs());
  Status status;
  // What the host chooses is part of the next plan.
  while (status.ok() && in_flight_ > 0 && flights_[oldest_].host_chooses) status = CollectOldest();
  const uint32_t before = in_flight_;
  if (status.ok()) {
    status = LaunchNext();
    // The tokens of a step that was launched before one that could not be still count, if it ends well; if not, its is the first cause.
    while (!status.ok() && in_flight_ > 0) {
      if (Status older = CollectOldest(); !older.ok()) {
        status = std::move(older);
        break;
      }
    }
  }
  const bool launched = in_flight_ > before;
  if (status.ok() && in_flight_ > 0 && (in_flight_ == depth_ || !launched)) status = CollectOldest();
  if (!status.ok()) FailRunning(status);
  return status;
}

// What a failed step left in any cache block is unknown, so nobody who holds one can go on, and what was launched after it is for nobody.
void Engine::FailRunning(const Status& status) {
  while (!scheduler_.running().empty()) Fail(*scheduler_.running().back(), status);
  while (in_flight_ > 0) static_cast<void>(CollectOldest());
}

Status Engine::LaunchNext() {
  const std::span<const PlannedSpan> plan = scheduler_.Plan(prefill_budget_);
  if (plan.empty()) return {};
  Flight& flight = flights_[(oldest_ + in_flight_) % kMaxDepth];
  flight.start_ns = MonotonicNs();
  Prepare(plan, flight);
  NameRequests();
  RETURN_IF_ERROR(Launch(flight));
  ++in_flight_;
  return {};
}

Status Engine::CollectOldest() {
  Flight& flight = flights_[oldest_];
  oldest_ = (oldest_ + 1) % kMaxDepth;
  --in_flight_;
  ASSIGN_OR_RETURN(const model::StepResult result, runner_->Collect(flight.ticket));
  RETURN_IF_ERROR(Check(flight, result));
  Commit(flight, result);
  const int64_t now = MonotonicNs();
  AdaptPrefill(flight.prefilled, now - std::max(flight.start_ns, collected_ns_));
  collected_ns_ = now;
  return {};
}

// From the latest step alone: it saw what the machine is like now. Grows fourfold at most, because a small step says little.
void Engine::AdaptPrefill(uint64_t prefilled, int64_t step_ns) {
  if (options_.target_step_ns == 0 || prefilled < kLeastPrefill) return;
  const double fits = static_cast<double>(prefilled) * static_cast<double>(options_.target_step_ns) /
                      static_cast<double>(std::max<int64_t>(1, step_ns));
  const double grown = std::min(fits, 4.0 * static_cast<double>(prefill_budget_));
  prefill_budget_ = std::min(options_.prefill_chunk, std::max(kLeastPrefill, static_cast<uint32_t>(grown)));
}

void Engine::Prepare(std::span<const PlannedSpan> plan, Flight& flight) {
  flight.plan.assign(plan.begin(), plan.end());
  flight.tokens.clear();
  flight.spans.clear();
  flight.block_changes.clear();
  flight.outputs.clear();
  flight.sampling.clear();
  flight.prefilled = 0;
  flight.host_chooses = false;
  for (const PlannedSpan& span : plan) AddSpan(span, flight);
}

// The sequence moves on to where it will be once the step is done.
void Engine::AddSpan(const PlannedSpan& span, Flight& flight) {
  Sequence& sequence = *span.sequence;
  for (; sequence.announced_blocks < sequence.blocks.size(); ++sequence.announced_blocks) {
    const uint32_t index = sequence.announced_blocks;
    flight.block_changes.push_back({.slot = sequence.slot, .index = index, .block = sequence.blocks[index]});
  }
  const auto begin = static_cast<uint32_t>(flight.tokens.size());
  flight.spans.push_back({.slot = sequence.slot, .first_position = span.first, .token_begin = begin, .token_count = span.count});
  if (span.decode && sequence.pending > 0) {
    flight.tokens.push_back(-static_cast<TokenId>(sequence.output_row + 1));
  } else {
    const auto first = sequence.tokens.begin() + span.first;
    flight.tokens.insert(flight.tokens.end(), first, first + span.count);
  }
  if (!span.decode) flight.prefilled += span.count;
  sequence.computed = span.first + span.count;
  if (!span.output) return;
  model::OutputRow row{.token_index = begin + span.count - 1};
  if (depth_ > 1 && DrawsOnDevice(sequence)) {
    row.kind = model::OutputKind::kSample;
    row.sampling = static_cast<int32_t>(flight.sampling.size());
    flight.sampling.push_back(DeviceSamplingOf(sequence));
  } else {
    flight.host_chooses = true;
  }
  sequence.output_row = static_cast<uint32_t>(flight.outputs.size());
  flight.outputs.push_back(row);
  ++sequence.pending;
}

// Of the steps under way, the one that computes first, and of the one that is about to be launched. A request that has ended meanwhile is
// still in the step that it was launched with.
void Engine::NameRequests() {
  step_ids_.clear();
  for (uint32_t i = 0; i <= in_flight_; ++i) {
    for (const PlannedSpan& span : flights_[(oldest_ + i) % kMaxDepth].plan) {
      if (std::find(step_ids_.begin(), step_ids_.end(), span.request) == step_ids_.end()) step_ids_.push_back(span.request);
    }
  }
}

Status Engine::Launch(Flight& flight) {
  if (options_.on_step) options_.on_step(step_ids_);
  const int64_t now = MonotonicNs();
  for (const PlannedSpan& span : flight.plan) {
    if (span.sequence->clocks.scheduled == 0) span.sequence->clocks.scheduled = now;
  }
  model::StepBatch batch;
  batch.step_id = next_step_++;
  batch.tokens = flight.tokens;
  batch.spans = flight.spans;
  batch.block_changes = flight.block_changes;
  batch.outputs = flight.outputs;
  batch.sampling = flight.sampling;
  ASSIGN_OR_RETURN(flight.ticket, runner_->Launch(batch));
  return {};
}

Status Engine::Check(const Flight& flight, const model::StepResult& result) const {
  if (result.outputs.size() != flight.outputs.size()) {
    return Error(Code::kInternal, "the runner returned {} output rows, expected {}", result.outputs.size(),
                 flight.outputs.size());
  }
  const uint32_t vocab = runner_->config().vocab;
  for (size_t i = 0; i < flight.outputs.size(); ++i) {
    const model::OutputResult& output = result.outputs[i];
    if (flight.outputs[i].kind == model::OutputKind::kSample) {
      if (output.id == kNoToken || (output.id >= 0 && static_cast<uint32_t>(output.id) < vocab)) continue;
      return Error(Code::kInternal, "the runner chose token {} of a vocabulary of {}", output.id, vocab);
    }
    if (output.logits.size() == vocab) continue;
    return Error(Code::kInternal, "the runner returned {} logits for a row, expected {}", output.logits.size(), vocab);
  }
  return {};
}

void Engine::Count(const Flight& flight, const model::StepResult& result) {
  ++totals_.steps;
  totals_.weight_bytes += result.weight_bytes;
  totals_.kv_bytes += result.kv_bytes;
  totals_.kernel_ns += result.kernel_ns;
  totals_.idle_ns += result.idle_ns;
  totals_.prefill_tokens += flight.prefilled;
  for (const PlannedSpan& span : flight.plan) totals_.decode_rows += span.decode && span.sequence != nullptr;
}

void Engine::Commit(const Flight& flight, const model::StepResult& result) {
  Count(flight, result);
  size_t row = 0;
  for (const PlannedSpan& span : flight.plan) {
    if (!span.output) continue;
    const model::OutputResult& output = result.outputs[row];
    const bool chosen = flight.outputs[row++].kind == model::OutputKind::kSample;
    if (span.sequence == nullptr) continue;  // ended meanwhile
    Sequence& sequence = *span.sequence;
    --sequence.pending;
    Sampled sampled;
    if (chosen) {
      sampled.id = output.id;
    } else {
      sampled = sampler_.Sample(output.logits, sequence.sampling, sequence.sampler, sequence.tokens.size());
    }
    Append(sequence, sampled, MonotonicNs());
  }
}

void Engine::Append(Sequence& sequence, const Sampled& sampled, int64_t now) {
  if (sampled.id == kNoToken) {
    return Fail(sequence,
                Error(Code::kInternal, "the logits after token {} hold no number to choose from", sequence.tokens.size() - 1));
  }
  sequence.clocks.last_token = now;
  if (sequence.clocks.first_token == 0) {
    sequence.clocks.first_token = now;
    sequence.window_begin = totals_;
    const size_t most = sequence.limit_tokens - sequence.prompt_tokens;
    if (sequence.sampling.top_logprobs >= 0) sequence.logprobs.reserve(most);
    if (sequence.sampling.top_logprobs > 0) sequence.top.reserve(most * static_cast<size_t>(sequence.sampling.top_logprobs));
  }
  if (sequence.sampler.IsStop(sampled.id)) return Finish(sequence, FinishReason::kStop);
  sequence.tokens.push_back(sampled.id);
  sequence.sampler.Append(sampled.id);
  if (sequence.sampling.top_logprobs >= 0) {
    const auto count = static_cast<size_t>(sequence.sampling.top_logprobs);
    sequence.logprobs.push_back(sampled.logprob);
    sequence.top.insert(sequence.top.end(), sampled.top.begin(), sampled.top.end());
    sequence.top.resize(sequence.logprobs.size() * count);
  }
  if (sequence.tokens.size() >= sequence.limit_tokens) Finish(sequence, FinishReason::kLength);
}

void Engine::Finish(Sequence& sequence, FinishReason reason) {
  scheduler_.Remove(sequence);
  for (Flight& flight : flights_) {
    for (PlannedSpan& span : flight.plan) {
      if (span.sequence == &sequence) span.sequence = nullptr;
    }
  }
  sequence.finish = reason;
  Measure(sequence);
}

// Up to the newest step: once finished, a sequence keeps what was measured at its end.
void Engine::Measure(Sequence& sequence) const {
  const Clocks& clocks = sequence.clocks;
  const StepTotals& begin = sequence.window_begin;
  Usage& usage = sequence.usage;
  usage.prompt_tokens = sequence.prompt_tokens;
  usage.completion_tokens = sequence.output_tokens();
  if (clocks.first_token == 0) return;
  usage.decode_steps = totals_.steps - begin.steps;
  usage.prefill_ns = clocks.first_token - clocks.scheduled;
  usage.decode_ns = clocks.last_token - clocks.first_token;
  usage.decode_bytes = totals_.weight_bytes + totals_.kv_bytes - begin.weight_bytes - begin.kv_bytes;
  usage.mean_batch = Ratio(totals_.decode_rows - begin.decode_rows, usage.decode_steps);
}

void Engine::Fail(Sequence& sequence, const Status& error) {
  sequence.error = error;
  Finish(sequence, FinishReason::kError);
}

bool Engine::HasOutput() const {
  return std::any_of(sequences_.begin(), sequences_.end(), [](const auto& sequence) {
    return sequence->state == SequenceState::kFinished || sequence->published < sequence->output_tokens();
  });
}

// Everything new of one sequence, in pieces of at most kMaxOutputTokens. The end goes with the last piece; an error comes alone, so that
// a sink that sends it as a message of another kind has one thing to take or to leave.
bool Engine::PublishOne(Sequence& sequence, OutputSink& sink) const {
  const bool finished = sequence.state == SequenceState::kFinished;
  const bool wants_logprobs = !sequence.logprobs.empty();
  const uint32_t top_count = wants_logprobs ? static_cast<uint32_t>(sequence.sampling.top_logprobs) : 0;
  const std::span<const TokenId> all(sequence.tokens);
  bool last = false;
  if (!finished) Measure(sequence);
  while (!last && (finished || sequence.published < sequence.output_tokens())) {
    const uint32_t first = sequence.published;
    const uint32_t count = std::min(sequence.output_tokens() - first, kMaxOutputTokens);
    last = finished && first + count == sequence.output_tokens() && (count == 0 || sequence.finish != FinishReason::kError);
    Output output;
    output.request = sequence.id;
    output.first_index = first;
    output.tokens = all.subspan(sequence.prompt_tokens + first, count);
    output.clocks = &sequence.clocks;
    output.usage = &sequence.usage;
    output.top_count = top_count;
    if (wants_logprobs) {
      output.logprobs = std::span<const float>(sequence.logprobs).subspan(first, count);
      output.top = std::span<const model::TopToken>(sequence.top).subspan(size_t{first} * top_count, size_t{count} * top_count);
    }
    if (last) output.finish = sequence.finish;
    if (last && sequence.finish == FinishReason::kError) output.error = &sequence.error;
    if (!sink.Take(output)) return false;
    sequence.published += count;
  }
  return true;
}

bool Engine::Publish(OutputSink& sink) {
  size_t kept = 0;
  size_t at = 0;
  bool room = true;
  for (; at < sequences_.size(); ++at) {
    room = room && PublishOne(*sequences_[at], sink);
    const bool done = room && sequences_[at]->state == SequenceState::kFinished;
    if (done) continue;
    if (kept != at) sequences_[kept] = std::move(sequences_[at]);
    ++kept;
  }
  sequences_.resize(kept);
  return room;
}

EngineStats Engine::Stats() const {
  const auto waiting = static_cast<uint32_t>(scheduler_.waiting().size());
  const auto running = static_cast<uint32_t>(scheduler_.running().size());
  uint64_t queued_tokens = 0;
  for (const auto& sequence : sequences_) {
    if (sequence->state != SequenceState::kFinished && sequence->output_tokens() == 0) {
      queued_tokens += sequence->tokens.size() - std::min<size_t>(sequence->computed, sequence->tokens.size());
    }
  }
  return {.waiting = waiting,
          .running = running,
          .unpublished = static_cast<uint32_t>(sequences_.size()) - waiting - running,
          .slots = runner_->info().slots,
          .blocks = scheduler_.blocks().size(),
          .used_blocks = scheduler_.blocks().used(),
          .queued_tokens = queued_tokens,
          .totals = totals_};
}

}  // namespace millrace::engine
