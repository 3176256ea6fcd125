// What the tests of the server share: a raw client and a server with routes of every kind on a simulated loop.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/server.h"
#include "net/sim_loop.h"

namespace millrace::net::testing {

inline constexpr int64_t kMs = 1'000'000;
inline constexpr std::string_view kGet = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

inline std::string Post(std::string_view path, std::string_view body, std::string_view headers = {}) {
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
inline std::optional<std::string> ChunkedBody(std::string_view response) {
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

}  // namespace millrace::net::testing
