// For tests of the engine: one over the fake runner, what was published of every request, and what should have been.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/fake_runner.h"

namespace millrace::engine {

// Everything that was published for one request.
struct Answer {
  std::vector<TokenId> tokens;
  std::vector<float> logprobs;
  std::vector<model::TopToken> top;
  FinishReason finish = FinishReason::kNone;
  Status error;
  Clocks clocks;
  Usage usage;

  bool operator==(const Answer& other) const {
    return tokens == other.tokens && logprobs == other.logprobs && finish == other.finish;
  }
};

// Collects answers and checks the promises that every output makes.
class Collector final : public OutputSink {
 public:
  bool Take(const Output& output) override {
    if (room_ == 0) return false;
    if (room_ > 0) --room_;
    Answer& answer = answers_[output.request];
    EXPECT_EQ(answer.finish, FinishReason::kNone) << "output after the end";
    EXPECT_EQ(output.first_index, answer.tokens.size());
    EXPECT_LE(output.tokens.size(), kMaxOutputTokens);
    EXPECT_TRUE(!output.tokens.empty() || output.finish != FinishReason::kNone);
    EXPECT_EQ(output.error != nullptr, output.finish == FinishReason::kError);
    EXPECT_TRUE(output.error == nullptr || output.tokens.empty());
    EXPECT_EQ(output.top.size(), output.tokens.size() * output.top_count);
    answer.tokens.insert(answer.tokens.end(), output.tokens.begin(), output.tokens.end());
    answer.logprobs.insert(answer.logprobs.end(), output.logprobs.begin(), output.logprobs.end());
    answer.top.insert(answer.top.end(), output.top.begin(), output.top.end());
    answer.finish = output.finish;
    if (output.error != nullptr) answer.error = *output.error;
    answer.clocks = *output.clocks;
    answer.usage = *output.usage;
    EXPECT_GE(answer.usage.completion_tokens, answer.tokens.size());
    return true;
  }

  // How many outputs are taken before the sink is full; -1 = never full.
  void set_room(int room) { room_ = room; }
  std::map<RequestId, Answer>& answers() { return answers_; }

 private:
  int room_ = -1;
  std::map<RequestId, Answer> answers_;
};

struct Fixture {
  explicit Fixture(const FakeRunnerOptions& runner_options = {}, EngineOptions options = {}) {
    auto fake = std::make_unique<FakeRunner>(runner_options);
    runner = fake.get();
    auto created = Engine::Create(std::move(fake), std::move(options));
    EXPECT_TRUE(created.ok()) << created.status().ToString();
    engine = std::move(created).value();
  }

  // Steps until nothing is left to do or to take.
  void Drain(int most_steps = 100000) {
    while (engine->HasWork() || engine->HasOutput()) {
      ASSERT_GT(most_steps--, 0);
      EXPECT_TRUE(engine->Step().ok());
      EXPECT_LE(engine->Stats().used_blocks, engine->Stats().blocks);
      engine->Publish(sink);
    }
  }

  void ExpectEmpty() const {
    const EngineStats stats = engine->Stats();
    EXPECT_EQ(stats.waiting + stats.running + stats.unpublished, 0U);
    EXPECT_EQ(stats.used_blocks, 0U);
  }

  FakeRunner* runner;
  std::unique_ptr<Engine> engine;
  Collector sink;
};

inline Request MakeRequest(RequestId id, size_t prompt_tokens, uint32_t max_tokens) {
  Request request{.id = id};
  std::mt19937 random(static_cast<uint32_t>(id));
  for (size_t i = 0; i < prompt_tokens; ++i) request.prompt.push_back(static_cast<TokenId>(random() % 101));
  request.sampling.temperature = 0;
  request.sampling.max_tokens = max_tokens;
  request.sampling.ignore_eos = true;
  return request;
}

// Greedy tokens straight from the hash, without engine or sampler.
inline std::vector<TokenId> ExpectedGreedy(std::vector<TokenId> history, size_t count) {
  const size_t prompt = history.size();
  std::vector<float> logits(101);
  for (size_t i = 0; i < count; ++i) {
    FakeLogits(history, logits);
    history.push_back(static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
  }
  return {history.begin() + static_cast<ptrdiff_t>(prompt), history.end()};
}

}  // namespace millrace::engine
