// Scheduler: which tokens of which sequences the next step computes. Continuous batching with chunked prefill; sees no tensors.
//
// A step is one row for every decoding sequence, then prompt tokens of the others up to a budget, in order of priority and
// arrival: a long prompt never stops the rows of others. A sequence is admitted when a slot and all blocks for prompt +
// max_tokens are free, so decoding cannot run out. Admission is strictly in order: a large request that waits is not overtaken by
// small ones behind it.
//
// Sequences belong to the caller and outlive their stay here (Add until Remove). One thread. Plan allocates only where it admits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "engine/block_pool.h"
#include "engine/sequence.h"

namespace millrace::engine {

struct SchedulerLimits {
  uint32_t slots = 0;
  uint32_t blocks = 0;
  uint32_t block_tokens = 0;
  uint32_t context = 0;
  uint32_t max_batch_tokens = 0;  // of one step
  uint32_t max_waiting = 256;
  bool contiguous = false;
  bool mixes_prefill_and_decode = true;  // false: steps of the two kinds alternate
};

// Tokens [first, first + count) of a sequence. Prefill and decode are the same.
struct PlannedSpan {
  Sequence* sequence = nullptr;  // in a launched step null once the sequence has ended
  RequestId request{};           // its id, which outlives it
  uint32_t first = 0;
  uint32_t count = 0;
  bool output = false;  // the last of them is the newest token: its logits make the next one
  bool decode = false;  // one token that the model chose, not part of a prompt
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerLimits& limits);

  // Tokens that a sequence may reach; kInvalidArgument with the numbers when it can never fit.
  Result<uint32_t> LimitTokens(size_t prompt_tokens, uint32_t max_tokens) const;

  // To the waiting. kResourceExhausted when the queue is full.
  Status Add(Sequence& sequence);

  // Admits what fits, then lays out the next step with at most `prefill_tokens` (>= 1) prompt tokens; empty when there is nothing to
  // compute. Valid until the next call of any method.
  std::span<const PlannedSpan> Plan(uint32_t prefill_tokens);

  // Takes a sequence out in any state and frees its slot and blocks.
  void Remove(Sequence& sequence);

  bool idle() const { return waiting_.empty() && running_.empty(); }
  std::span<Sequence* const> waiting() const { return waiting_; }  // next first
  std::span<Sequence* const> running() const { return running_; }  // priority, then arrival
  const BlockPool& blocks() const { return blocks_; }

 private:
  void Admit();
  bool TryAdmit(Sequence& sequence);
  void PlanDecode();
  void PlanPrefill(uint32_t prefill_tokens);
  uint32_t BlocksFor(uint32_t tokens) const;

  SchedulerLimits limits_;
  BlockPool blocks_;
  std::vector<bool> slot_used_;
  std::vector<Sequence*> waiting_;
  std::vector<Sequence*> running_;
  std::vector<PlannedSpan> plan_;
  uint32_t planned_tokens_ = 0;
  bool prefill_turn_ = true;
};

}  // namespace millrace::engine
