// The server on the simulated loop: no ports, no waiting. The last test runs it once on the real loop.
#include "net/server.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/asio_loop.h"
#include "net/sim_loop.h"
#include "net/sse.h"

namespace millrace::net {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr std::string_view kGet = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

std::string Post(std::string_view path, std::string_view body, std::string_view headers = {}) {
  return fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: {}\r\n\r\n{}", path, headers, body.size(), body);
}

// A raw client that keeps everything it receives.
class Client {
 public:
  Client(std::unique_ptr<Socket> socket, bool reading = true) : socket_(std::move(socket)) {
    if (reading) Read();
  }
  void Send(std::string_view bytes) { socket_->Write(std::string(bytes), {}); }
  void Read() {
    socket_->Read([this](const Result<std::string_view>& result) {
      if (!result.ok()) {
        broken = true;
      } else if (result->empty()) {
        ended = true;
      } else {
        received.append(*result);
        Read();
      }
    });
  }
  Socket& socket() { return *socket_; }
  void Disappear() { socket_.reset(); }
  bool closed() const { return ended || broken; }
  int status() const { return received.size() < 12 ? 0 : std::stoi(received.substr(9, 3)); }
  bool Has(std::string_view text) const { return received.find(text) != std::string::npos; }
  int CountOf(std::string_view text) const {
    int count = 0;
    for (size_t at = received.find(text); at != std::string::npos; at = received.find(text, at + 1)) ++count;
    return count;
  }

  std::string received;
  bool ended = false;
  bool broken = false;

 private:
  std::unique_ptr<Socket> socket_;
};

// The de-chunked body of the only response; nothing when the chunks do not end properly.
std::optional<std::string> ChunkedBody(std::string_view response) {
  const size_t head = response.find("\r\n\r\n");
  if (head == std::string_view::npos) return std::nullopt;
  std::string_view rest = response.substr(head + 4);
  std::string body;
  for (;;) {
    const size_t line = rest.find("\r\n");
    if (line == std::string_view::npos) return std::nullopt;
    const size_t size = std::stoul(std::string(rest.substr(0, line)), nullptr, 16);
    rest.remove_prefix(line + 2);
    if (rest.size() < size + 2 || rest.substr(size, 2) != "\r\n") return std::nullopt;
    body.append(rest.substr(0, size));
    rest.remove_prefix(size + 2);
    if (size == 0) return rest.empty() ? std::optional(body) : std::nullopt;
  }
}

struct World {
  explicit World(const SimOptions& sim = {}, ServerOptions options = {}) : loop(SimLoop::Make(sim)), router(Routes()) {
    options.policy.origins = {"https://app.example"};
    options.hooks.admit = [](const Request& request, const Route& route) -> std::optional<Refusal> {
      if (route.scope != Scope::kAdmin || request.headers.Find("authorization") != nullptr) return std::nullopt;
      return Refusal{401, "a key is needed", {{"WWW-Authenticate", "Bearer"}}, {}};
    };
    server = std::make_unique<Server>(*loop, router, std::move(options));
    address = server->Listen({"127.0.0.1", 8080}).value();
  }

  std::vector<Route> Routes() {
    return {
        {"GET", "/hello", Scope::kInference,
         [](const std::shared_ptr<Exchange>& exchange) {
           exchange->Respond(200, "text/plain", "hello " + exchange->request().query);
         }},
        {"GET", "/public", Scope::kPublic, [](const std::shared_ptr<Exchange>& e) { e->Respond(200, "text/plain", "up"); }},
        {"POST", "/echo/{id}", Scope::kInference,
         [](const std::shared_ptr<Exchange>& e) {
           e->Respond(200, "text/plain", std::string(e->value("id")) + "=" + e->request().body);
         }},
        {"POST", "/small", Scope::kInference, [](const std::shared_ptr<Exchange>& e) { e->Respond(200, "text/plain", "ok"); },
         10},
        {"POST", "/admin", Scope::kAdmin, [](const std::shared_ptr<Exchange>& e) { e->Respond(200, "text/plain", "ok"); }},
        {"GET", "/drop", Scope::kInference, [](const std::shared_ptr<Exchange>&) {}},
        {"GET", "/hold", Scope::kInference,
         [this](const std::shared_ptr<Exchange>& exchange) {
           held.push_back(exchange);
           exchange->OnClientGone([this](const Status& status) { gone.push_back(status); });
         }},
        {"GET", "/stream", Scope::kInference,
         [this](const std::shared_ptr<Exchange>& exchange) {
           stream = exchange->BeginStream();
           stream->OnClientGone([this](const Status& status) { gone.push_back(status); });
         }},
    };
  }

  std::unique_ptr<Client> Connect(bool reading = true, const Address& from = {"127.0.0.1", 50000}) {
    return std::make_unique<Client>(loop->Connect(address, from).value(), reading);
  }
  // One exchange on a connection of its own.
  std::unique_ptr<Client> Ask(std::string_view bytes) {
    auto client = Connect();
    client->Send(bytes);
    loop->RunUntilIdle();
    return client;
  }

  std::unique_ptr<SimLoop> loop;
  Router router;
  std::vector<std::shared_ptr<Exchange>> held;
  std::unique_ptr<StreamWriter> stream;
  std::vector<Status> gone;
  std::unique_ptr<Server> server;
  Address address;
};

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
  for (int i = 0; i < 5; ++i) clients.push_back(world.Ask(kGet));
  int answered = 0;
  for (const auto& client : clients) answered += client->status() == 200 ? 1 : 0;
  EXPECT_EQ(answered, 3);
  EXPECT_EQ(world.server->stats().connections, 3U);
  clients[0]->Disappear();
  clients[1]->Disappear();
  world.loop->RunUntilIdle();
  answered = 0;
  for (const auto& client : clients) answered += client->status() == 200 ? 1 : 0;
  EXPECT_EQ(answered, 5);
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

// ---- everything at once

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
