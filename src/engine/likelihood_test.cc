#include "engine/likelihood.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "engine/fake_runner.h"

namespace millrace::engine {
namespace {

std::vector<TokenId> Text(size_t size) {
  std::vector<TokenId> tokens(size);
  for (size_t i = 0; i < size; ++i) tokens[i] = static_cast<TokenId>((7 * i * i + 3) % 101);
  return tokens;
}

// One window straight from the definition.
double Expected(std::span<const TokenId> window) {
  double sum = 0;
  std::vector<float> logits(FakeRunnerOptions{}.vocab);
  for (size_t i = 0; i + 1 < window.size(); ++i) {
    FakeLogits(window.first(i + 1), logits);
    double total = 0;
    for (const float value : logits) total += std::exp(double{value});
    sum += std::log(total) - double{logits[static_cast<size_t>(window[i + 1])]};
  }
  return sum;
}

// Rows for all outputs of a step: the fake has as many as it has slots.
FakeRunner Runner() { return FakeRunner({.slots = 16}); }

TEST(Likelihood, WindowsStartFromNothing) {
  FakeRunner runner = Runner();
  const auto tokens = Text(50);
  const auto found = MeasureLikelihood(runner, tokens, {.window = 20, .first = {}, .rows = 7});
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  const std::span<const TokenId> all(tokens);
  EXPECT_EQ(found->tokens, 47U);
  EXPECT_NEAR(found->total, Expected(all.first(20)) + Expected(all.subspan(20, 20)) + Expected(all.subspan(40)), 1e-9);
  EXPECT_EQ(runner.launches(), 3U + 3U + 2U);
}

TEST(Likelihood, FirstTokenTakesRoomInEveryWindow) {
  FakeRunner runner = Runner();
  const auto tokens = Text(30);
  const auto found = MeasureLikelihood(runner, tokens, {.window = 20, .first = 5, .rows = 16});
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->tokens, 30U);
  double expected = 0;
  for (const auto& [begin, count] : {std::pair<size_t, size_t>{0, 19}, {19, 11}}) {
    std::vector<TokenId> window = {5};
    window.insert(window.end(), tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                  tokens.begin() + static_cast<std::ptrdiff_t>(begin + count));
    expected += Expected(window);
  }
  EXPECT_NEAR(found->total, expected, 1e-9);
}

TEST(Likelihood, ProgressAndRefusals) {
  FakeRunner runner = Runner();
  uint64_t last = 0;
  const auto tokens = Text(41);  // the last window has one token, which nothing predicts
  const auto found = MeasureLikelihood(
      runner, tokens, {.window = 20, .first = {}, .rows = 16, .progress = [&last](uint64_t done, uint64_t total) {
                         EXPECT_EQ(total, 41U);
                         last = done;
                       }});
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->tokens, 38U);
  EXPECT_EQ(last, 41U);
  EXPECT_EQ(MeasureLikelihood(runner, Text(1), {}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(MeasureLikelihood(runner, tokens, {.window = 1}).status().code(), Code::kInvalidArgument);
  runner.SetLogits(NAN);
  EXPECT_EQ(MeasureLikelihood(runner, tokens, {.window = 20, .rows = 16}).status().code(), Code::kInternal);
  runner.FailAt(runner.launches() + 1);
  EXPECT_EQ(MeasureLikelihood(runner, tokens, {.window = 20, .rows = 16}).status().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace millrace::engine
