// A ModelRunner for tests: its "cache" stores the tokens themselves, and the logits of a row are a hash of the whole history that
// it reads back through the block tables. So whoever mixes up blocks, slots or positions gets other tokens than the same request
// alone.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <thread>
#include <vector>

#include "base/philox.h"
#include "base/status.h"
#include "engine/sampler.h"
#include "model/model_runner.h"

namespace millrace::engine {

struct FakeRunnerOptions {
  uint32_t vocab = 101;
  uint32_t slots = 4;
  uint32_t blocks = 32;
  uint32_t block_tokens = 4;
  uint32_t context = 64;
  uint32_t max_batch_tokens = 64;
  bool contiguous = false;
  bool mixes = true;
  uint64_t weight_bytes = 0;
  int64_t token_ns = 0;  // real time that each token of a step takes
  uint32_t depth = 1;    // 2: samples too, and two steps may be under way
};

inline uint64_t FakeHash(std::span<const TokenId> history) {
  uint64_t hash = 0xCBF29CE484222325ULL;
  for (const TokenId token : history) hash = (hash ^ static_cast<uint32_t>(token)) * 0x100000001B3ULL;
  return hash;
}

// Logits in [-6, 6) after `history`.
inline void FakeLogits(std::span<const TokenId> history, std::span<float> logits) {
  const uint64_t hash = FakeHash(history);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = PhiloxUniform(hash, 7, i) * 12.0F - 6.0F;
}

class FakeRunner final : public model::ModelRunner {
 public:
  explicit FakeRunner(const FakeRunnerOptions& options)
      : options_(options),
        cells_(size_t{options.blocks} * options.block_tokens, kNoToken),
        table_stride_((options.context + options.block_tokens - 1) / options.block_tokens),
        tables_(size_t{options.slots} * table_stride_, 0xFFFFFFFFU),
        sampler_(options.vocab) {
    for (Flight& flight : flights_) {
      flight.logits.resize(size_t{options.slots} * options.vocab);
      flight.results.reserve(options.slots);
      flight.kinds.reserve(options.slots);
    }
    config_.vocab = options.vocab;
    info_.engine = "fake";
    info_.isa = "none";
    info_.threads = 1;
    info_.block_tokens = options.block_tokens;
    info_.blocks = options.blocks;
    info_.slots = options.slots;
    info_.max_batch_tokens = options.max_batch_tokens;
    info_.context = options.context;
    info_.kv_contiguous = options.contiguous;
    info_.mixes_prefill_and_decode = options.mixes;
    info_.deterministic = true;
    info_.weight_bytes = options.weight_bytes;
    info_.depth = options.depth;
    info_.samples = options.depth > 1;
    history_.reserve(options.context);
  }

  const model::ModelConfig& config() const override { return config_; }
  const model::RunnerInfo& info() const override { return info_; }

  // The step with this number (1 is the first) fails.
  void FailAt(uint64_t launch) { fail_at_ = launch; }
  // The same when it is collected.
  void FailCollectAt(uint64_t launch) { fail_collect_at_ = launch; }
  // Every logit of every row from now on.
  void SetLogits(float value) { fixed_logits_ = value, has_fixed_ = true; }
  uint64_t launches() const { return launches_; }
  uint32_t most_in_flight() const { return most_in_flight_; }
  size_t largest_step() const { return largest_step_; }
  size_t largest_span() const { return largest_span_; }

  Result<model::Ticket> Launch(const model::StepBatch& batch) override {
    if (++launches_ == fail_at_) return Error(Code::kUnavailable, "the device is gone");
    if (in_flight_ == options_.depth) return Error(Code::kInvalidArgument, "{} steps are under way", in_flight_);
    if (batch.tokens.size() > options_.max_batch_tokens)
      return Error(Code::kInvalidArgument, "step of {} tokens", batch.tokens.size());
    if (batch.tokens.size() > largest_step_) largest_step_ = batch.tokens.size();
    for (const model::BlockChange& change : batch.block_changes)
      tables_[change.slot * table_stride_ + change.index] = change.block;
    for (const model::SpanOfTokens& span : batch.spans) RETURN_IF_ERROR(Store(batch, span));
    if (options_.token_ns > 0) {
      std::this_thread::sleep_for(std::chrono::nanoseconds(options_.token_ns * static_cast<int64_t>(batch.tokens.size())));
    }
    Flight& flight = flights_[(started_ + 1) % 2];
    flight.results.clear();
    flight.kinds.clear();
    for (const model::OutputRow& row : batch.outputs) {
      for (const model::SpanOfTokens& span : batch.spans) {
        if (row.token_index < span.token_begin || row.token_index >= span.token_begin + span.token_count) continue;
        Compute(flight, span, span.first_position + row.token_index - span.token_begin);
        if (row.kind == model::OutputKind::kSample) Choose(flight, batch.sampling[static_cast<size_t>(row.sampling)]);
        flight.kinds.push_back(row.kind);
      }
    }
    if (flight.results.size() != batch.outputs.size())
      return Error(Code::kInvalidArgument, "an output row outside of every span");
    ++started_;
    ++in_flight_;
    if (in_flight_ > most_in_flight_) most_in_flight_ = in_flight_;
    return model::Ticket{batch.step_id};
  }

  Result<model::StepResult> Collect(model::Ticket) override {
    if (in_flight_ == 0) return Error(Code::kInvalidArgument, "nothing is under way");
    const uint64_t which = started_ - --in_flight_;
    if (which == fail_collect_at_) return Error(Code::kUnavailable, "the device broke off");
    model::StepResult result;
    result.outputs = flights_[which % 2].results;
    result.weight_bytes = 1000;
    result.kv_bytes = 10;
    return result;
  }

 private:
  struct Flight {
    std::vector<float> logits;
    std::vector<model::OutputResult> results;
    std::vector<model::OutputKind> kinds;
  };

  Result<TokenId*> Cell(uint32_t slot, uint32_t position) {
    const uint32_t block = slot < options_.slots && position < options_.context
                               ? tables_[slot * table_stride_ + position / options_.block_tokens]
                               : 0xFFFFFFFFU;
    if (block >= options_.blocks) return Error(Code::kInvalidArgument, "no block for position {} of slot {}", position, slot);
    return &cells_[block * options_.block_tokens + position % options_.block_tokens];
  }

  Status Store(const model::StepBatch& batch, const model::SpanOfTokens& span) {
    if (span.token_count > largest_span_) largest_span_ = span.token_count;
    for (uint32_t i = 0; i < span.token_count; ++i) {
      ASSIGN_OR_RETURN(TokenId * cell, Cell(span.slot, span.first_position + i));
      ASSIGN_OR_RETURN(*cell, Known(batch.tokens[span.token_begin + i]));
    }
    return {};
  }

  // A token, or what the previous step chose in the row that it names.
  Result<TokenId> Known(TokenId token) const {
    if (token >= 0) return token;
    const Flight& before = flights_[started_ % 2];
    const auto row = static_cast<size_t>(-(token + 1));
    if (row >= before.kinds.size() || before.kinds[row] != model::OutputKind::kSample) {
      return Error(Code::kInvalidArgument, "token {}: the step before chose nothing in that row", token);
    }
    return std::max(before.results[row].id, 0);
  }

  void Choose(Flight& flight, const model::DeviceSampling& sampling) {
    SamplingParams params;
    params.temperature = sampling.temperature;
    params.top_p = sampling.top_p;
    params.min_p = sampling.min_p;
    params.top_k = sampling.top_k;
    params.seed = sampling.seed;
    model::OutputResult& result = flight.results.back();
    result.id = sampler_.Sample(result.logits, params, {}, sampling.position).id;
    result.logits = {};
  }

  void Compute(Flight& flight, const model::SpanOfTokens& span, uint32_t position) {
    history_.clear();
    for (uint32_t i = 0; i <= position; ++i) history_.push_back(**Cell(span.slot, i));
    const std::span<float> row(flight.logits.data() + flight.results.size() * options_.vocab, options_.vocab);
    FakeLogits(history_, row);
    if (has_fixed_) std::fill(row.begin(), row.end(), fixed_logits_);
    model::OutputResult result;
    result.logits = row;
    flight.results.push_back(result);
  }

  FakeRunnerOptions options_;
  model::ModelConfig config_;
  model::RunnerInfo info_;
  std::vector<TokenId> cells_;
  size_t table_stride_;
  std::vector<uint32_t> tables_;
  std::vector<TokenId> history_;
  Sampler sampler_;
  std::array<Flight, 2> flights_;  // of odd and even numbers
  uint64_t started_ = 0;           // launches that did not fail
  uint32_t in_flight_ = 0;
  uint32_t most_in_flight_ = 0;
  uint64_t launches_ = 0;
  uint64_t fail_at_ = 0;
  uint64_t fail_collect_at_ = 0;
  size_t largest_step_ = 0;
  size_t largest_span_ = 0;
  float fixed_logits_ = 0;
  bool has_fixed_ = false;
};

}  // namespace millrace::engine
