// Gateway: the process that owns sockets, JSON and text; its workers own weights, KV and token ids.
//
//   net::Loop ── Server ── routes ── Dispatcher ── Supervisor (one per model) ── worker process
//                             └── Stream (one per running request) ◀── ring ──────┘
//
// Everything runs on the thread of the loop, except long rendering and tokenising, which runs on the loop's executor. Nothing
// here is thread-safe. A worker's death ends the streams of that worker and nothing else.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/status.h"
#include "gateway/options.h"

namespace millrace::net {
class Loop;
}

namespace millrace::gateway {

class WorkerLauncher;

class Gateway {
 public:
  // Checks the options and opens every model (metadata only). Nothing listens and no worker runs afterwards. `loop` outlives the
  // gateway. kInvalidArgument for options that contradict themselves (no model, two models of one name, a public address without
  // keys), kDataLoss and the like for a model file that cannot be used; the message names the file.
  static Result<std::unique_ptr<Gateway>> Create(net::Loop& loop, GatewayOptions options);
  // The same with workers that come from `launcher` instead of child processes.
  static Result<std::unique_ptr<Gateway>> Create(net::Loop& loop, GatewayOptions options,
                                                 std::unique_ptr<WorkerLauncher> launcher);

  ~Gateway();  // ends every connection and kills every worker
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Listens, then starts the workers; returns at once. kAlreadyExists when the port is taken. Requests for a model that is still
  // loading are answered 503 with Retry-After.
  Status Start();

  // Start, then turns the loop until a drain is complete.
  Status Run();

  // The port that is listened on; after Start.
  uint16_t port() const;

  // In the order of the options.
  std::vector<ModelStatus> Models() const;

  // Orderly end, on the loop's thread (post it from a signal watch): new work is refused with 503, running streams finish within
  // the drain timeout and then end with an error event, workers stop. Then `done` is called on the loop, or the loop is stopped if
  // no call brought one. A second call ends what still runs at once.
  void Drain(std::function<void()> done);

 private:
  class Impl;
  explicit Gateway(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::gateway
