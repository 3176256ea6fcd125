#include "engine/sampler.h"

#include <algorithm>

#include "base/math.h"
#include "base/philox.h"
#include "engine/samplers/chain.h"

namespace millrace::engine {
namespace {

constexpr const ChainStep* kChain[] = {
    &kLogitBiasStep, &kPenaltiesStep, &kMinTokensStep, &kTemperatureStep, &kTopKStep, &kTopPStep, &kMinPStep,
};

}  // namespace

Sampler::Sampler(uint32_t vocab) : row_(vocab) { top_.reserve(kMaxTopLogprobs); }

Sampled Sampler::Sample(std::span<const float> logits, const SamplingParams& params, const SamplerState& state,
                        uint64_t position) {
  row_.Begin(logits);
  Sampled sampled;
  sampled.id = Choose(params, state, position);
  if (params.top_logprobs >= 0 && sampled.id != kNoToken) ReportLogprobs(logits, params.top_logprobs, sampled);
  return sampled;
}

TokenId Sampler::Choose(const SamplingParams& params, const SamplerState& state, uint64_t position) {
  const StepInput input{.params = params, .state = state};
  const bool greedy = params.temperature == 0.0F;
  for (const ChainStep* step : kChain) {
    if ((step->stage == Stage::kEdit || !greedy) && step->wanted(input)) step->apply(input, row_);
  }
  return greedy ? row_.Best() : row_.Draw(PhiloxUniform(params.seed, kChoice, position));
}

void Sampler::ReportLogprobs(std::span<const float> logits, int count, Sampled& sampled) {
  row_.Begin(logits);
  const double log_sum = Log(row_.ExpSum());
  const double top_logit = static_cast<double>(row_.max_logit());
  const auto logprob = [&](float logit) {
    const double value = static_cast<double>(logit) - top_logit - log_sum;
    return value > static_cast<double>(kMinLogprob) ? static_cast<float>(value) : kMinLogprob;
  };
  sampled.logprob = logprob(logits[static_cast<size_t>(sampled.id)]);
  top_.clear();
  if (count > 0) {
    row_.KeepTop(static_cast<size_t>(std::min(count, kMaxTopLogprobs)));
    const std::span<Candidate> kept = row_.kept();
    std::sort(kept.begin(), kept.end(), Before);
    for (const Candidate& candidate : kept) top_.push_back({.id = candidate.id, .logprob = logprob(candidate.logit)});
  }
  sampled.top = top_;
}

}  // namespace millrace::engine
