// Requests and answers of the server on the simulated loop: no ports, no waiting.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/server.h"
#include "net/sim_loop.h"
#include "net/testing/server_world.h"

namespace millrace::net {
namespace {

using namespace testing;

TEST(Server, AnswersAndKeepsTheConnection) {
  World world;
  auto client = world.Ask("GET /hello?you HTTP/1.1\r\nHost: localhost:8080\r\nX-Request-Id: my-id.7\r\n\r\n");
  EXPECT_EQ(client->status(), 200);
  EXPECT_TRUE(client->Has("\r\nx-request-id: my-id.7\r\n"));
  EXPECT_TRUE(client->Has("\r\nX-Content-Type-Options: nosniff\r\n"));
  EXPECT_TRUE(client->Has("\r\nConnection: keep-alive\r\n"));
  EXPECT_TRUE(client->Has("\r\nDate: Tue, 14 Nov 2023 22:13:21 GMT\r\n"));
  EXPECT_TRUE(client->Has("\r\nContent-Length: 9\r\n"));
  EXPECT_TRUE(client->received.ends_with("\r\n\r\nhello you"));
  EXPECT_FALSE(client->closed());
  client->received.clear();
  client->Send(Post("/echo/a%2Fb", "body", "x-request-id: not/allowed\r\n"));
  world.loop->RunUntilIdle();
  EXPECT_TRUE(client->received.ends_with("\r\n\r\na/b=body"));
  EXPECT_TRUE(client->Has("\r\nx-request-id: req-"));
  EXPECT_FALSE(client->Has("not/allowed"));
  EXPECT_EQ(world.server->stats().requests, 2U);
  EXPECT_EQ(world.server->stats().connections, 1U);
  EXPECT_EQ(world.server->stats().exchanges, 0U);
}

TEST(Server, NothingOfARequestSticksToTheNext) {
  World world;
  auto client = world.Ask(
      "HEAD /hello HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nX-Request-Id: mine\r\n"
      "Origin: https://app.example\r\n\r\n");
  EXPECT_TRUE(client->Has("x-request-id: mine\r\n"));
  EXPECT_TRUE(client->Has("Access-Control-Allow-Origin: https://app.example\r\n"));
  client->received.clear();
  client->Send("no request\r\n");
  world.loop->RunUntilIdle();
  EXPECT_EQ(client->status(), 400);
  EXPECT_TRUE(client->Has("x-request-id: req-"));
  EXPECT_FALSE(client->Has("Access-Control"));
  EXPECT_TRUE(client->received.ends_with("}"));  // with its body
}

TEST(Server, SpeaksHttp10) {
  World world;
  auto client = world.Ask("GET /hello HTTP/1.0\r\nHost: localhost\r\n\r\n");
  EXPECT_TRUE(client->received.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_TRUE(client->Has("\r\nConnection: close\r\n"));
  EXPECT_TRUE(client->ended);
  auto keeping = world.Ask("GET /hello HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_TRUE(keeping->Has("\r\nConnection: keep-alive\r\n"));
  EXPECT_FALSE(keeping->closed());
}

TEST(Server, ClosesWhenAsked) {
  World world;
  auto client = world.Ask("GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(client->Has("\r\nConnection: close\r\n"));
  EXPECT_TRUE(client->ended);
}

TEST(Server, HeadSendsNoBody) {
  World world;
  auto client = world.Ask("HEAD /hello HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client->CountOf("Content-Length: 6\r\n"), 2);
  EXPECT_EQ(client->CountOf("hello "), 1);
  EXPECT_TRUE(client->received.ends_with("\r\n\r\nhello "));
}

struct RefusalCase {
  const char* name;
  std::string bytes;
  int status;
  const char* contains;
  bool closes;
};

TEST(Server, RefusesWithTheRightStatusAndClosesWhereFramingIsLost) {
  const RefusalCase cases[] = {
      {"unknown path", "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "{\"error\":{\"message\":\"", false},
      {"unknown path with body", Post("/nothing", "abc"), 404, "", true},
      {"wrong method", "GET /echo/1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "\r\nAllow: POST, OPTIONS\r\n", false},
      {"foreign host", "GET /hello HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403, "Host header", false},
      {"empty host", "GET /hello HTTP/1.1\r\nHost:\r\n\r\n", 400, "", false},
      {"cross-site", "GET /hello HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n", 403, "", false},
      {"form", Post("/echo/1", "a=b", "Content-Type: application/x-www-form-urlencoded\r\n"), 415, "application/json", true},
      {"framing", "GET /hello HTTP/1.1\nHost: localhost\r\n\r\n", 400, "CRLF", true},
      {"binary", "\x16\x03\x01", 400, "", true},
      {"request line", "GET /" + std::string(9000, 'a'), 414, "", true},
      {"headers", "GET / HTTP/1.1\r\nX: " + std::string(9000, 'a'), 431, "", true},
      {"no key, body not sent", "POST /admin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", 401,
       "WWW-Authenticate", true},
      {"route's own limit", Post("/small", "12345678901"), 413, "", true},
      {"route's own limit, chunked",
       "POST /small HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n", 413, "", true},
      {"server's limit", "POST /echo/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8388609\r\n\r\n", 413, "", true},
      {"dropped by the handler", "GET /drop HTTP/1.1\r\nHost: localhost\r\n\r\n", 500, "", false},
  };
  for (const RefusalCase& c : cases) {
    World world;
    auto client = world.Ask(c.bytes);
    EXPECT_EQ(client->status(), c.status) << c.name;
    EXPECT_TRUE(client->Has(c.contains)) << c.name << ": " << client->received;
    EXPECT_EQ(client->closed(), c.closes) << c.name;
    EXPECT_EQ(client->Has("Connection: close"), c.closes) << c.name;
    EXPECT_EQ(client->CountOf("HTTP/1.1 "), 1) << c.name;
    EXPECT_FALSE(client->broken) << c.name;
  }
}

TEST(Server, ARefusalArrivesAlthoughTheBodyIsStillComing) {
  World world;
  auto client = world.Ask(Post("/admin", std::string(500'000, 'x')));
  world.loop->RunFor(5'000 * kMs);
  EXPECT_EQ(client->status(), 401);
  EXPECT_TRUE(client->ended);
  EXPECT_FALSE(client->broken);
}

TEST(Server, TheErrorHookShapesErrors) {
  ServerOptions options;
  options.hooks.error_body = [](int status, std::string_view) { return ErrorText{"text/x", fmt::format("E{}", status)}; };
  World world({}, std::move(options));
  auto client = world.Ask("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_TRUE(client->received.ends_with("\r\n\r\nE404"));
  EXPECT_TRUE(client->Has("Content-Type: text/x\r\n"));
}

TEST(Server, AnswersOptions) {
  World world;
  auto plain = world.Ask("OPTIONS /echo/1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(plain->status(), 204);
  EXPECT_TRUE(plain->Has("\r\nAllow: POST, OPTIONS\r\n"));
  EXPECT_FALSE(plain->Has("Access-Control"));
  EXPECT_FALSE(plain->Has("Content-Length"));
  EXPECT_EQ(world.Ask("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")->status(), 204);
  EXPECT_EQ(world.Ask("OPTIONS /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")->status(), 404);
  const std::string preflight =
      "OPTIONS /echo/1 HTTP/1.1\r\nHost: localhost\r\nOrigin: {}\r\nAccess-Control-Request-Method: POST\r\n"
      "Access-Control-Request-Headers: content-type\r\n\r\n";
  auto allowed = world.Ask(fmt::format(fmt::runtime(preflight), "https://app.example"));
  EXPECT_TRUE(allowed->Has("\r\nAccess-Control-Allow-Origin: https://app.example\r\n"));
  EXPECT_TRUE(allowed->Has("\r\nAccess-Control-Allow-Methods: POST, OPTIONS\r\n"));
  EXPECT_TRUE(allowed->Has("\r\nAccess-Control-Allow-Headers: content-type\r\n"));
  EXPECT_TRUE(allowed->Has("\r\nVary: Origin\r\n"));
  EXPECT_FALSE(world.Ask(fmt::format(fmt::runtime(preflight), "https://evil.example"))->Has("Access-Control"));
}

TEST(Server, ContinuesOnlyWhenTheLimitsPass) {
  World world;
  auto client = world.Connect();
  client->Send("POST /echo/1 HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  world.loop->RunUntilIdle();
  EXPECT_EQ(client->received, "HTTP/1.1 100 Continue\r\n\r\n");
  client->Send("abc");
  world.loop->RunUntilIdle();
  EXPECT_TRUE(client->received.ends_with("1=abc"));
  auto large = world.Ask("POST /small HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
  EXPECT_EQ(large->status(), 413);
  EXPECT_FALSE(large->Has("100 Continue"));
}

TEST(Server, PipelinedRequestsAreAnsweredInOrderOneAtATime) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SimOptions sim;
    sim.seed = seed;
    World world(sim);
    auto client = world.Connect();
    client->Send("GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n" + Post("/echo/1", "one") + std::string(kGet) +
                 Post("/echo/2", "two"));
    world.loop->RunUntilIdle();
    EXPECT_EQ(client->received, "");
    EXPECT_EQ(world.server->stats().requests, 1U);  // the others are not even parsed
    ASSERT_EQ(world.held.size(), 1U);
    world.held.front()->Respond(200, "text/plain", "first");
    world.held.clear();
    world.loop->RunUntilIdle();
    const size_t first = client->received.find("first");
    const size_t one = client->received.find("1=one");
    const size_t hello = client->received.find("hello ");
    const size_t two = client->received.find("2=two");
    EXPECT_TRUE(first < one && one < hello && hello < two && two != std::string::npos) << client->received;
    EXPECT_EQ(client->CountOf("HTTP/1.1 200 OK"), 4);
  }
}

TEST(Server, TheLastRequestOfAConnectionSaysSo) {
  ServerOptions options;
  options.limits.requests_per_connection = 3;
  World world({}, std::move(options));
  auto client = world.Ask(std::string(kGet) + std::string(kGet) + std::string(kGet) + std::string(kGet));
  EXPECT_EQ(client->CountOf("Connection: keep-alive"), 2);
  EXPECT_EQ(client->CountOf("Connection: close"), 1);
  EXPECT_EQ(client->CountOf("HTTP/1.1"), 3);
  EXPECT_TRUE(client->ended);
}

// ---- connections

TEST(Server, CountsConnectionsPerAddressOffLoopback) {
  ServerOptions options;
  options.limits.connections_per_address = 2;
  World world({}, std::move(options));
  const Address far{"10.0.0.7", 1};
  auto first = world.Connect(true, far);
  auto second = world.Connect(true, far);
  auto third = world.Connect(true, far);
  auto other = world.Connect(true, {"10.0.0.8", 1});
  auto near1 = world.Connect();
  auto near2 = world.Connect();
  auto near3 = world.Connect();
  for (Client* client : {first.get(), second.get(), third.get(), other.get(), near1.get(), near2.get(), near3.get()})
    client->Send(kGet);
  world.loop->RunUntilIdle();
  int refused = 0;
  for (Client* client : {first.get(), second.get(), third.get()}) refused += client->status() == 503 ? 1 : 0;
  EXPECT_EQ(refused, 1);
  for (Client* client : {other.get(), near1.get(), near2.get(), near3.get()}) EXPECT_EQ(client->status(), 200);
  first->Disappear();
  second->Disappear();
  third->Disappear();
  world.loop->RunFor(3000 * kMs);
  auto later = world.Connect(true, far);
  later->Send(kGet);
  world.loop->RunUntilIdle();
  EXPECT_EQ(later->status(), 200);
}

TEST(Server, AcceptsNoMoreThanItsLimitAndGoesOnWhenSomeLeave) {
  ServerOptions options;
  options.limits.connections = 3;
  World world({}, std::move(options));
  std::vector<std::unique_ptr<Client>> clients;
  clients.reserve(5);
  for (int i = 0; i < 5; ++i) clients.push_back(world.Ask(kGet));
  EXPECT_EQ(world.server->stats().connections, 3U);
  EXPECT_EQ(clients[2]->status(), 200);
  EXPECT_EQ(clients[3]->status(), 0);  // in the backlog
  // At the limit no connection is kept for later: the third one makes room for the fourth, the fourth for the fifth.
  EXPECT_TRUE(clients[1]->Has("Connection: keep-alive"));
  world.loop->RunFor(7'000 * kMs);
  for (size_t i = 2; i < 5; ++i) {
    EXPECT_EQ(clients[i]->status(), 200) << i;
    EXPECT_TRUE(clients[i]->Has("Connection: close")) << i;
  }
  EXPECT_EQ(world.server->stats().connections, 2U);
  clients.clear();
  world.loop->RunUntilIdle();
  EXPECT_TRUE(world.Ask(kGet)->Has("Connection: keep-alive"));
}

TEST(Server, BodiesHaveOneBudgetUntilTheirAnswerBegins) {
  ServerOptions options;
  options.limits.bodies_bytes = 10'000;
  World world({}, std::move(options));
  const std::string begun = "POST /echo/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6001\r\n\r\n" + std::string(6000, 'x');
  auto first = world.Ask(begun);
  auto second = world.Ask(begun);
  EXPECT_EQ(first->status(), 0);
  EXPECT_EQ(second->status(), 503);
  EXPECT_TRUE(second->ended);
  first->Send("y");
  world.loop->RunUntilIdle();
  EXPECT_EQ(first->status(), 200);
  EXPECT_EQ(world.Ask(Post("/echo/1", std::string(9000, 'x')))->status(), 200);  // all was given back
  auto holding = world.Ask("GET /hold HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6000\r\n\r\n" + std::string(6000, 'x'));
  EXPECT_EQ(world.Ask(begun)->status(), 503);
  world.held.front()->Respond(200, "text/plain", "");
  EXPECT_EQ(world.Ask(begun)->status(), 0);
}

// ---- graceful stop

TEST(Server, DrainsWhatRunsAndRefusesTheRest) {
  World world;
  auto streaming = world.Ask("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  auto idle = world.Ask(kGet);
  idle->received.clear();
  bool done = false;
  world.server->Drain(30'000 * kMs, [&] { done = true; });
  world.loop->RunFor(1000 * kMs);
  EXPECT_FALSE(done);
  auto late = world.Connect();
  late->Send(kGet);
  idle->Send(kGet);
  auto health = world.Connect();
  health->Send("GET /public HTTP/1.1\r\nHost: localhost\r\n\r\n");
  world.loop->RunFor(100 * kMs);
  EXPECT_EQ(late->status(), 503);
  EXPECT_TRUE(late->Has("Retry-After: 5"));
  EXPECT_TRUE(late->ended);
  EXPECT_EQ(idle->status(), 503);
  EXPECT_TRUE(idle->Has("Connection: close"));
  EXPECT_EQ(health->status(), 200);
  EXPECT_TRUE(health->Has("Connection: close"));
  EXPECT_FALSE(done);
  world.stream->Send("data: end\n\n");
  world.stream->Finish();
  world.loop->RunFor(2500 * kMs);
  EXPECT_TRUE(done);
  EXPECT_EQ(ChunkedBody(streaming->received), "data: end\n\n");
  EXPECT_TRUE(streaming->ended);
  EXPECT_TRUE(world.gone.empty());
  EXPECT_EQ(world.server->stats().connections, 0U);
  EXPECT_FALSE(world.loop->Connect(world.address).ok());
}

TEST(Server, DrainOfAnIdleServerIsImmediate) {
  World world;
  auto idle = world.Ask(kGet);
  bool done = false;
  world.server->Drain(30'000 * kMs, [&] {
    done = true;
    world.server.reset();  // allowed inside the callback
  });
  EXPECT_FALSE(done);
  world.loop->RunFor(kMs);
  EXPECT_TRUE(done);
  EXPECT_TRUE(idle->ended);
}

TEST(Server, DrainEndsAtItsTimeout) {
  World world;
  auto client = world.Ask("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  bool done = false;
  world.server->Drain(30'000 * kMs, [&] { done = true; });
  world.loop->RunFor(29'900 * kMs);
  EXPECT_FALSE(done);
  world.loop->RunFor(200 * kMs);
  EXPECT_TRUE(done);
  ASSERT_EQ(world.gone.size(), 1U);
  EXPECT_EQ(world.gone[0].code(), Code::kUnavailable);
  EXPECT_FALSE(ChunkedBody(client->received).has_value());
}

TEST(Server, DestroyingItClosesEverything) {
  World world;
  auto streaming = world.Ask("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  auto holding = world.Ask("GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n");
  auto idle = world.Ask(kGet);
  world.server.reset();
  world.held.front()->Respond(200, "text/plain", "nobody hears this");
  world.held.clear();
  world.stream->Send("nor this");
  world.stream.reset();
  world.loop->RunFor(100'000 * kMs);
  EXPECT_TRUE(streaming->closed() && holding->closed() && idle->closed());
  EXPECT_FALSE(holding->Has("nobody"));
  EXPECT_TRUE(world.gone.empty());
}

}  // namespace
}  // namespace millrace::net
