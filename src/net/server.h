// The HTTP/1.1 server: connections, limits, routing, policy, graceful stop. Knows nothing of what the routes mean.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/exchange.h"
#include "net/limits.h"
#include "net/loop.h"
#include "net/request_policy.h"
#include "net/router.h"

namespace millrace::net {

struct ErrorText {
  std::string content_type = "application/json";
  std::string body;
};

struct ServerHooks {
  // The body of every error that the server answers by itself. Default: {"error":{"message":...,"code":status}}.
  std::function<ErrorText(int status, std::string_view message)> error_body;
  // Asked for every routed request when its head is complete and before its body is read: a refusal (no key: 401) costs no
  // memory.
  std::function<std::optional<Refusal>(const Request& head, const Route& route)> admit;
  // The answer to new work on non-public routes while draining. Default: 503 with Retry-After: 5.
  std::function<Refusal(const Request& head)> draining;
};

struct ServerOptions {
  ServerLimits limits;
  RequestPolicy policy;
  ServerHooks hooks;
};

struct ServerStats {
  size_t connections = 0;  // open now
  size_t exchanges = 0;    // requests handed to handlers and not yet ended
  uint64_t accepted = 0;
  uint64_t requests = 0;
  uint64_t refused = 0;       // answered by the server itself with 4xx or 5xx
  uint64_t clients_gone = 0;  // requests whose client left, stalled or overran before the end
};

// Loop thread only. Destroying it closes everything at once; OnClientGone callbacks do not run then.
class Server {
 public:
  // `loop` and `router` must outlive the server.
  Server(Loop& loop, const Router& router, ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds and starts to accept; may be called for several addresses. Returns the bound address.
  Result<Address> Listen(const Address& address, const ListenOptions& options = {});

  // Graceful stop: new work on non-public routes is refused (hooks.draining, Connection: close) while running requests go on to
  // their end; then, or at the timeout, everything is closed and `done` runs. What still runs at the timeout is
  // broken off (OnClientGone says kUnavailable): a caller that wants to send a last word does so before. A second call shortens
  // the timeout.
  void Drain(int64_t timeout_ns, std::function<void()> done);
  bool draining() const;

  ServerStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::net
