// Sampler: a row of raw logits becomes a token. The same logits, parameters, state and position give the same token everywhere,
// alone or in any batch: the draw is keyed by (seed, choice, position) and no sum depends on an order.
//
// Used from the engine's thread. After construction nothing allocates.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/types.h"
#include "engine/sampler_state.h"
#include "engine/samplers/row.h"
#include "model/model_runner.h"

namespace millrace::engine {

inline constexpr uint32_t kChoice = 0;  // the only one until several choices share a prompt

// What a log-probability is reported as at least: clients cannot read minus infinity from JSON.
inline constexpr float kMinLogprob = -9999.0F;

struct Sampled {
  TokenId id = kNoToken;                 // kNoToken: the logits hold nothing to choose from (NaN or infinite)
  float logprob = 0;                     // of `id`; only if params.top_logprobs >= 0
  std::span<const model::TopToken> top;  // the params.top_logprobs best of the vocabulary, best first; valid until the next call
};

class Sampler {
 public:
  explicit Sampler(uint32_t vocab);

  // `position`: index of the new token in its sequence, prompt included. `logits`: [vocab], unchanged. Ids in `params` and
  // `state` must be inside the vocabulary. Log-probabilities are those of the raw logits, before any step of the chain.
  Sampled Sample(std::span<const float> logits, const SamplingParams& params, const SamplerState& state, uint64_t position);

 private:
  TokenId Choose(const SamplingParams& params, const SamplerState& state, uint64_t position);
  void ReportLogprobs(std::span<const float> logits, int count, Sampled& sampled);

  Row row_;
  std::vector<model::TopToken> top_;
};

}  // namespace millrace::engine
