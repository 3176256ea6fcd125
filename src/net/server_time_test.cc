// Slow clients, streams and clients that leave: the server against the simulated clock.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/server.h"
#include "net/sim_loop.h"
#include "net/sse.h"
#include "net/testing/server_world.h"

namespace millrace::net {
namespace {

using namespace testing;

// ---- time

TEST(Server, AHeadThatDripsIsCutAtTenSeconds) {
  World world;
  auto client = world.Connect();
  for (int i = 0; i < 9; ++i) {
    client->Send(kGet.substr(static_cast<size_t>(i), 1));
    world.loop->RunFor(1000 * kMs);
  }
  EXPECT_EQ(client->status(), 0);
  world.loop->RunFor(1100 * kMs);
  EXPECT_EQ(client->status(), 408);
  EXPECT_TRUE(client->Has("Connection: close"));
  world.loop->RunFor(3000 * kMs);
  EXPECT_TRUE(client->closed());
  EXPECT_EQ(world.server->stats().connections, 0U);
}

TEST(Server, SilentConnectionsAreClosedWithoutAWord) {
  World world;
  auto fresh = world.Connect();
  auto idle = world.Ask(kGet);
  idle->received.clear();
  world.loop->RunFor(9900 * kMs);
  EXPECT_FALSE(fresh->closed());
  world.loop->RunFor(200 * kMs);
  EXPECT_TRUE(fresh->ended);
  EXPECT_EQ(fresh->received, "");
  world.loop->RunFor(64'000 * kMs);
  EXPECT_FALSE(idle->closed());
  world.loop->RunFor(2'000 * kMs);
  EXPECT_TRUE(idle->ended);
  EXPECT_EQ(idle->received, "");
}

TEST(Server, ASecondHeadHasTenSecondsFromItsFirstByte) {
  World world;
  auto client = world.Ask(kGet);
  client->received.clear();
  world.loop->RunFor(60'000 * kMs);
  client->Send("GET");
  world.loop->RunFor(9'500 * kMs);
  EXPECT_EQ(client->status(), 0);
  world.loop->RunFor(1'000 * kMs);
  EXPECT_EQ(client->status(), 408);
}

TEST(Server, BodiesNeedAPaceAndAnEnd) {
  const auto drip = [](size_t bytes_per_second, int64_t length) {
    World world;
    auto client = world.Connect();
    client->Send(fmt::format("POST /echo/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", length));
    int seconds = 0;
    for (; seconds < 200 && client->status() == 0; ++seconds) {
      client->Send(std::string(bytes_per_second, 'x'));
      world.loop->RunFor(1000 * kMs);
    }
    EXPECT_EQ(client->status(), 408);
    return seconds;
  };
  EXPECT_NEAR(drip(100, 1'000'000), 11, 1);
  EXPECT_NEAR(drip(2000, 1'000'000), 121, 1);
}

TEST(Server, AReaderThatStallsDuringAResponseIsCut) {
  World world;
  auto client = world.Connect(/*reading=*/false);
  client->Send(Post("/echo/1", std::string(1 << 20, 'x')));
  world.loop->RunFor(20'000 * kMs);
  EXPECT_EQ(world.server->stats().connections, 1U);
  world.loop->RunFor(15'000 * kMs);
  EXPECT_EQ(world.server->stats().connections, 0U);
}

TEST(Server, ASlowReaderThatGoesOnIsNotCut) {
  SimOptions sim;
  sim.partial_io = false;
  World world(sim);
  auto client = world.Connect(/*reading=*/false);
  client->Send(Post("/echo/1", std::string(300 << 10, 'x')));
  world.loop->RunFor(1000 * kMs);
  size_t received = 0;
  for (int i = 0; i < 18; ++i) {
    world.loop->RunFor(20'000 * kMs);
    client->socket().Read([&](const Result<std::string_view>& result) {
      ASSERT_TRUE(result.ok());
      received += result->size();
    });
    world.loop->RunFor(1 * kMs);
  }
  EXPECT_EQ(received, 18U * (16 << 10));
  EXPECT_EQ(world.server->stats().connections, 1U);
}

// ---- streams

TEST(Server, StreamsFrames) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SimOptions sim;
    sim.seed = seed;
    World world(sim);
    auto client = world.Connect();
    client->Send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    world.loop->RunUntilIdle();
    ASSERT_NE(world.stream, nullptr);
    EXPECT_TRUE(client->Has("\r\nContent-Type: text/event-stream\r\n"));
    EXPECT_TRUE(client->Has("\r\nTransfer-Encoding: chunked\r\n"));
    SseWriter writer(std::move(world.stream));
    writer.SetFrame(R"({"delta":")", R"("})");
    std::string expected;
    for (int i = 0; i < 50; ++i) {
      writer.Send(fmt::format("\"{}\n", i));
      expected += fmt::format("data: {{\"delta\":\"\\\"{}\\n\"}}\n\n", i);
      if (world.loop->Random() % 3 == 0) world.loop->Step();
    }
    writer.SendEvent("ping", "{}");
    writer.SendDone();
    writer.Finish();
    expected += "event: ping\ndata: {}\n\ndata: [DONE]\n\n";
    world.loop->RunUntilIdle();
    EXPECT_EQ(ChunkedBody(client->received), expected);
    EXPECT_FALSE(client->closed());
    client->received.clear();
    client->Send(kGet);  // the connection goes on
    world.loop->RunUntilIdle();
    EXPECT_EQ(client->status(), 200);
    EXPECT_TRUE(world.gone.empty());
  }
}

TEST(Server, StreamsToHttp10UntilTheConnectionEnds) {
  World world;
  auto client = world.Ask("GET /stream HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n");
  world.stream->Send("data: 1\n\n");
  world.loop->RunUntilIdle();
  world.stream->Send("data: 2\n\n");
  world.stream->Finish();
  world.loop->RunUntilIdle();
  EXPECT_TRUE(client->received.ends_with("\r\n\r\ndata: 1\n\ndata: 2\n\n"));
  EXPECT_TRUE(client->Has("Connection: close"));
  EXPECT_FALSE(client->Has("chunked"));
  EXPECT_TRUE(client->ended);
}

TEST(Server, HeartbeatsFillSilence) {
  World world;
  auto client = world.Ask("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  world.loop->RunFor(46'000 * kMs);
  EXPECT_EQ(client->CountOf(": keep-alive\n\n"), 3);
  for (int i = 0; i < 10; ++i) {
    world.stream->Send("data: x\n\n");
    world.loop->RunFor(10'000 * kMs);
  }
  EXPECT_EQ(client->CountOf(": keep-alive\n\n"), 3);
  world.stream->Finish();
  world.loop->RunFor(30'000 * kMs);
  EXPECT_EQ(client->CountOf(": keep-alive\n\n"), 3);
  EXPECT_TRUE(ChunkedBody(client->received).has_value());
}

TEST(Server, AStreamDroppedWithoutFinishLooksBroken) {
  World world;
  auto client = world.Ask("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  world.stream->Send("data: 1\n\n");
  world.loop->RunUntilIdle();
  world.stream.reset();
  world.loop->RunUntilIdle();
  EXPECT_TRUE(client->broken);
  EXPECT_FALSE(client->ended);
  EXPECT_EQ(world.server->stats().exchanges, 0U);
}

TEST(Server, TellsAtOnceWhenTheClientLeaves) {
  for (const char* path : {"/stream", "/hold"}) {
    for (const bool half_close : {false, true}) {
      World world;
      auto client = world.Ask(fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", path));
      if (world.stream) world.stream->Send("data: 1\n\n");  // we only write from here on
      world.loop->RunUntilIdle();
      EXPECT_TRUE(world.gone.empty());
      if (half_close) {
        client->socket().CloseWrite();
      } else {
        client->Disappear();
      }
      const int64_t before = world.loop->NowNs();
      while (world.gone.empty() && world.loop->Step()) {
      }
      EXPECT_LT(world.loop->NowNs() - before, 2 * kMs);
      ASSERT_EQ(world.gone.size(), 1U) << path;
      EXPECT_TRUE(world.held.empty() || world.held.front()->client_gone());
      world.held.clear();
      world.stream.reset();
      world.loop->RunFor(40'000 * kMs);
      EXPECT_EQ(world.gone.size(), 1U);
      EXPECT_EQ(world.server->stats().connections, 0U);
      EXPECT_EQ(world.server->stats().exchanges, 0U);
      EXPECT_EQ(world.server->stats().clients_gone, 1U);
    }
  }
}

TEST(Server, AHalfClosedClientStillGetsItsAnswer) {
  World world;
  auto client = world.Ask("GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n");
  client->socket().CloseWrite();
  world.loop->RunUntilIdle();
  EXPECT_EQ(world.gone.size(), 1U);
  world.held.front()->Respond(200, "text/plain", "late");
  world.loop->RunUntilIdle();
  EXPECT_TRUE(client->received.ends_with("late"));
  EXPECT_TRUE(client->ended);
}

TEST(Server, OnClientGoneAfterTheFactRunsInTheNextTurn) {
  World world;
  auto client = world.Ask("GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n");
  client->socket().CloseWrite();
  world.loop->RunUntilIdle();
  int calls = 0;
  world.held.front()->OnClientGone([&](const Status&) { ++calls; });
  EXPECT_EQ(calls, 0);
  world.loop->RunUntilIdle();
  EXPECT_EQ(calls, 1);
}

TEST(Server, AStalledStreamIsCancelled) {
  World world;
  auto client = world.Connect(/*reading=*/false);
  client->Send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  world.loop->RunUntilIdle();
  world.stream->Send(std::string(100 << 10, 'x'));  // more than the system takes, less than the limit
  world.loop->RunFor(29'000 * kMs);
  EXPECT_TRUE(world.gone.empty());
  world.loop->RunFor(3'000 * kMs);
  ASSERT_EQ(world.gone.size(), 1U);
  EXPECT_EQ(world.gone[0].code(), Code::kDeadlineExceeded);
  EXPECT_EQ(world.server->stats().connections, 0U);
}

TEST(Server, AStreamThatFallsTooFarBehindIsCancelledOutsideOfSend) {
  World world;
  auto client = world.Connect(/*reading=*/false);
  client->Send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  world.loop->RunUntilIdle();
  size_t sent = 0;
  while (!world.stream->client_gone() && sent < (4U << 20)) {
    world.stream->Send(std::string(8 << 10, 'x'));
    EXPECT_TRUE(world.gone.empty());
    sent += 8 << 10;
    if (sent % (64 << 10) == 0) world.loop->RunFor(kMs);
    if (!world.gone.empty()) break;
  }
  world.loop->RunUntilIdle();
  ASSERT_EQ(world.gone.size(), 1U);
  EXPECT_EQ(world.gone[0].code(), Code::kResourceExhausted);
  EXPECT_GT(sent, size_t{256} << 10);
  EXPECT_LT(sent, size_t{512} << 10);
  world.stream->Send("ignored");
}

}  // namespace
}  // namespace millrace::net
