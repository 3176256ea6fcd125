#include "engine/scheduler.h"

#include <algorithm>

namespace millrace::engine {
namespace {

bool Earlier(const Sequence* a, const Sequence* b) {
  return a->priority != b->priority ? a->priority > b->priority : a->arrival < b->arrival;
}

void InsertInOrder(std::vector<Sequence*>& list, Sequence* sequence) {
  list.insert(std::upper_bound(list.begin(), list.end(), sequence, Earlier), sequence);
}

}  // namespace

Scheduler::Scheduler(const SchedulerLimits& limits)
    : limits_(limits), blocks_(limits.blocks, limits.contiguous), slot_used_(std::min(limits.slots, limits.max_batch_tokens)) {
  waiting_.reserve(limits.max_waiting);
  running_.reserve(slot_used_.size());
  plan_.reserve(slot_used_.size());
}

uint32_t Scheduler::BlocksFor(uint32_t tokens) const {
  return tokens / limits_.block_tokens + (tokens % limits_.block_tokens != 0);
}

Result<uint32_t> Scheduler::LimitTokens(size_t prompt_tokens, uint32_t max_tokens) const {
  if (prompt_tokens >= limits_.context) {
    return Error(Code::kInvalidArgument, "the prompt has {} tokens; with a context of {} tokens it may have {} at most",
                 prompt_tokens, limits_.context, limits_.context - 1);
  }
  const auto prompt = static_cast<uint32_t>(prompt_tokens);
  const uint32_t limit = prompt + std::min(max_tokens, limits_.context - prompt);
  if (BlocksFor(limit) > limits_.blocks) {
    return Error(Code::kInvalidArgument, "{} prompt tokens and up to {} more need {} KV blocks of {} tokens; the pool has {}",
                 prompt, limit - prompt, BlocksFor(limit), limits_.block_tokens, limits_.blocks);
  }
  return limit;
}

Status Scheduler::Add(Sequence& sequence) {
  if (waiting_.size() >= limits_.max_waiting) {
    return Error(Code::kResourceExhausted, "{} requests are waiting already, which is the most that may wait", waiting_.size());
  }
  sequence.state = SequenceState::kWaiting;
  InsertInOrder(waiting_, &sequence);
  return {};
}

bool Scheduler::TryAdmit(Sequence& sequence) {
  const auto slot = std::find(slot_used_.begin(), slot_used_.end(), false);
  if (slot == slot_used_.end()) return false;
  if (!blocks_.Reserve(BlocksFor(sequence.limit_tokens), sequence.blocks)) return false;
  *slot = true;
  sequence.slot = static_cast<uint32_t>(slot - slot_used_.begin());
  sequence.announced_blocks = 0;
  sequence.state = SequenceState::kRunning;
  sequence.tokens.reserve(sequence.limit_tokens);
  return true;
}

void Scheduler::Admit() {
  size_t admitted = 0;
  while (admitted < waiting_.size() && TryAdmit(*waiting_[admitted])) InsertInOrder(running_, waiting_[admitted++]);
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(admitted));
}

void Scheduler::PlanDecode() {
  for (Sequence* sequence : running_) {
    // What is under way may bring a sequence to its limit: then it will end, and nothing comes after.
    if (!sequence->decoding() || sequence->length() >= sequence->limit_tokens) continue;
    plan_.push_back(
        {.sequence = sequence, .request = sequence->id, .first = sequence->computed, .count = 1, .output = true, .decode = true});
    ++planned_tokens_;
  }
}

void Scheduler::PlanPrefill(uint32_t prefill_tokens) {
  uint32_t budget = std::min(prefill_tokens, limits_.max_batch_tokens - planned_tokens_);
  for (Sequence* sequence : running_) {
    if (budget == 0) return;
    if (sequence->decoding()) continue;
    const auto total = static_cast<uint32_t>(sequence->tokens.size());
    const uint32_t count = std::min(budget, total - sequence->computed);
    plan_.push_back({.sequence = sequence,
                     .request = sequence->id,
                     .first = sequence->computed,
                     .count = count,
                     .output = sequence->computed + count == total});
    planned_tokens_ += count;
    budget -= count;
  }
}

std::span<const PlannedSpan> Scheduler::Plan(uint32_t prefill_tokens) {
  Admit();
  plan_.clear();
  planned_tokens_ = 0;
  if (limits_.mixes_prefill_and_decode) {
    PlanDecode();
    PlanPrefill(prefill_tokens);
    return plan_;
  }
  prefill_turn_ = !prefill_turn_;
  if (prefill_turn_) PlanPrefill(prefill_tokens);
  if (plan_.empty()) PlanDecode();
  if (plan_.empty()) PlanPrefill(prefill_tokens);
  return plan_;
}

void Scheduler::Remove(Sequence& sequence) {
  if (sequence.state == SequenceState::kWaiting) std::erase(waiting_, &sequence);
  if (sequence.state == SequenceState::kRunning) {
    std::erase(running_, &sequence);
    blocks_.Release(sequence.blocks);
    sequence.blocks.clear();
    slot_used_[sequence.slot] = false;
    sequence.slot = kNoSlot;
  }
  sequence.state = SequenceState::kFinished;
}

}  // namespace millrace::engine
