#include "engine/samplers/chain.h"

namespace millrace::engine {
namespace {

// Repetition divides what is positive and multiplies what is negative, so that it always makes a token less likely; it counts a
// token once. Presence and frequency subtract, and look at the output only.
void Apply(const StepInput& input, Row& row) {
  const SamplingParams& params = input.params;
  const std::span<float> logits = row.Edit();
  for (const TokenCount& count : input.state.seen()) {
    float& logit = logits[static_cast<size_t>(count.id)];
    logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    if (count.in_output > 0) logit -= params.presence_penalty + params.frequency_penalty * static_cast<float>(count.in_output);
  }
}

}  // namespace

const ChainStep kPenaltiesStep = {
    .name = "penalties",
    .stage = Stage::kEdit,
    .wanted = [](const StepInput& input) { return HasPenalties(input.params) && !input.state.seen().empty(); },
    .apply = Apply,
};

}  // namespace millrace::engine
