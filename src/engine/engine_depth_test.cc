// Two steps under way. That answers are those of one step at a time under random lives is in engine_test.cc, whose runners have either depth.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "engine/engine_fixture.h"

namespace millrace::engine {
namespace {

// Launched after it, or behind the failed launch: what a broken step brings is for nobody, what came before it counts.
TEST(EngineDepth, FailedStepsTwoDeep) {
  for (const bool at_launch : {true, false}) {
    Fixture fixture({.slots = 2, .depth = 2});
    at_launch ? fixture.runner->FailAt(4) : fixture.runner->FailCollectAt(4);
    for (RequestId id = 1; id <= 3; ++id) ASSERT_TRUE(fixture.engine->Submit(MakeRequest(id, 3, 10)).ok());
    Status failed;
    for (int step = 0; step < 6 && failed.ok(); ++step) failed = fixture.engine->Step();
    EXPECT_EQ(failed.code(), Code::kUnavailable);
    EXPECT_FALSE(fixture.engine->InFlight());
    fixture.Drain();
    for (const RequestId id : {RequestId{1}, RequestId{2}}) {
      EXPECT_EQ(fixture.sink.answers()[id].finish, FinishReason::kError);
      EXPECT_EQ(fixture.sink.answers()[id].tokens, ExpectedGreedy(MakeRequest(id, 3, 10).prompt, 3));
    }
    EXPECT_EQ(fixture.sink.answers()[3].tokens, ExpectedGreedy(MakeRequest(3, 3, 10).prompt, 10));
    fixture.ExpectEmpty();
  }
}

TEST(EngineDepth, NextStepIsLaunchedBeforeTheLastIsCollected) {
  Fixture fixture({.depth = 2});
  const Request request = MakeRequest(1, 5, 10);
  ASSERT_TRUE(fixture.engine->Submit(request).ok());
  ASSERT_TRUE(fixture.engine->Step().ok());
  EXPECT_TRUE(fixture.engine->InFlight());
  EXPECT_FALSE(fixture.engine->HasOutput());
  ASSERT_TRUE(fixture.engine->Step().ok());
  EXPECT_EQ(fixture.runner->most_in_flight(), 2U);
  EXPECT_TRUE(fixture.engine->HasOutput());
  fixture.Drain();
  EXPECT_EQ(fixture.sink.answers()[1].tokens, ExpectedGreedy(request.prompt, 10));
  EXPECT_EQ(fixture.runner->launches(), 10U) << "the length is known before: nothing is computed for nothing";
  fixture.ExpectEmpty();
}

// The end is seen when the row after it is under way already.
TEST(EngineDepth, LateEndOfSequenceCostsOneRow) {
  Request request = MakeRequest(1, 6, 30);
  const std::vector<TokenId> expected = ExpectedGreedy(request.prompt, 30);
  const TokenId stop = expected[7];
  const auto first = static_cast<size_t>(std::find(expected.begin(), expected.end(), stop) - expected.begin());
  request.sampling.ignore_eos = false;
  Fixture fixture({.depth = 2}, {.end_of_sequence = {stop}});
  ASSERT_TRUE(fixture.engine->Submit(request).ok());
  fixture.Drain();
  const Answer& answer = fixture.sink.answers()[1];
  EXPECT_EQ(answer.tokens, std::vector<TokenId>(expected.begin(), expected.begin() + static_cast<ptrdiff_t>(first)));
  EXPECT_EQ(answer.finish, FinishReason::kStop);
  EXPECT_EQ(answer.usage.completion_tokens, first);
  EXPECT_EQ(fixture.runner->launches(), first + 2);
  fixture.ExpectEmpty();
}

// One request whose logits the host must see makes the steps that hold it wait, and only those.
TEST(EngineDepth, WhatTheDeviceCannotChooseRunsOneStepDeep) {
  Request plain = MakeRequest(1, 4, 40);
  Request with_logprobs = MakeRequest(2, 4, 5);
  with_logprobs.sampling.top_logprobs = 2;
  Fixture alone({.depth = 2});
  ASSERT_TRUE(alone.engine->Submit(with_logprobs).ok());
  alone.Drain();
  EXPECT_EQ(alone.runner->most_in_flight(), 1U);
  EXPECT_EQ(alone.sink.answers()[2].logprobs.size(), 5U);
  Fixture both({.depth = 2});
  ASSERT_TRUE(both.engine->Submit(plain).ok());
  ASSERT_TRUE(both.engine->Submit(with_logprobs).ok());
  both.Drain();
  EXPECT_EQ(both.runner->most_in_flight(), 2U);
  EXPECT_EQ(both.sink.answers()[1].tokens, ExpectedGreedy(plain.prompt, 40));
  EXPECT_EQ(both.sink.answers()[2], alone.sink.answers()[2]);
}

// Who is under way can be blamed for a death until everything is collected.
TEST(EngineDepth, BothStepsUnderWayAreNamed) {
  Fixture fixture({.slots = 2, .depth = 2});
  ASSERT_TRUE(fixture.engine->Submit(MakeRequest(7, 3, 1)).ok());
  ASSERT_TRUE(fixture.engine->Step().ok());
  ASSERT_TRUE(fixture.engine->Submit(MakeRequest(8, 3, 5)).ok());
  std::vector<RequestId> seen;
  while (fixture.engine->HasWork() && seen.size() < 2) {
    ASSERT_TRUE(fixture.engine->Step().ok());
    seen.assign(fixture.engine->RunningIds().begin(), fixture.engine->RunningIds().end());
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, (std::vector<RequestId>{7, 8}));
  fixture.Drain();
}

}  // namespace
}  // namespace millrace::engine
