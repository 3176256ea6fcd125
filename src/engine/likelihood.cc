#include "engine/likelihood.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace millrace::engine {

namespace {

double NegativeLogLikelihood(std::span<const float> logits, TokenId token) {
  const float best = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float value : logits) sum += std::exp(double{value} - best);
  return std::log(sum) + best - double{logits[static_cast<size_t>(token)]};
}

class Windows {
 public:
  Windows(model::ModelRunner& runner, const LikelihoodOptions& options) : runner_(runner), options_(options) {}

  // Adds the likelihood of every token of `window` but the first. `before` and `total`: tokens of the text, for progress.
  Status Measure(std::span<const TokenId> window, uint64_t before, uint64_t total, Likelihood& sum) {
    // The last token is only predicted, never read.
    const std::span<const TokenId> read = window.first(window.size() - 1);
    for (size_t at = 0; at < read.size();) {
      const size_t count = std::min<size_t>(options_.rows, read.size() - at);
      ASSIGN_OR_RETURN(const model::StepResult result, Step(read.subspan(at, count), static_cast<uint32_t>(at)));
      for (size_t i = 0; i < count; ++i) {
        const double nats = NegativeLogLikelihood(result.outputs[i].logits, window[at + i + 1]);
        if (!std::isfinite(nats)) return Error(Code::kInternal, "position {}: a logit that is no finite number", at + i);
        sum.total += nats;
      }
      sum.tokens += count;
      at += count;
      if (options_.progress) options_.progress(std::min(before + at, total), total);
    }
    return {};
  }

 private:
  Result<model::StepResult> Step(std::span<const TokenId> tokens, uint32_t first_position) {
    const auto count = static_cast<uint32_t>(tokens.size());
    const model::SpanOfTokens span{.slot = 0, .first_position = first_position, .token_begin = 0, .token_count = count};
    outputs_.clear();
    for (uint32_t i = 0; i < count; ++i) outputs_.push_back({.token_index = i});
    changes_.clear();
    if (step_ == 0) {
      const uint32_t blocks = (options_.window + runner_.info().block_tokens - 1) / runner_.info().block_tokens;
      for (uint32_t i = 0; i < blocks; ++i) changes_.push_back({.slot = 0, .index = i, .block = i});
    }
    model::StepBatch batch;
    batch.step_id = ++step_;
    batch.tokens = tokens;
    batch.spans = {&span, 1};
    batch.outputs = outputs_;
    batch.block_changes = changes_;
    ASSIGN_OR_RETURN(const model::Ticket ticket, runner_.Launch(batch));
    return runner_.Collect(ticket);
  }

  model::ModelRunner& runner_;
  const LikelihoodOptions& options_;
  std::vector<model::OutputRow> outputs_;
  std::vector<model::BlockChange> changes_;
  uint64_t step_ = 0;
};

}  // namespace

Result<Likelihood> MeasureLikelihood(model::ModelRunner& runner, std::span<const TokenId> tokens,
                                     const LikelihoodOptions& options) {
  const size_t own = options.window - (options.first ? 1 : 0);  // tokens of the text in one window
  if (options.window < 2 || own == 0)
    return Error(Code::kInvalidArgument, "window of {} tokens, expected at least 2", options.window);
  Windows windows(runner, options);
  Likelihood sum;
  std::vector<TokenId> window;
  for (size_t begin = 0; begin < tokens.size(); begin += own) {
    window.clear();
    if (options.first) window.push_back(*options.first);
    const auto part = tokens.subspan(begin, std::min(own, tokens.size() - begin));
    window.insert(window.end(), part.begin(), part.end());
    if (window.size() >= 2) RETURN_IF_ERROR(windows.Measure(window, begin, tokens.size(), sum));
  }
  if (options.progress) options.progress(tokens.size(), tokens.size());
  if (sum.tokens == 0) return Error(Code::kInvalidArgument, "{} tokens, expected at least 2", tokens.size());
  return sum;
}

}  // namespace millrace::engine
