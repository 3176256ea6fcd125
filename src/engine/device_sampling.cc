#include "engine/device_sampling.h"

#include "engine/sampler.h"

namespace millrace::engine {

bool DrawsOnDevice(const Sequence& sequence) {
  const SamplingParams& params = sequence.sampling;
  const bool may_stop = sequence.sampler.stops().empty() || sequence.length() - sequence.prompt_tokens >= params.min_tokens;
  return may_stop && params.top_logprobs < 0 && params.logit_bias.empty() && !HasPenalties(params);
}

model::DeviceSampling DeviceSamplingOf(const Sequence& sequence) {
  const SamplingParams& params = sequence.sampling;
  return {.temperature = params.temperature,
          .top_p = params.top_p,
          .min_p = params.min_p,
          .top_k = params.top_k,
          .seed = params.seed,
          .choice = kChoice,
          .position = sequence.length()};
}

}  // namespace millrace::engine
