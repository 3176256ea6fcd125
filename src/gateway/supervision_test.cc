// Workers that die, hang, lie and do not fit, and what the gateway makes of it.
#include <gtest/gtest.h>

#include <algorithm>

#include "gateway/testing/sim_gateway.h"

namespace millrace::gateway {
namespace {

using namespace millrace::gateway::testing;

ipc::Tokens Event(RequestId request, uint32_t first_index, TokenId token) {
  ipc::Tokens event;
  event.request = request;
  event.first_index = first_index;
  event.tokens = {token};
  return event;
}

ipc::Hello Hello() {
  ipc::Hello hello;
  hello.vocabulary_size = hello.threads = hello.slots = hello.context = hello.block_tokens = hello.blocks = 1;
  return hello;
}

// A death concerns those in the worker's hands; who waits is served by the next worker.
TEST(Worker, WaitingRequestsSurviveADeath) {
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.slots = 1;
  worker.step_ns = 100 * kMs;
  SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
  sim.WaitReady();
  SimClient& first = sim.Post(kChat, ChatBody("abcdefghijklmnop", R"("stream":true)"));
  ASSERT_TRUE(sim.RunUntil([&] { return sim.model().running == 1; }));
  SimClient& second = sim.Post(kChat, ChatBody("xyz", R"("stream":true)"));
  ASSERT_TRUE(sim.RunUntil([&] { return sim.model().waiting == 1; }));
  sim.launcher().current()->Die();
  EXPECT_EQ(ReadChatEvents(sim.Finish(first).body).errors, 1);
  EXPECT_EQ(ReadChatEvents(sim.Finish(second).body).content, "zyx");
}

TEST(Worker, DeathEndsItsStreamsAtOnceAndTheNextRequestIsServed) {
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.step_ns = 20 * kMs;
  SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
  sim.WaitReady();
  SimClient& client = sim.Post(kChat, ChatBody("abcdefghijklmnopqrstuvwxyz", R"("stream":true)"));
  ASSERT_TRUE(sim.RunUntil([&] { return client.bytes().find("\"content\":\"z") != std::string::npos; }));
  const int64_t died = sim.loop().NowNs();
  sim.launcher().current()->Die();
  const Answer answer = sim.Finish(client);
  EXPECT_LT(sim.loop().NowNs() - died, 50 * kMs);
  EXPECT_TRUE(answer.whole);
  const ChatEvents events = ReadChatEvents(answer.body);
  EXPECT_EQ(events.errors, 1);
  EXPECT_EQ(events.finishes, 0) << "a cut answer never looks like a finished one";
  EXPECT_EQ(events.error_code, "unavailable");
  EXPECT_EQ(sim.model().state, ModelState::kBackoff);
  EXPECT_NE(sim.model().cause.find("signal 9"), std::string::npos);
  sim.WaitReady();
  EXPECT_LT(sim.loop().NowNs() - died, kSecond);
  EXPECT_EQ(sim.model().incarnations, 2U);
  EXPECT_EQ(sim.Ask(kChat, ChatBody("abc")).status, 200);
}

TEST(Worker, ADeathBeforeTheReplyIsA503) {
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.step_ns = kSecond;
  SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
  sim.WaitReady();
  SimClient& client = sim.Post(kChat, ChatBody("abc"));
  ASSERT_TRUE(sim.RunUntil([&] { return sim.model().running == 1; }));
  sim.launcher().current()->Die();
  const Answer answer = sim.Finish(client);
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(answer.head.find("Retry-After: "), std::string::npos);
}

TEST(Worker, ARequestThatKillsTwiceIsQuarantined) {
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
  for (int i = 0; i < 2; ++i) {
    sim.WaitReady();
    sim.launcher().options().faults.die = 1;
    EXPECT_EQ(sim.Ask(kChat, ChatBody("poison")).status, 503);
    sim.launcher().options().faults.die = 0;
  }
  sim.WaitReady();
  const Answer refused = sim.Ask(kChat, ChatBody("poison"));
  EXPECT_EQ(refused.status, 500);
  EXPECT_EQ(ErrorField(refused, "code"), "request_quarantined");
  EXPECT_NE(refused.head.find("x-should-retry: false"), std::string::npos);
  EXPECT_EQ(sim.Ask(kChat, ChatBody("harmless")).status, 200);
}

TEST(Worker, GarbageKillsItAndNotTheGateway) {
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.step_ns = 20 * kMs;
  SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
  const std::vector<ipc::ToGateway> lies = {
      Hello(),
      ipc::Loading{.done = 1, .total = 2},
      Event(1'000'000, 0, 5),
      ipc::Failed{.request = 1'000'000, .message = "x"},
  };
  for (const ipc::ToGateway& lie : lies) {
    sim.WaitReady();
    const uint32_t before = sim.model().incarnations;
    SimClient& client = sim.Post(kChat, ChatBody("abcdefgh", R"("stream":true)"));
    ASSERT_TRUE(sim.RunUntil([&] { return client.bytes().find("\"content\":\"h") != std::string::npos; }));
    sim.launcher().current()->PushRaw(lie);
    EXPECT_EQ(ReadChatEvents(sim.Finish(client).body).errors, 1);
    sim.WaitReady();
    EXPECT_EQ(sim.model().incarnations, before + 1) << "message " << lie.index();
  }
}

TEST(Worker, TokensThatSkipOrRepeatAreNotBelieved) {
  for (const uint32_t first_index : {0U, 7U}) {
    SimWorkerOptions worker = SimGateway::DefaultWorker();
    worker.step_ns = 20 * kMs;
    SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
    sim.WaitReady();
    SimClient& client = sim.Post(kChat, ChatBody("abcdefghijklmnopqrst", R"("stream":true)"));
    ASSERT_TRUE(sim.RunUntil([&] { return client.bytes().find("\"content\":\"t") != std::string::npos; }));
    sim.launcher().current()->PushRaw(Event(1, first_index, 65));
    const ChatEvents events = ReadChatEvents(sim.Finish(client).body);
    EXPECT_EQ(events.errors, 1);
    EXPECT_EQ(events.content.find('A'), std::string::npos);
  }
}

TEST(Worker, AMisfitIsRefusedWithBothValues) {
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.build_id = "other";
  SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
  ASSERT_TRUE(sim.RunUntil([&] { return sim.model().state == ModelState::kFailed; }));
  EXPECT_NE(sim.model().cause.find("'other'"), std::string::npos);
  EXPECT_NE(sim.model().cause.find("'build'"), std::string::npos);
  const Answer answer = sim.Ask(kChat, ChatBody("a"));
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(ErrorField(answer, "code"), "model_failed");
  EXPECT_NE(answer.head.find("x-should-retry: false"), std::string::npos);
  EXPECT_EQ(sim.launcher().launches(), 1);

  SimWorkerOptions other_words = SimGateway::DefaultWorker();
  other_words.vocabulary_fingerprint ^= 1;
  SimGateway second({}, SimGateway::DefaultOptions(), std::move(other_words));
  ASSERT_TRUE(second.RunUntil([&] { return second.model().state == ModelState::kFailed; }));
  EXPECT_NE(second.model().cause.find("fingerprint"), std::string::npos);
}

TEST(Worker, AHangIsNoticed) {
  SimGateway sim;
  sim.WaitReady();
  sim.launcher().current()->Stall();
  SimClient& client = sim.Post(kChat, ChatBody("abc", R"("stream":true)"));
  const int64_t begin = sim.loop().NowNs();
  const ChatEvents events = ReadChatEvents(sim.Finish(client).body);
  EXPECT_EQ(events.errors, 1);
  EXPECT_GE(sim.loop().NowNs() - begin, 10 * kSecond);
  EXPECT_LT(sim.loop().NowNs() - begin, 12 * kSecond);
  EXPECT_NE(sim.model().cause.find("hangs"), std::string::npos);
}

// A worker that does not take its mail: what no longer fits into the ring is refused at once, the rest ends when the hang is noticed.
TEST(Worker, AFullRingIsA503) {
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.slots = 1000;
  GatewayOptions options = SimGateway::DefaultOptions();
  options.models[0].max_waiting = 0;
  SimGateway sim({}, std::move(options), std::move(worker));
  sim.WaitReady();
  sim.launcher().current()->Stall();
  // 4 MiB hold some 260 of these prompts of 4 bytes a token.
  std::vector<SimClient*> clients;
  clients.reserve(300);
  for (int i = 0; i < 300; ++i) clients.push_back(&sim.Post(kChat, ChatBody(std::string(4000, 'x'), R"("stream":true)")));
  sim.loop().RunFor(5 * kSecond);
  const auto refused = std::count_if(clients.begin(), clients.end(), [](const SimClient* client) { return client->done(); });
  EXPECT_GT(refused, 10);
  EXPECT_LT(refused, 100);
  EXPECT_EQ(sim.model().running + static_cast<size_t>(refused), clients.size());
  for (const SimClient* client : clients) {
    const Answer answer = sim.Finish(*client);
    if (answer.status == 503) {
      EXPECT_EQ(ErrorField(answer, "code"), "overloaded");
      EXPECT_NE(answer.head.find("Retry-After: "), std::string::npos);
    } else {
      EXPECT_EQ(ReadChatEvents(answer.body).errors, 1);
    }
  }
  sim.WaitReady();
  EXPECT_EQ(sim.Ask(kChat, ChatBody("abc")).status, 200);
}

TEST(Worker, SilenceWithoutWorkIsNoHang) {
  SimGateway sim;
  sim.WaitReady();
  sim.loop().RunFor(60 * kSecond);
  EXPECT_EQ(sim.model().state, ModelState::kReady);
  EXPECT_EQ(sim.model().incarnations, 1U);
}

TEST(Worker, OneThatNeverSaysHelloIsReplaced) {
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.faults.mute = 1;
  SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
  ASSERT_TRUE(sim.RunUntil([&] { return sim.launcher().launches() == 2; }));
  EXPECT_GE(sim.loop().NowNs(), 60 * kSecond);
  sim.launcher().options().faults.mute = 0;
  sim.WaitReady();
}

TEST(Worker, ACrashLoopFailsTheModelAndIsTriedAgainMuchLater) {
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.faults.die_while_loading = 1;
  SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
  ASSERT_TRUE(sim.RunUntil([&] { return sim.model().state == ModelState::kFailed; }));
  EXPECT_EQ(sim.launcher().launches(), 5);
  EXPECT_GE(sim.loop().NowNs(), 1200 * kMs) << "0.1 + 0.2 + 0.4 + 0.8 s of back-off, less the jitter";
  EXPECT_NE(sim.model().cause.find("5 deaths in a row"), std::string::npos);
  EXPECT_NE(sim.model().cause.find("exit code 1"), std::string::npos);
  sim.launcher().options().faults.die_while_loading = 0;
  sim.loop().RunFor(200 * kSecond);
  EXPECT_EQ(sim.model().state, ModelState::kFailed);
  sim.loop().RunFor(120 * kSecond);
  EXPECT_EQ(sim.model().state, ModelState::kReady);
}

TEST(Worker, WhoWaitsIsToldWhenTheModelFails) {
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.slots = 1;
  worker.step_ns = 100 * kMs;
  SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
  sim.WaitReady();
  sim.Post(kChat, ChatBody("abcdefgh", R"("stream":true)"));
  ASSERT_TRUE(sim.RunUntil([&] { return sim.model().running == 1; }));
  SimClient& waiting = sim.Post(kChat, ChatBody("x"));
  ASSERT_TRUE(sim.RunUntil([&] { return sim.model().waiting == 1; }));
  sim.launcher().options().faults.cannot_start = 1;
  sim.launcher().current()->Die();
  EXPECT_EQ(sim.Finish(waiting).status, 503);
  EXPECT_LT(sim.loop().NowNs(), 20 * kSecond);
}

TEST(Worker, DeathsWithProgressAreNoCrashLoop) {
  SimGateway sim;
  for (int i = 0; i < 8; ++i) {
    sim.WaitReady();
    EXPECT_EQ(sim.Ask(kChat, ChatBody("abc")).status, 200);
    sim.launcher().current()->Die();
    ASSERT_TRUE(sim.RunUntil([&] { return sim.model().state == ModelState::kBackoff; }));
  }
}

TEST(Worker, AProgramThatCannotStartIsACrashLoopToo) {
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.faults.cannot_start = 1;
  SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
  ASSERT_TRUE(sim.RunUntil([&] { return sim.model().state == ModelState::kFailed; }));
  EXPECT_NE(sim.model().cause.find("cannot be started: no such program"), std::string::npos);
}

}  // namespace
}  // namespace millrace::gateway
