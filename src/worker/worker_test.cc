// The worker's loop over a real ring in plain memory, with an engine whose model is a hash.
#include "worker/worker.h"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "engine/fake_runner.h"
#include "ipc/messages.h"

namespace millrace::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What was said about one request.
struct Answer {
  std::vector<TokenId> tokens;
  std::vector<ipc::TokenLogprobs> logprobs;
  FinishReason finish = FinishReason::kNone;
  std::optional<ipc::Failed> failed;
  std::optional<ipc::Usage> usage;
  ipc::HopClocks clocks;

  bool over() const { return finish != FinishReason::kNone || failed.has_value(); }
};

ipc::Submit MakeSubmit(RequestId id, size_t prompt_tokens, uint32_t max_tokens) {
  ipc::Submit submit;
  submit.request = id;
  for (size_t i = 0; i < prompt_tokens; ++i) submit.prompt.push_back(static_cast<TokenId>((id * 31 + i * 7) % 101));
  submit.sampling.temperature = 0;
  submit.sampling.ignore_eos = true;
  submit.sampling.max_tokens = max_tokens;
  return submit;
}

class WorkerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::tie(gateway_, channel_) = ipc::HeapChannel::Create();
    auto sockets = ControlSocket::CreatePair();
    ASSERT_TRUE(sockets.ok());
    std::tie(control_, worker_control_) = std::move(sockets).value();
  }

  void TearDown() override {
    control_.Close();
    if (thread_.joinable()) thread_.join();
  }

  // Before Start.
  engine::FakeRunner& MakeEngine(const engine::FakeRunnerOptions& runner_options) {
    auto runner = std::make_unique<engine::FakeRunner>(runner_options);
    engine::FakeRunner& fake = *runner;
    engine::EngineOptions options;
    options.on_step = [this, blame = BlameIn(channel_.vitals())](std::span<const RequestId> ids) mutable {
      blame(ids);
      blamed_in_step_ = gateway_.signs().Blamed();
    };
    model_.engine = std::move(engine::Engine::Create(std::move(runner), std::move(options))).value();
    return fake;
  }

  void Start(const engine::FakeRunnerOptions& runner_options = {}) {
    if (model_.engine == nullptr) MakeEngine(runner_options);
    thread_ = std::thread([this] { status_ = Worker(channel_, worker_control_, model_).Run(); });
  }

  const Status& Join() {
    thread_.join();
    return status_;
  }

  bool Send(const ipc::ToWorker& message) { return ipc::Push(gateway_.down(), message); }

  // The next message, or nothing within the time.
  std::optional<ipc::ToGateway> Next(milliseconds timeout = seconds(10)) {
    const int64_t end = MonotonicNs() + timeout.count() * 1'000'000;
    do {
      const auto popped = gateway_.up().TryPop(record_);
      EXPECT_TRUE(popped.ok()) << popped.status().ToString();
      if (popped.ok() && *popped) {
        auto message = ipc::ReadToGateway(record_);
        EXPECT_TRUE(message.ok()) << message.status().ToString();
        return std::move(message).value();
      }
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    } while (MonotonicNs() < end);
    return std::nullopt;
  }

  void Book(const ipc::ToGateway& message) {
    if (const auto* failed = std::get_if<ipc::Failed>(&message)) {
      EXPECT_FALSE(answers_[failed->request].over());
      answers_[failed->request].failed = *failed;
    } else if (const auto* tokens = std::get_if<ipc::Tokens>(&message)) {
      Answer& answer = answers_[tokens->request];
      EXPECT_FALSE(answer.over()) << "an event after the end";
      EXPECT_EQ(tokens->first_index, answer.tokens.size());
      answer.tokens.insert(answer.tokens.end(), tokens->tokens.begin(), tokens->tokens.end());
      answer.logprobs.insert(answer.logprobs.end(), tokens->logprobs.begin(), tokens->logprobs.end());
      answer.finish = tokens->finish;
      answer.usage = tokens->usage;
      answer.clocks = tokens->clocks;
      EXPECT_TRUE(tokens->usage) << "an answer may end at the gateway after any event";
      EXPECT_GE(tokens->usage.value_or(ipc::Usage{}).completion_tokens, answer.tokens.size());
    }
  }

  const Answer& Await(RequestId request) {
    while (!answers_[request].over()) {
      const auto message = Next();
      if (!message) {
        ADD_FAILURE() << "no end of request " << request;
        break;
      }
      Book(*message);
    }
    return answers_[request];
  }

  static std::vector<TokenId> ExpectedGreedy(std::vector<TokenId> history, size_t count) {
    const auto prompt = static_cast<ptrdiff_t>(history.size());
    std::vector<float> logits(101);
    for (size_t i = 0; i < count; ++i) {
      engine::FakeLogits(history, logits);
      history.push_back(static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    }
    return {history.begin() + prompt, history.end()};
  }

  ipc::GatewayChannel gateway_;
  ipc::WorkerChannel channel_;
  ControlSocket control_;
  ControlSocket worker_control_;
  LoadedModel model_;
  std::thread thread_;
  Status status_;
  ipc::Record record_;
  std::map<RequestId, Answer> answers_;
  std::vector<RequestId> blamed_in_step_;  // written by the worker's thread
};

TEST_F(WorkerTest, AnswersWithEveryTokenClockAndFigure) {
  Start();
  ipc::Submit submit = MakeSubmit(7, 9, 20);
  submit.sampling.top_logprobs = 2;
  submit.clocks.received = 11;
  submit.clocks.submitted = 15;
  const int64_t before = MonotonicNs();
  ASSERT_TRUE(Send(submit));
  const Answer& answer = Await(7);
  EXPECT_EQ(answer.tokens, ExpectedGreedy(submit.prompt, 20));
  EXPECT_EQ(answer.finish, FinishReason::kLength);
  ASSERT_EQ(answer.logprobs.size(), 20U);
  EXPECT_EQ(answer.logprobs[19].top.size(), 2U);
  EXPECT_EQ(answer.logprobs[19].top[0].first, answer.tokens[19]);
  EXPECT_EQ(answer.clocks.received, 11);
  EXPECT_EQ(answer.clocks.submitted, 15);
  EXPECT_GE(answer.clocks.drained, before);
  EXPECT_GE(answer.clocks.scheduled, answer.clocks.drained);
  EXPECT_GE(answer.clocks.first_token, answer.clocks.scheduled);
  EXPECT_GE(answer.clocks.last_token, answer.clocks.first_token);
  ASSERT_TRUE(answer.usage);
  EXPECT_EQ(answer.usage->prompt_tokens, 9U);
  EXPECT_EQ(answer.usage->completion_tokens, 20U);
  EXPECT_EQ(answer.usage->decode_steps, 19U);
  EXPECT_EQ(answer.usage->decode_bytes, 19U * 1010U);
}

TEST_F(WorkerTest, RefusesWhatItDoesNotHonourByName) {
  Start();
  const std::pair<const char*, void (*)(ipc::Submit&)> fields[] = {
      {"supersede_group", [](ipc::Submit& s) { s.supersede_group = 4; }},
      {"cache_salt", [](ipc::Submit& s) { s.cache_salt = 4; }},
      {"adapter", [](ipc::Submit& s) { s.adapter = 0; }},
      {"choices", [](ipc::Submit& s) { s.choices = 2; }},
      {"output", [](ipc::Submit& s) { s.output = ipc::SubmitOutput::kHidden; }},
      {"forced", [](ipc::Submit& s) { s.forced = {1}; }},
      {"emitted_tokens",
       [](ipc::Submit& s) {
         s.forced = {1};
         s.emitted_tokens = 1;
       }},
  };
  RequestId id = 1;
  for (const auto& [name, set] : fields) {
    ipc::Submit submit = MakeSubmit(id, 3, 3);
    set(submit);
    ASSERT_TRUE(Send(submit));
    const Answer& answer = Await(id++);
    ASSERT_TRUE(answer.failed) << name;
    EXPECT_EQ(answer.failed->code, Code::kUnsupported);
    EXPECT_EQ(answer.failed->message.rfind(std::string(name) + ":", 0), 0U) << answer.failed->message;
  }
  ASSERT_TRUE(Send(MakeSubmit(id, 3, 3)));
  EXPECT_EQ(Await(id).finish, FinishReason::kLength);
}

TEST_F(WorkerTest, RefusesWhatCannotFitWithNumbers) {
  Start();
  ASSERT_TRUE(Send(MakeSubmit(1, 64, 3)));
  const Answer& answer = Await(1);
  ASSERT_TRUE(answer.failed);
  EXPECT_EQ(answer.failed->code, Code::kInvalidArgument);
  EXPECT_NE(answer.failed->message.find("64 tokens"), std::string::npos);
}

TEST_F(WorkerTest, CancelEndsARunningAndAWaitingRequest) {
  Start({.slots = 1, .blocks = 20000, .context = 60000});
  ASSERT_TRUE(Send(MakeSubmit(1, 3, 50000)));
  ASSERT_TRUE(Send(MakeSubmit(2, 3, 3)));
  while (answers_[1].tokens.empty()) Book(*Next());
  ASSERT_TRUE(Send(ipc::Cancel{2}));
  EXPECT_EQ(Await(2).finish, FinishReason::kCancelled);
  EXPECT_TRUE(answers_[2].tokens.empty());
  ASSERT_TRUE(Send(ipc::Cancel{1}));
  EXPECT_EQ(Await(1).finish, FinishReason::kCancelled);
  ASSERT_TRUE(Send(ipc::Cancel{77}));
  ASSERT_TRUE(Send(MakeSubmit(3, 3, 3)));
  EXPECT_EQ(Await(3).finish, FinishReason::kLength);
}

TEST_F(WorkerTest, GarbageEndsTheWorker) {
  Start();
  const std::byte junk[3] = {};
  ASSERT_TRUE(gateway_.down().TryPush(4711, junk).value());
  EXPECT_EQ(Join().code(), Code::kDataLoss);
}

TEST_F(WorkerTest, ARepeatedIdEndsTheWorker) {
  Start({.blocks = 20000, .context = 60000});
  ASSERT_TRUE(Send(MakeSubmit(1, 3, 50000)));
  ASSERT_TRUE(Send(MakeSubmit(1, 3, 3)));
  EXPECT_EQ(Join().code(), Code::kDataLoss);
}

// Nobody reads while eight requests make far more events than the ring holds; afterwards every token is there.
TEST_F(WorkerTest, FullRingDelaysAndLosesNothing) {
  Start({.slots = 8, .blocks = 3000, .context = 900});
  for (RequestId id = 1; id <= 8; ++id) {
    ipc::Submit submit = MakeSubmit(id, 5, 700);
    submit.sampling.top_logprobs = 20;
    ASSERT_TRUE(Send(submit));
  }
  const int64_t end = MonotonicNs() + 20'000'000'000;
  while (gateway_.signs().Get(ipc::WorkerStat::kDecodedTokens) < 8 * 699 && MonotonicNs() < end) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  std::this_thread::sleep_for(milliseconds(20));
  for (RequestId id = 1; id <= 8; ++id) {
    const Answer& answer = Await(id);
    EXPECT_EQ(answer.tokens, ExpectedGreedy(MakeSubmit(id, 5, 1).prompt, 700));
    EXPECT_EQ(answer.logprobs.size(), 700U);
  }
  // Tokens that waited share an event; one event for each would mean that the ring never was full.
  EXPECT_LT(gateway_.up().sequence(), 8U * 700U);
}

TEST_F(WorkerTest, RefusalsWaitForRoomToo) {
  Start();
  constexpr RequestId kRequests = 20000;
  RequestId sent = 0;
  ipc::Submit bad = MakeSubmit(1, 1, 3);
  bad.choices = 2;
  for (RequestId id = 1; id <= kRequests; ++id) {
    bad.request = id;
    while (!Send(bad)) {
      const auto message = Next();
      ASSERT_TRUE(message);
      Book(*message);
    }
    ++sent;
  }
  for (RequestId id = 1; id <= sent; ++id) ASSERT_TRUE(Await(id).failed);
}

TEST_F(WorkerTest, ShutdownLetsRunningRequestsFinish) {
  Start({.blocks = 1000, .context = 2000});
  ASSERT_TRUE(Send(MakeSubmit(1, 3, 1500)));
  while (answers_[1].tokens.empty()) Book(*Next());
  ASSERT_TRUE(Send(ipc::Shutdown{.drain_ns = 60'000'000'000}));
  ASSERT_TRUE(Send(MakeSubmit(2, 3, 3)));
  EXPECT_EQ(Await(1).finish, FinishReason::kLength);
  ASSERT_TRUE(Await(2).failed);
  EXPECT_EQ(answers_[2].failed->code, Code::kUnavailable);
  EXPECT_TRUE(Join().ok());
}

TEST_F(WorkerTest, ShutdownDoesNotWaitLongerThanItMay) {
  Start({.blocks = 40000, .context = 100000});
  ASSERT_TRUE(Send(MakeSubmit(1, 3, 90000)));
  while (answers_[1].tokens.empty()) Book(*Next());
  ASSERT_TRUE(Send(ipc::Shutdown{.drain_ns = std::numeric_limits<int64_t>::max()}));
  ASSERT_TRUE(Send(ipc::Shutdown{.drain_ns = 1'000'000}));
  EXPECT_TRUE(Join().ok());
}

TEST_F(WorkerTest, EndsWhenTheGatewayIsGone) {
  Start();
  std::this_thread::sleep_for(milliseconds(20));
  control_.Close();
  const int64_t start = MonotonicNs();
  EXPECT_TRUE(Join().ok());
  EXPECT_LT(MonotonicNs() - start, 2'000'000'000);
}

TEST_F(WorkerTest, EndsWhenTheGatewayGoesDuringWork) {
  Start({.blocks = 40000, .context = 100000});
  ASSERT_TRUE(Send(MakeSubmit(1, 3, 90000)));
  while (answers_[1].tokens.empty()) Book(*Next());
  control_.Close();
  EXPECT_TRUE(Join().ok());
}

TEST_F(WorkerTest, ChargesTheStepToItsRequests) {
  MakeEngine({}).FailAt(3);
  Start();
  ASSERT_TRUE(Send(MakeSubmit(5, 3, 20)));
  const Answer& answer = Await(5);
  ASSERT_TRUE(answer.failed);
  EXPECT_EQ(answer.failed->code, Code::kUnavailable);
  EXPECT_EQ(answer.failed->message, "the device is gone");
  EXPECT_EQ(answer.tokens.size(), 2U);
  ASSERT_TRUE(Send(ipc::Shutdown{}));
  EXPECT_TRUE(Join().ok());
  EXPECT_EQ(blamed_in_step_, (std::vector<RequestId>{5}));
  EXPECT_TRUE(gateway_.signs().Blamed().empty());
  EXPECT_EQ(gateway_.signs().step(), 3U);
}

TEST_F(WorkerTest, HeartBeatsWhileIdle) {
  Start();
  const uint64_t first = gateway_.signs().heartbeat();
  const int64_t end = MonotonicNs() + 5'000'000'000;
  while (gateway_.signs().heartbeat() < first + 3 && MonotonicNs() < end) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_GE(gateway_.signs().heartbeat(), first + 3);
}

TEST_F(WorkerTest, ReportsWhatItHolds) {
  Start();
  ASSERT_TRUE(Send(MakeSubmit(1, 20, 5)));
  Await(1);
  ASSERT_TRUE(Send(ipc::Shutdown{}));
  Join();
  const ipc::WorkerSigns& signs = gateway_.signs();
  EXPECT_EQ(signs.Get(ipc::WorkerStat::kFreeSlots), 4U);
  EXPECT_EQ(signs.Get(ipc::WorkerStat::kFreeBlocks), 32U);
  EXPECT_EQ(signs.Get(ipc::WorkerStat::kTotalBlocks), 32U);
  EXPECT_EQ(signs.Get(ipc::WorkerStat::kPrefilledTokens), 20U);
  EXPECT_EQ(signs.Get(ipc::WorkerStat::kDecodedTokens), 4U);
  EXPECT_EQ(signs.Get(ipc::WorkerStat::kBytesRead), 5U * 1010U);
  EXPECT_EQ(signs.Get(ipc::WorkerStat::kStepStartedNs), 0U);
  EXPECT_GT(signs.Get(ipc::WorkerStat::kPrefillTokensPerS), 0U);
}

TEST_F(WorkerTest, MeasuresTheRoofOnceWhileIdle) {
  kernels::ThreadPool pool(1);
  model_.pool = &pool;
  model_.kernels = &kernels::TableFor(kernels::BestIsa());
  model_.bytes_per_token = (size_t{3} << 20) + 1;
  Start();
  const auto message = Next();
  ASSERT_TRUE(message);
  const auto* roof = std::get_if<ipc::Roof>(&*message);
  ASSERT_NE(roof, nullptr);
  EXPECT_EQ(roof->buffer_bytes, (size_t{3} << 20) + 64);
  EXPECT_EQ(roof->threads, 1U);
  EXPECT_GT(roof->gb_s, 0.01);
  EXPECT_LT(roof->gb_s, 10000);
  EXPECT_FALSE(Next(milliseconds(300)));
}

}  // namespace
}  // namespace millrace::worker
