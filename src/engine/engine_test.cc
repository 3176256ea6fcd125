#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "base/clock.h"
#include "engine/engine_fixture.h"

namespace millrace::engine {
namespace {

TEST(Engine, GreedyAnswerIsWhatTheModelSays) {
  Fixture fixture;
  const Request request = MakeRequest(1, 9, 20);
  ASSERT_TRUE(fixture.engine->Submit(request).ok());
  fixture.Drain();
  const Answer& answer = fixture.sink.answers()[1];
  EXPECT_EQ(answer.tokens, ExpectedGreedy(request.prompt, 20));
  EXPECT_EQ(answer.finish, FinishReason::kLength);
  EXPECT_EQ(answer.usage.prompt_tokens, 9U);
  EXPECT_EQ(answer.usage.completion_tokens, 20U);
  EXPECT_EQ(answer.usage.decode_steps, 19U);
  EXPECT_EQ(answer.usage.decode_bytes, 19U * 1010U);
  EXPECT_EQ(answer.usage.mean_batch, 1.0);
  EXPECT_GT(answer.clocks.scheduled, 0);
  EXPECT_GE(answer.clocks.first_token, answer.clocks.scheduled);
  EXPECT_GE(answer.clocks.last_token, answer.clocks.first_token);
  EXPECT_EQ(answer.usage.prefill_ns, answer.clocks.first_token - answer.clocks.scheduled);
  EXPECT_EQ(answer.usage.decode_ns, answer.clocks.last_token - answer.clocks.first_token);
  fixture.ExpectEmpty();
}

Request RandomRequest(std::mt19937& random, RequestId id, uint32_t context) {
  Request request = MakeRequest(id, 1 + random() % (context - 1), static_cast<uint32_t>(1 + random() % context));
  SamplingParams& params = request.sampling;
  params.seed = random();
  params.ignore_eos = random() % 2 == 0;
  params.temperature = random() % 2 == 0 ? 0.0F : 0.9F;
  if (random() % 2 == 0) params.top_p = 0.7F;
  if (random() % 3 == 0) params.top_k = 12;
  if (random() % 3 == 0) params.frequency_penalty = 0.8F;
  if (random() % 3 == 0) params.repetition_penalty = 1.3F;
  if (random() % 3 == 0) params.top_logprobs = 3;
  if (random() % 3 == 0) params.min_tokens = 5;
  if (random() % 3 == 0) params.stop_tokens = {static_cast<TokenId>(random() % 101)};
  request.priority = static_cast<int32_t>(random() % 3);
  return request;
}

FakeRunnerOptions RandomRunner(std::mt19937& random) {
  FakeRunnerOptions options;
  options.slots = static_cast<uint32_t>(1 + random() % 6);
  options.block_tokens = static_cast<uint32_t>(1 + random() % 9);
  options.blocks = 64 / options.block_tokens + 1 + static_cast<uint32_t>(random() % 40);
  options.max_batch_tokens = static_cast<uint32_t>(1 + random() % 70);
  options.contiguous = random() % 2 == 0;
  options.mixes = random() % 3 != 0;
  options.depth = static_cast<uint32_t>(1 + random() % 2);
  return options;
}

// The same request gives the same tokens alone and in any company, chunking, pool, order of arrival, and one step or two deep.
TEST(Engine, AnswersDoNotDependOnCompany) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    std::vector<Request> requests;
    for (RequestId id = 1; id <= 12; ++id) requests.push_back(RandomRequest(random, id, 64));
    std::map<RequestId, Answer> alone;
    for (const Request& request : requests) {
      Fixture fixture({}, {.end_of_sequence = {3, 50}});
      ASSERT_TRUE(fixture.engine->Submit(request).ok());
      fixture.Drain();
      alone[request.id] = fixture.sink.answers()[request.id];
    }
    Fixture fixture(RandomRunner(random),
                    {.end_of_sequence = {3, 50}, .prefill_chunk = static_cast<uint32_t>(1 + random() % 30)});
    std::shuffle(requests.begin(), requests.end(), random);
    for (const Request& request : requests) {
      ASSERT_TRUE(fixture.engine->Submit(request).ok());
      for (size_t steps = random() % 6; steps > 0; --steps) ASSERT_TRUE(fixture.engine->Step().ok());
      fixture.sink.set_room(static_cast<int>(random() % 3));
      fixture.engine->Publish(fixture.sink);
    }
    fixture.sink.set_room(-1);
    fixture.Drain();
    for (const Request& request : requests) {
      EXPECT_EQ(fixture.sink.answers()[request.id], alone[request.id]) << "seed " << seed << " request " << request.id;
    }
    fixture.ExpectEmpty();
  }
}

// Whatever is cancelled whenever: nothing stays behind, what was published is a prefix, others do not notice.
TEST(Engine, CancelAtEveryPointLeaksNothing) {
  for (int cancel_step = 0; cancel_step < 40; ++cancel_step) {
    Fixture fixture({.slots = 2, .blocks = 24, .depth = cancel_step % 3 == 0 ? 1U : 2U}, {.prefill_chunk = 3});
    std::vector<Request> requests;
    for (RequestId id = 1; id <= 4; ++id) requests.push_back(MakeRequest(id, 5 + id, 10));
    for (const Request& request : requests) ASSERT_TRUE(fixture.engine->Submit(request).ok());
    for (int step = 0; step < cancel_step; ++step) {
      ASSERT_TRUE(fixture.engine->Step().ok());
      fixture.engine->Publish(fixture.sink);
    }
    const RequestId victim = 1 + static_cast<RequestId>(cancel_step) % 4;
    fixture.engine->Cancel(victim);
    fixture.engine->Cancel(victim);
    fixture.engine->Cancel(99);
    fixture.Drain();
    fixture.ExpectEmpty();
    for (const Request& request : requests) {
      const std::vector<TokenId> expected = ExpectedGreedy(request.prompt, 10);
      const Answer& answer = fixture.sink.answers()[request.id];
      if (request.id == victim && answer.finish == FinishReason::kCancelled) {
        ASSERT_LE(answer.tokens.size(), expected.size());
        EXPECT_TRUE(std::equal(answer.tokens.begin(), answer.tokens.end(), expected.begin()));
      } else {
        EXPECT_EQ(answer.tokens, expected);
        EXPECT_EQ(answer.finish, FinishReason::kLength);
      }
    }
  }
}

// Random submissions, cancels, device failures and full sinks: every accepted request ends exactly once and nothing stays behind.
TEST(Engine, EveryRequestEndsOnceWhateverHappens) {
  for (uint32_t seed = 0; seed < 150; ++seed) {
    std::mt19937 random(seed);
    Fixture fixture(RandomRunner(random), {.end_of_sequence = {3}, .prefill_chunk = static_cast<uint32_t>(1 + random() % 20)});
    if (seed % 3 == 0) fixture.runner->FailAt(1 + random() % 60);
    if (seed % 3 == 1) fixture.runner->FailCollectAt(1 + random() % 60);
    std::vector<RequestId> accepted;
    RequestId next = 1;
    for (int action = 0; action < 150; ++action) {
      const auto kind = random() % 8;
      if (kind == 0) {
        Request request = RandomRequest(random, next, 64);
        if (random() % 8 == 0) request.deadline_ns = 1;
        if (fixture.engine->Submit(std::move(request)).ok()) accepted.push_back(next);
        ++next;
      } else if (kind == 1) {
        fixture.engine->Cancel(1 + random() % next);
      } else if (kind == 2) {
        fixture.sink.set_room(static_cast<int>(random() % 4));
        fixture.engine->Publish(fixture.sink);
      } else {
        static_cast<void>(fixture.engine->Step());  // may fail where it is told to
      }
      const EngineStats stats = fixture.engine->Stats();
      ASSERT_LE(stats.used_blocks, stats.blocks);
      ASSERT_LE(stats.running, stats.slots);
    }
    fixture.sink.set_room(-1);
    while (fixture.engine->HasWork() || fixture.engine->HasOutput()) {
      static_cast<void>(fixture.engine->Step());
      ASSERT_TRUE(fixture.engine->Publish(fixture.sink));
    }
    fixture.ExpectEmpty();
    ASSERT_EQ(fixture.sink.answers().size(), accepted.size());
    for (const RequestId id : accepted) EXPECT_NE(fixture.sink.answers()[id].finish, FinishReason::kNone);
  }
}

TEST(Engine, StopTokenEndsAndIsNotEmitted) {
  const Request plain = MakeRequest(1, 6, 30);
  const std::vector<TokenId> expected = ExpectedGreedy(plain.prompt, 30);
  const TokenId stop = expected[7];
  const auto first = static_cast<size_t>(std::find(expected.begin(), expected.end(), stop) - expected.begin());
  for (const bool as_end_of_sequence : {false, true}) {
    Fixture fixture({}, {.end_of_sequence = as_end_of_sequence ? std::vector<TokenId>{stop} : std::vector<TokenId>{}});
    Request request = plain;
    request.sampling.ignore_eos = false;
    if (!as_end_of_sequence) request.sampling.stop_tokens = {stop};
    ASSERT_TRUE(fixture.engine->Submit(request).ok());
    fixture.Drain();
    const Answer& answer = fixture.sink.answers()[1];
    EXPECT_EQ(answer.tokens, std::vector<TokenId>(expected.begin(), expected.begin() + static_cast<ptrdiff_t>(first)));
    EXPECT_EQ(answer.finish, FinishReason::kStop);
    EXPECT_EQ(answer.usage.completion_tokens, first);
  }
}

TEST(Engine, IgnoreEosGoesOnButStopTokensStillStop) {
  const Request plain = MakeRequest(1, 6, 30);
  const std::vector<TokenId> expected = ExpectedGreedy(plain.prompt, 30);
  Fixture fixture({}, {.end_of_sequence = {expected[2]}});
  ASSERT_TRUE(fixture.engine->Submit(plain).ok());
  Request stopping = plain;
  stopping.id = 2;
  stopping.sampling.stop_tokens = {expected[9]};
  ASSERT_TRUE(fixture.engine->Submit(stopping).ok());
  fixture.Drain();
  EXPECT_EQ(fixture.sink.answers()[1].tokens, expected);
  EXPECT_EQ(fixture.sink.answers()[2].finish, FinishReason::kStop);
  EXPECT_LE(fixture.sink.answers()[2].tokens.size(), 9U);
}

TEST(Engine, EndOfSequenceWaitsForMinTokens) {
  Request request = MakeRequest(1, 6, 30);
  const TokenId first = ExpectedGreedy(request.prompt, 1)[0];
  request.sampling.ignore_eos = false;
  request.sampling.min_tokens = 12;
  Fixture fixture({}, {.end_of_sequence = {first}});
  ASSERT_TRUE(fixture.engine->Submit(request).ok());
  fixture.Drain();
  const Answer& answer = fixture.sink.answers()[1];
  EXPECT_GE(answer.tokens.size(), 12U);
  EXPECT_EQ(std::count(answer.tokens.begin(), answer.tokens.end(), first), 0);
}

TEST(Engine, OneTokenAtMost) {
  Fixture fixture;
  const Request request = MakeRequest(1, 6, 1);
  ASSERT_TRUE(fixture.engine->Submit(request).ok());
  fixture.Drain();
  EXPECT_EQ(fixture.sink.answers()[1].tokens, ExpectedGreedy(request.prompt, 1));
  EXPECT_EQ(fixture.sink.answers()[1].finish, FinishReason::kLength);
  EXPECT_EQ(fixture.sink.answers()[1].usage.decode_steps, 0U);
  EXPECT_EQ(fixture.sink.answers()[1].usage.mean_batch, 0.0);
}

TEST(Engine, ContextEndsTheAnswer) {
  Fixture fixture;
  const Request request = MakeRequest(1, 60, 1000);
  ASSERT_TRUE(fixture.engine->Submit(request).ok());
  fixture.Drain();
  EXPECT_EQ(fixture.sink.answers()[1].tokens, ExpectedGreedy(request.prompt, 4));
  EXPECT_EQ(fixture.sink.answers()[1].finish, FinishReason::kLength);
}

TEST(Engine, LogprobsComeWithEveryToken) {
  Fixture fixture;
  Request request = MakeRequest(1, 5, 8);
  request.sampling.top_logprobs = 4;
  ASSERT_TRUE(fixture.engine->Submit(request).ok());
  fixture.Drain();
  const Answer& answer = fixture.sink.answers()[1];
  ASSERT_EQ(answer.logprobs.size(), 8U);
  ASSERT_EQ(answer.top.size(), 32U);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(answer.top[i * 4].id, answer.tokens[i]);
    EXPECT_EQ(answer.top[i * 4].logprob, answer.logprobs[i]);
    EXPECT_GE(answer.top[i * 4].logprob, answer.top[i * 4 + 1].logprob);
    EXPECT_LT(answer.logprobs[i], 0.0F);
  }
}

TEST(Engine, RefusesWhatCanNeverRun) {
  Fixture fixture({.blocks = 8});  // 32 tokens of a context of 64
  const Status too_long = fixture.engine->Submit(MakeRequest(1, 64, 1));
  EXPECT_EQ(too_long.code(), Code::kInvalidArgument);
  EXPECT_EQ(too_long.message(), "the prompt has 64 tokens; with a context of 64 tokens it may have 63 at most");
  const Status too_large = fixture.engine->Submit(MakeRequest(2, 30, 10));
  EXPECT_EQ(too_large.code(), Code::kInvalidArgument);
  EXPECT_EQ(too_large.message(), "30 prompt tokens and up to 10 more need 10 KV blocks of 4 tokens; the pool has 8");
  EXPECT_TRUE(fixture.engine->Submit(MakeRequest(3, 22, 10)).ok());
  EXPECT_EQ(fixture.engine->Submit(MakeRequest(3, 2, 1)).code(), Code::kAlreadyExists);
}

TEST(Engine, RefusesNumbersOutOfRange) {
  Fixture fixture;
  const auto refused = [&](auto change) {
    Request request = MakeRequest(1, 3, 3);
    change(request);
    return fixture.engine->Submit(request).code() == Code::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](Request& r) { r.id = 0; }));
  EXPECT_TRUE(refused([](Request& r) { r.prompt.clear(); }));
  EXPECT_TRUE(refused([](Request& r) { r.prompt[1] = 101; }));
  EXPECT_TRUE(refused([](Request& r) { r.prompt[1] = -1; }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.temperature = -1; }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.temperature = std::numeric_limits<float>::quiet_NaN(); }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.top_p = 0; }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.min_p = 1.5F; }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.top_k = -1; }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.repetition_penalty = 0; }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.max_tokens = 0; }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.top_logprobs = 21; }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.logit_bias = {{101, 1.0F}}; }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.logit_bias = {{1, std::numeric_limits<float>::infinity()}}; }));
  EXPECT_TRUE(refused([](Request& r) { r.sampling.stop_tokens = {-2}; }));
  EXPECT_FALSE(refused([](Request&) {}));
}

TEST(Engine, FullQueueRefuses) {
  Fixture fixture({.slots = 1}, {.max_waiting = 2});
  ASSERT_TRUE(fixture.engine->Submit(MakeRequest(1, 3, 10)).ok());
  ASSERT_TRUE(fixture.engine->Step().ok());
  ASSERT_TRUE(fixture.engine->Submit(MakeRequest(2, 3, 10)).ok());
  ASSERT_TRUE(fixture.engine->Submit(MakeRequest(3, 3, 10)).ok());
  EXPECT_EQ(fixture.engine->Submit(MakeRequest(4, 3, 10)).code(), Code::kResourceExhausted);
  fixture.Drain();
  EXPECT_TRUE(fixture.engine->Submit(MakeRequest(4, 3, 10)).ok());
}

// Finished requests that nobody reads count too, or a reader that stopped would fill the memory.
TEST(Engine, UnreadAnswersAreBounded) {
  Fixture fixture({.slots = 1}, {.max_waiting = 2});
  Status status;
  RequestId id = 1;
  for (; status.ok() && id < 100; ++id) {
    status = fixture.engine->Submit(MakeRequest(id, 3, 2));
    while (fixture.engine->HasWork()) ASSERT_TRUE(fixture.engine->Step().ok());
  }
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_EQ(fixture.engine->Stats().unpublished, 3U);
  fixture.Drain();
  fixture.ExpectEmpty();
}

TEST(Engine, HigherPriorityGoesFirst) {
  Fixture fixture({.slots = 1});
  ASSERT_TRUE(fixture.engine->Submit(MakeRequest(1, 3, 4)).ok());
  ASSERT_TRUE(fixture.engine->Step().ok());
  Request urgent = MakeRequest(3, 3, 4);
  urgent.priority = 5;
  ASSERT_TRUE(fixture.engine->Submit(MakeRequest(2, 3, 4)).ok());
  ASSERT_TRUE(fixture.engine->Submit(urgent).ok());
  fixture.Drain();
  auto& answers = fixture.sink.answers();
  EXPECT_LT(answers[1].clocks.last_token, answers[3].clocks.scheduled);
  EXPECT_LT(answers[3].clocks.last_token, answers[2].clocks.scheduled);
}

// A long prompt comes in chunks, and the running sequence gets a token in each of those steps.
TEST(Engine, LongPromptDoesNotStopDecoding) {
  Fixture fixture({.blocks = 64, .context = 128}, {.prefill_chunk = 8});
  ASSERT_TRUE(fixture.engine->Submit(MakeRequest(1, 3, 60)).ok());
  ASSERT_TRUE(fixture.engine->Step().ok());
  fixture.engine->Publish(fixture.sink);
  ASSERT_TRUE(fixture.engine->Submit(MakeRequest(2, 80, 4)).ok());
  for (size_t step = 0; step < 10; ++step) {
    const size_t before = fixture.sink.answers()[1].tokens.size();
    ASSERT_TRUE(fixture.engine->Step().ok());
    fixture.engine->Publish(fixture.sink);
    EXPECT_EQ(fixture.sink.answers()[1].tokens.size(), before + 1);
    EXPECT_EQ(fixture.sink.answers()[2].tokens.size(), step == 9 ? 1U : 0U);
  }
  EXPECT_EQ(fixture.runner->largest_span(), 8U);
  EXPECT_EQ(fixture.runner->largest_step(), 9U);
  fixture.Drain();
}

// A machine that is too slow for the chunk gets smaller ones, and a first guess from the size of the weights.
TEST(Engine, PrefillStaysWithinTheTimeOfAStep) {
  Fixture fixture({.blocks = 200, .context = 500, .max_batch_tokens = 500, .weight_bytes = 500'000, .token_ns = 100'000},
                  {.prefill_chunk = 256, .target_step_ns = 5'000'000});
  ASSERT_TRUE(fixture.engine->Submit(MakeRequest(1, 450, 2)).ok());
  ASSERT_TRUE(fixture.engine->Step().ok());
  EXPECT_EQ(fixture.runner->largest_span(), 250U);
  fixture.Drain();
  EXPECT_EQ(fixture.sink.answers()[1].tokens, ExpectedGreedy(MakeRequest(1, 450, 2).prompt, 2));
  EXPECT_GT(fixture.runner->launches(), 4U) << "50 tokens are what a step has time for";
}

TEST(Engine, FailedStepEndsWhoRunsAndSparesWhoWaits) {
  Fixture fixture({.slots = 2});
  fixture.runner->FailAt(4);
  for (RequestId id = 1; id <= 3; ++id) ASSERT_TRUE(fixture.engine->Submit(MakeRequest(id, 3, 10)).ok());
  for (int step = 0; step < 3; ++step) ASSERT_TRUE(fixture.engine->Step().ok());
  const Status failed = fixture.engine->Step();
  EXPECT_EQ(failed.code(), Code::kUnavailable);
  EXPECT_EQ(std::vector<RequestId>(fixture.engine->RunningIds().begin(), fixture.engine->RunningIds().end()),
            (std::vector<RequestId>{1, 2}));
  fixture.Drain();
  for (const RequestId id : {RequestId{1}, RequestId{2}}) {
    const Answer& answer = fixture.sink.answers()[id];
    EXPECT_EQ(answer.finish, FinishReason::kError);
    EXPECT_EQ(answer.error.message(), "the device is gone");
    EXPECT_EQ(answer.tokens, ExpectedGreedy(MakeRequest(id, 3, 10).prompt, 3));
  }
  EXPECT_EQ(fixture.sink.answers()[3].tokens, ExpectedGreedy(MakeRequest(3, 3, 10).prompt, 10));
  fixture.ExpectEmpty();
}

TEST(Engine, LogitsThatAreNoNumbersFailTheRequest) {
  for (const uint32_t depth : {1U, 2U}) {
    Fixture fixture({.depth = depth});
    fixture.runner->SetLogits(std::numeric_limits<float>::quiet_NaN());
    ASSERT_TRUE(fixture.engine->Submit(MakeRequest(1, 3, 10)).ok());
    fixture.Drain();
    EXPECT_EQ(fixture.sink.answers()[1].finish, FinishReason::kError);
    EXPECT_EQ(fixture.sink.answers()[1].error.code(), Code::kInternal);
    fixture.ExpectEmpty();
  }
}

TEST(Engine, PassedDeadlineEndsTheRequest) {
  Fixture fixture({.slots = 1});
  Request late = MakeRequest(2, 3, 10);
  late.deadline_ns = 1;
  Request early = MakeRequest(1, 3, 10);
  early.deadline_ns = MonotonicNs() + 3'600'000'000'000;
  ASSERT_TRUE(fixture.engine->Submit(early).ok());
  ASSERT_TRUE(fixture.engine->Submit(late).ok());
  fixture.Drain();
  EXPECT_EQ(fixture.sink.answers()[1].finish, FinishReason::kLength);
  EXPECT_EQ(fixture.sink.answers()[2].error.code(), Code::kDeadlineExceeded);
}

TEST(Engine, FullSinkDelaysAndLosesNothing) {
  Fixture fixture({.blocks = 200, .context = 700}, {});
  const Request request = MakeRequest(1, 5, 600);
  ASSERT_TRUE(fixture.engine->Submit(request).ok());
  fixture.sink.set_room(0);
  while (fixture.engine->HasWork()) {
    ASSERT_TRUE(fixture.engine->Step().ok());
    EXPECT_FALSE(fixture.engine->Publish(fixture.sink));
  }
  fixture.sink.set_room(1);
  EXPECT_FALSE(fixture.engine->Publish(fixture.sink));
  fixture.sink.set_room(-1);
  EXPECT_TRUE(fixture.engine->Publish(fixture.sink));
  EXPECT_EQ(fixture.sink.answers()[1].tokens, ExpectedGreedy(request.prompt, 600));
  fixture.ExpectEmpty();
}

TEST(Engine, MeanBatchCountsTheRowsBeside) {
  Fixture fixture;
  ASSERT_TRUE(fixture.engine->Submit(MakeRequest(1, 4, 10)).ok());
  ASSERT_TRUE(fixture.engine->Submit(MakeRequest(2, 4, 10)).ok());
  fixture.Drain();
  EXPECT_EQ(fixture.sink.answers()[1].usage.mean_batch, 2.0);
  EXPECT_EQ(fixture.sink.answers()[2].usage.decode_steps, 9U);
}

TEST(Engine, StepIdsAreKnownBeforeTheStep) {
  std::vector<std::vector<RequestId>> seen;
  EngineOptions options;
  options.on_step = [&seen](std::span<const RequestId> ids) { seen.emplace_back(ids.begin(), ids.end()); };
  Fixture fixture({}, options);
  fixture.runner->FailAt(1);
  ASSERT_TRUE(fixture.engine->Submit(MakeRequest(7, 4, 10)).ok());
  EXPECT_FALSE(fixture.engine->Step().ok());
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0], (std::vector<RequestId>{7}));
}

TEST(Engine, RefusesARunnerThatCannotWork) {
  EXPECT_EQ(Engine::Create(std::make_unique<FakeRunner>(FakeRunnerOptions{.slots = 0}), {}).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(Engine::Create(std::make_unique<FakeRunner>(FakeRunnerOptions{}), {.end_of_sequence = {101}}).status().code(),
            Code::kInvalidArgument);
}

}  // namespace
}  // namespace millrace::engine
