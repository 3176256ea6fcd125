#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "base/philox.h"
#include "engine/exp.h"

namespace millrace::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The obvious sampler: doubles, the C library, a full sort. Returns each token's probability after the whole chain, and how near
// some decision of it came to its border (then the fast sampler may rightly differ).
struct Reference {
  std::vector<double> probability;
  double margin = 1;
};

Reference ReferenceChain(std::vector<double> logits, const SamplingParams& params, std::span<const TokenId> prompt,
                         std::span<const TokenId> output) {
  for (const auto& [id, bias] : params.logit_bias) logits[static_cast<size_t>(id)] += static_cast<double>(bias);
  for (size_t id = 0; id < logits.size(); ++id) {
    const auto in = [id](std::span<const TokenId> list) {
      return std::count(list.begin(), list.end(), static_cast<TokenId>(id));
    };
    const double repetition = static_cast<double>(params.repetition_penalty);
    if (in(prompt) + in(output) > 0) logits[id] = logits[id] > 0 ? logits[id] / repetition : logits[id] * repetition;
    if (in(output) > 0) logits[id] -= static_cast<double>(params.presence_penalty);
    logits[id] -= static_cast<double>(params.frequency_penalty) * static_cast<double>(in(output));
  }
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  Reference result{.probability = std::vector<double>(logits.size(), 0)};
  if (params.temperature == 0) {
    result.probability[order[0]] = 1;
    return result;
  }
  if (params.top_k > 0) order.resize(std::min(order.size(), static_cast<size_t>(params.top_k)));
  std::vector<double> weight(logits.size());
  double sum = 0;
  for (const size_t id : order)
    sum += weight[id] = std::exp((logits[id] - logits[order[0]]) / static_cast<double>(params.temperature));
  if (params.top_p < 1) {
    double mass = 0;
    size_t count = 0;
    while (count < order.size() && mass < static_cast<double>(params.top_p) * sum) {
      mass += weight[order[count++]];
      result.margin = std::min(result.margin, std::abs(mass / sum - static_cast<double>(params.top_p)));
    }
    order.resize(count);
  }
  if (params.min_p > 0) {
    for (const size_t id : order)
      result.margin = std::min(result.margin, std::abs(weight[id] - static_cast<double>(params.min_p)));
    std::erase_if(order, [&](size_t id) { return weight[id] < static_cast<double>(params.min_p); });
  }
  sum = 0;
  for (const size_t id : order) sum += weight[id];
  for (const size_t id : order) result.probability[id] = weight[id] / sum;
  return result;
}

// The token at `uniform` of the reference's distribution in id order, and how near that is to the next token.
std::pair<TokenId, double> ReferenceDraw(const Reference& reference, double uniform) {
  double sum = 0;
  double margin = 1;
  TokenId found = kNoToken;
  for (size_t id = 0; id < reference.probability.size(); ++id) {
    sum += reference.probability[id];
    if (reference.probability[id] > 0) margin = std::min(margin, std::abs(sum - uniform));
    if (found == kNoToken && uniform < sum) found = static_cast<TokenId>(id);
  }
  return {found, margin};
}

std::vector<float> RandomLogits(std::mt19937& random, size_t vocab) {
  std::vector<float> logits(vocab);
  const float spread = std::uniform_real_distribution<float>(0.1F, 8.0F)(random);
  std::normal_distribution<float> normal(0, spread);
  for (float& logit : logits) logit = normal(random);
  if (random() % 3 == 0) {
    for (float& logit : logits) logit = std::round(logit);  // many ties
  }
  return logits;
}

SamplingParams RandomParams(std::mt19937& random, size_t vocab) {
  const auto uniform = [&](float low, float high) { return std::uniform_real_distribution<float>(low, high)(random); };
  SamplingParams params;
  params.seed = random();
  params.temperature = random() % 6 == 0 ? 0.0F : uniform(0.1F, 2.0F);
  if (random() % 2) params.top_k = 1 + static_cast<int32_t>(random() % (vocab + vocab / 4));
  if (random() % 2) params.top_p = uniform(0.02F, 0.999F);
  if (random() % 3 == 0) params.min_p = uniform(0.001F, 1.0F);
  if (random() % 3 == 0) params.repetition_penalty = uniform(0.5F, 2.0F);
  if (random() % 3 == 0) params.presence_penalty = uniform(-2.0F, 2.0F);
  if (random() % 3 == 0) params.frequency_penalty = uniform(-2.0F, 2.0F);
  if (random() % 3 == 0) {
    for (int i = 0; i < 5; ++i) params.logit_bias.emplace_back(static_cast<TokenId>(random() % vocab), uniform(-10.0F, 10.0F));
  }
  return params;
}

TEST(Sampler, AgreesWithTheObviousOne) {
  int compared = 0;
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    const size_t vocab = seed % 25 == 0 ? 5000 + random() % 30000 : 1 + random() % 400;
    const std::vector<float> logits = RandomLogits(random, vocab);
    const SamplingParams params = RandomParams(random, vocab);
    std::vector<TokenId> prompt(random() % 20);
    std::vector<TokenId> output(random() % 20);
    for (TokenId& id : prompt) id = static_cast<TokenId>(random() % vocab);
    for (TokenId& id : output) id = static_cast<TokenId>(random() % vocab);
    SamplerState state(params, {}, prompt, 64);
    for (const TokenId id : output) state.Append(id);
    Sampler sampler(static_cast<uint32_t>(vocab));
    const uint64_t position = prompt.size() + output.size();
    const Sampled sampled = sampler.Sample(logits, params, state, position);
    const Reference reference = ReferenceChain({logits.begin(), logits.end()}, params, prompt, output);
    ASSERT_GE(sampled.id, 0);
    if (reference.margin < 1e-5) continue;
    const auto [expected, margin] = ReferenceDraw(reference, static_cast<double>(PhiloxUniform(params.seed, 0, position)));
    if (margin < 1e-5) continue;
    EXPECT_EQ(sampled.id, expected) << "seed " << seed;
    ++compared;
  }
  EXPECT_GT(compared, 2500);
}

// Pearson's statistic over every token that is expected at least five times, against a bound of six standard deviations.
void ExpectDistribution(std::span<const float> logits, const SamplingParams& base) {
  constexpr int kDraws = 40000;
  const Reference reference = ReferenceChain({logits.begin(), logits.end()}, base, {}, {});
  Sampler sampler(static_cast<uint32_t>(logits.size()));
  const SamplerState state(base, {}, {}, 1);
  std::vector<int> count(logits.size());
  for (int i = 0; i < kDraws; ++i) ++count[static_cast<size_t>(sampler.Sample(logits, base, state, static_cast<uint64_t>(i)).id)];
  double statistic = 0;
  double freedom = -1;
  for (size_t id = 0; id < logits.size(); ++id) {
    const double expected = reference.probability[id] * kDraws;
    EXPECT_TRUE(reference.probability[id] > 0 || count[id] == 0) << "token " << id << " is outside the kept set";
    if (expected < 5) continue;
    statistic += (count[id] - expected) * (count[id] - expected) / expected;
    ++freedom;
  }
  EXPECT_LT(statistic, freedom + 6 * std::sqrt(2 * freedom) + 6);
}

TEST(Sampler, DrawsTheDistributionOfTheChain) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 1.5F);
  std::vector<float> logits(200);
  for (float& logit : logits) logit = normal(random);
  SamplingParams params;
  params.seed = 11;
  ExpectDistribution(logits, params);
  params.temperature = 0.6F;
  ExpectDistribution(logits, params);
  params.top_k = 30;
  ExpectDistribution(logits, params);
  params.top_p = 0.8F;
  ExpectDistribution(logits, params);
  params.top_k = 0;
  ExpectDistribution(logits, params);
  params.min_p = 0.2F;
  ExpectDistribution(logits, params);
  params.top_p = 1.0F;
  ExpectDistribution(logits, params);
}

TokenId Greedy(std::vector<float> logits, SamplingParams params = {}) {
  params.temperature = 0;
  Sampler sampler(static_cast<uint32_t>(logits.size()));
  return sampler.Sample(logits, params, SamplerState(params, {}, {}, 1), 0).id;
}

TEST(Sampler, GreedyTakesTheLowestOfEqualTokens) {
  std::vector<float> logits(100, 0.0F);
  EXPECT_EQ(Greedy(logits), 0);
  logits[40] = logits[41] = logits[99] = 3;
  EXPECT_EQ(Greedy(logits), 40);
  logits[99] = 4;
  EXPECT_EQ(Greedy(logits), 99);
}

TEST(Sampler, NothingToChooseFromIsReported) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float bad : {nan, kInfinity, -kInfinity}) {
    const std::vector<float> logits(70, bad);
    EXPECT_EQ(Greedy(logits), kNoToken);
    Sampler sampler(70);
    for (int mode = 0; mode < 4; ++mode) {
      SamplingParams params;
      params.top_k = mode == 1 ? 5 : 0;
      params.top_p = mode == 2 ? 0.5F : 1.0F;
      params.min_p = mode == 3 ? 0.5F : 0.0F;
      EXPECT_EQ(sampler.Sample(logits, params, SamplerState(params, {}, {}, 1), 0).id, kNoToken);
    }
  }
  std::vector<float> mixed(70, nan);
  mixed[33] = -5;
  EXPECT_EQ(Greedy(mixed), 33);
}

TEST(Sampler, TokensThatAreNoNumbersAreNeverDrawn) {
  std::vector<float> logits(3000, 0.0F);
  for (size_t i = 0; i < logits.size(); i += 3) logits[i] = std::numeric_limits<float>::quiet_NaN();
  for (size_t i = 1; i < logits.size(); i += 3) logits[i] = -kInfinity;
  Sampler sampler(3000);
  for (int mode = 0; mode < 5; ++mode) {
    SamplingParams params;
    if (mode == 1) params.top_p = 0.9F;
    if (mode == 2) params.top_k = 999;
    if (mode == 3) params.min_p = 0.1F;
    if (mode == 4) params.top_k = 2999, params.top_p = 0.99F;
    for (uint64_t position = 0; position < 200; ++position) {
      EXPECT_EQ(sampler.Sample(logits, params, SamplerState(params, {}, {}, 1), position).id % 3, 2) << "mode " << mode;
    }
  }
}

TEST(Sampler, ExtremeTemperaturesStayFinite) {
  std::vector<float> logits(64, 1.0F);
  logits[7] = 1.5F;
  Sampler sampler(64);
  SamplingParams params;
  params.temperature = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(sampler.Sample(logits, params, SamplerState(params, {}, {}, 1), 3).id, 7);
  params.temperature = 100;
  EXPECT_GE(sampler.Sample(logits, params, SamplerState(params, {}, {}, 1), 3).id, 0);
}

// Each truncation at its narrowest leaves the likeliest token and nothing else.
TEST(Sampler, NarrowestTruncationsAreGreedy) {
  std::vector<float> logits(80, 1.0F);
  logits[33] = 1.001F;
  Sampler sampler(80);
  for (int mode = 0; mode < 3; ++mode) {
    SamplingParams params;
    if (mode == 0) params.top_k = 1;
    if (mode == 1) params.top_p = 1e-6F;
    if (mode == 2) params.min_p = 1.0F;
    for (uint64_t position = 0; position < 50; ++position) {
      EXPECT_EQ(sampler.Sample(logits, params, SamplerState(params, {}, {}, 1), position).id, 33) << "mode " << mode;
    }
  }
}

TEST(Sampler, StopTokensWaitForMinTokens) {
  std::vector<float> logits(50, 0.0F);
  logits[9] = 10;
  logits[10] = 9;
  logits[11] = 8;
  SamplingParams params;
  params.temperature = 0;
  params.min_tokens = 2;
  params.stop_tokens = {9};
  const std::vector<TokenId> eos = {10};
  SamplerState state(params, eos, {}, 8);
  Sampler sampler(50);
  EXPECT_EQ(sampler.Sample(logits, params, state, 0).id, 11);
  state.Append(11);
  EXPECT_EQ(sampler.Sample(logits, params, state, 1).id, 11);
  state.Append(11);
  EXPECT_EQ(sampler.Sample(logits, params, state, 2).id, 9);
  EXPECT_TRUE(state.IsStop(9));
  EXPECT_TRUE(state.IsStop(10));
  params.ignore_eos = true;
  const SamplerState ignoring(params, eos, {}, 8);
  EXPECT_TRUE(ignoring.IsStop(9));
  EXPECT_FALSE(ignoring.IsStop(10));
}

TEST(Sampler, LogprobsAreOfTheRawDistribution) {
  std::mt19937 random(3);
  const std::vector<float> logits = RandomLogits(random, 333);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](TokenId a, TokenId b) { return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)]; });
  SamplingParams params;
  params.temperature = 0.3F;
  params.top_k = 2;
  params.top_logprobs = 20;
  params.logit_bias = {{17, 100.0F}};
  Sampler sampler(333);
  const Sampled sampled = sampler.Sample(logits, params, SamplerState(params, {}, {}, 1), 0);
  ASSERT_EQ(sampled.id, 17);
  EXPECT_NEAR(static_cast<double>(sampled.logprob), static_cast<double>(logits[17]) - std::log(sum), 1e-5);
  ASSERT_EQ(sampled.top.size(), 20U);
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(sampled.top[i].id, order[i]);
    EXPECT_NEAR(static_cast<double>(sampled.top[i].logprob),
                static_cast<double>(logits[static_cast<size_t>(order[i])]) - std::log(sum), 1e-5);
  }
}

TEST(Sampler, LogprobsAreNeverInfinite) {
  std::vector<float> logits(40, -kInfinity);
  logits[3] = 0;
  SamplingParams params;
  params.temperature = 0;
  params.top_logprobs = 5;
  Sampler sampler(40);
  const Sampled sampled = sampler.Sample(logits, params, SamplerState(params, {}, {}, 1), 0);
  EXPECT_EQ(sampled.id, 3);
  EXPECT_EQ(sampled.logprob, 0.0F);
  ASSERT_EQ(sampled.top.size(), 5U);
  EXPECT_EQ(sampled.top[1].logprob, kMinLogprob);
  EXPECT_EQ(sampled.top[1].id, 0);
}

TEST(Sampler, SmallVocabularyHasFewerTopTokens) {
  const std::vector<float> logits = {1, 2, 3};
  SamplingParams params;
  params.top_logprobs = 20;
  Sampler sampler(3);
  EXPECT_EQ(sampler.Sample(logits, params, SamplerState(params, {}, {}, 1), 0).top.size(), 3U);
}

TEST(Exp, IsCloseToTheLibrarysAndExactAtZero) {
  EXPECT_EQ(ExpNegative(0.0F), 1.0F);
  EXPECT_LT(ExpNegative(-kInfinity), 1e-37F);
  EXPECT_LT(ExpNegative(std::numeric_limits<float>::quiet_NaN()), 1e-37F);
  for (float x = 0; x > -80; x -= 0.00317F) {
    const double expected = std::exp(static_cast<double>(x));
    ASSERT_NEAR(static_cast<double>(ExpNegative(x)) / expected, 1.0, 3e-7) << x;
  }
}

}  // namespace
}  // namespace millrace::engine
