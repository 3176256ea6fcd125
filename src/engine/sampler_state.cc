#include "engine/sampler_state.h"

#include <algorithm>

namespace millrace::engine {

bool HasPenalties(const SamplingParams& params) {
  return params.repetition_penalty != 1.0F || params.presence_penalty != 0.0F || params.frequency_penalty != 0.0F;
}

SamplerState::SamplerState(const SamplingParams& params, std::span<const TokenId> end_of_sequence,
                           std::span<const TokenId> prompt, uint32_t limit_tokens)
    : counts_(HasPenalties(params)), stops_(params.stop_tokens) {
  if (!params.ignore_eos) stops_.insert(stops_.end(), end_of_sequence.begin(), end_of_sequence.end());
  std::sort(stops_.begin(), stops_.end());
  stops_.erase(std::unique(stops_.begin(), stops_.end()), stops_.end());
  if (!counts_) return;
  std::vector<TokenId> distinct(prompt.begin(), prompt.end());
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  seen_.reserve(limit_tokens);
  for (const TokenId id : distinct) seen_.push_back({.id = id});
}

void SamplerState::Append(TokenId token) {
  ++emitted_;
  if (!counts_) return;
  auto at =
      std::lower_bound(seen_.begin(), seen_.end(), token, [](const TokenCount& count, TokenId id) { return count.id < id; });
  if (at == seen_.end() || at->id != token) at = seen_.insert(at, {.id = token});
  ++at->in_output;
}

bool SamplerState::IsStop(TokenId token) const { return std::binary_search(stops_.begin(), stops_.end(), token); }

}  // namespace millrace::engine
