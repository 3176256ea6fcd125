// Many clients at once, with faults, from seeds; and the same server once on the real loop.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/asio_loop.h"
#include "net/server.h"
#include "net/sim_loop.h"
#include "net/testing/server_world.h"

namespace millrace::net {
namespace {

using namespace testing;

struct Tally {
  uint64_t trace = 0;
  int complete = 0;
  int cut = 0;
};

// Many clients with random behaviour against handlers with random behaviour. Each client sends one request with a nonce of its own and
// either gets the one whole right answer or sees its connection end.
Tally RunStorm(uint64_t seed, int clients) {
  SimOptions sim;
  sim.seed = seed;
  sim.reset_probability = seed % 3 == 0 ? 0.02 : 0.0;
  const auto loop = SimLoop::Make(sim);
  std::vector<std::shared_ptr<std::function<void()>>> steps;
  const Router router({{"POST", "/stream/{nonce}", Scope::kInference, [&](const std::shared_ptr<Exchange>& exchange) {
                          auto writer = std::shared_ptr<StreamWriter>(exchange->BeginStream().release());
                          const std::string nonce(exchange->value("nonce"));
                          const uint64_t frames = loop->Random() % 20;
                          auto step = std::make_shared<std::function<void()>>();
                          auto left = std::make_shared<uint64_t>(frames);
                          *step = [&, writer, nonce, left, self = std::weak_ptr(step)]() mutable {
                            if (writer->client_gone()) return writer.reset();
                            if ((*left)-- == 0) return writer->Finish();
                            writer->Send("data: " + nonce + "\n\n");
                            loop->At(loop->NowNs() + static_cast<int64_t>(loop->Random() % (50 * kMs)), [self] {
                              if (const auto next = self.lock()) (*next)();
                            });
                          };
                          steps.push_back(step);
                          (*step)();
                        }}});
  Server server(*loop, router, {});
  const Address address = server.Listen({"127.0.0.1", 1}).value();
  std::vector<std::unique_ptr<Client>> all;
  for (int i = 0; i < clients; ++i) {
    auto client = std::make_unique<Client>(loop->Connect(address).value());
    client->Send(Post(fmt::format("/stream/nonce{}", i), std::string(loop->Random() % 3000, 'b'), "Connection: close\r\n"));
    if (loop->Random() % 4 == 0) {
      loop->At(loop->NowNs() + static_cast<int64_t>(loop->Random() % (300 * kMs)), [c = client.get()] { c->Disappear(); });
    }
    all.push_back(std::move(client));
  }
  loop->RunFor(5'000 * kMs);
  EXPECT_EQ(server.stats().exchanges, 0U) << "seed " << seed;
  EXPECT_EQ(server.stats().connections, 0U) << "seed " << seed;
  Tally tally;
  for (int i = 0; i < clients; ++i) {
    const std::optional<std::string> body = ChunkedBody(all[static_cast<size_t>(i)]->received);
    body.has_value() ? ++tally.complete : ++tally.cut;
    if (!body) continue;
    const std::string frame = fmt::format("data: nonce{}\n\n", i);
    EXPECT_EQ(body->size() % frame.size(), 0U);
    for (size_t at = 0; at < body->size(); at += frame.size())
      EXPECT_EQ(body->substr(at, frame.size()), frame) << "seed " << seed;
  }
  tally.trace = loop->trace_hash();
  return tally;
}

TEST(Server, EveryRequestEndsOnceInAStorm) {
  int complete = 0;
  int cut = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    const Tally tally = RunStorm(seed, 20);
    complete += tally.complete;
    cut += tally.cut;
  }
  EXPECT_GT(complete, 1000);  // both ends were really seen
  EXPECT_GT(cut, 100);
}

TEST(Server, TheSameSeedIsTheSameStorm) {
  EXPECT_EQ(RunStorm(7, 20).trace, RunStorm(7, 20).trace);
  EXPECT_NE(RunStorm(7, 20).trace, RunStorm(8, 20).trace);
}

TEST(Server, WorksOnTheRealLoop) {
  const auto loop = MakeAsioLoop();
  std::unique_ptr<StreamWriter> stream;
  bool gone = false;
  const Router router({{"POST", "/echo", Scope::kInference,
                        [](const std::shared_ptr<Exchange>& e) { e->Respond(200, "text/plain", e->request().body); }},
                       {"GET", "/stream", Scope::kInference, [&](const std::shared_ptr<Exchange>& e) {
                          stream = e->BeginStream();
                          stream->OnClientGone([&](const Status&) {
                            gone = true;
                            loop->Stop();
                          });
                          stream->Send("data: 1\n\n");
                        }}});
  Server server(*loop, router, {});
  const Address address = server.Listen({"127.0.0.1", 0}).value();
  Client echo(loop->Connect(address).value());
  Client streaming(loop->Connect(address).value());
  const std::string body(500'000, 'x');
  echo.Send(Post("/echo", body));
  streaming.Send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const TimerId limit = loop->At(loop->NowNs() + 5'000 * kMs, [&] { loop->Stop(); });
  std::function<void()> poll = [&] {
    if (echo.received.ends_with(body) && streaming.Has("data: 1")) streaming.Disappear();
    if (!gone) loop->At(loop->NowNs() + kMs, poll);
  };
  poll();
  loop->Run();
  loop->CancelTimer(limit);
  EXPECT_TRUE(gone);
  bool drained = false;
  server.Drain(1'000 * kMs, [&] {
    drained = true;
    loop->Stop();
  });
  loop->Run();
  EXPECT_TRUE(drained);
  EXPECT_EQ(server.stats().connections, 0U);
}

}  // namespace
}  // namespace millrace::net
