// How well a model predicts a text: the mean negative log-likelihood of its tokens. Drives a runner by itself, without scheduler.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "base/status.h"
#include "base/types.h"
#include "model/model_runner.h"

namespace millrace::engine {

struct LikelihoodOptions {
  uint32_t window = 1024;          // tokens of one window, at least 2; the runner's context has room for it
  std::optional<TokenId> first{};  // begins every window, within its length: beginning-of-sequence, where a model expects it
  uint32_t rows = 128;             // most tokens of one step; every one is an output row, so the runner must allow as many
  std::function<void(uint64_t done, uint64_t total)> progress = nullptr;  // tokens
};

struct Likelihood {
  double total = 0;  // nats, over all predicted tokens
  uint64_t tokens = 0;

  double mean() const { return total / static_cast<double>(tokens); }
};

// The text is cut into windows that each start from nothing; the first token of a window is not predicted. Uses slot 0 and the first
// blocks of a runner on which nothing else runs. kInvalidArgument when no token is left to predict, kInternal when a logit is no number.
Result<Likelihood> MeasureLikelihood(model::ModelRunner& runner, std::span<const TokenId> tokens,
                                     const LikelihoodOptions& options);

}  // namespace millrace::engine
