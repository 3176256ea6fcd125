// Mailbox: messages of the gateway become calls of the engine. The ring is untrusted input: what breaks the protocol ends the worker, what is
// merely impossible is refused to the one request.
#pragma once

#include <cstdint>
#include <optional>

#include "base/status.h"
#include "engine/engine.h"
#include "ipc/messages.h"
#include "ipc/ring.h"
#include "worker/publisher.h"

namespace millrace::worker {

// kUnsupported naming the first field that this worker does not honour.
Status CheckHonoured(const ipc::Submit& submit);

class Mailbox {
 public:
  // Refusals that wait for room in the up ring; with so many nothing more is read.
  static constexpr size_t kMaxRefusals = 64;

  Mailbox(ipc::RingConsumer& ring, engine::Engine& engine, Publisher& publisher)
      : ring_(&ring), engine_(&engine), publisher_(&publisher) {}

  // Takes every waiting message. A failed Status is for good: the gateway broke ring or protocol.
  Status Drain();

  // Set once the gateway has asked for the end: running requests may go on until then, on MonotonicNs.
  std::optional<int64_t> end_ns() const { return end_ns_; }

 private:
  Status Handle(ipc::ToWorker& message);  // takes its lists
  Status HandleSubmit(ipc::Submit& submit);

  ipc::RingConsumer* ring_;
  engine::Engine* engine_;
  Publisher* publisher_;
  ipc::Record record_;
  ipc::ToWorkerReader reader_;
  std::optional<int64_t> end_ns_;
};

}  // namespace millrace::worker
