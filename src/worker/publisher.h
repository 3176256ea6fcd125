// Publisher: the engine's output as messages in the up ring. What does not fit stays where it is (tokens in the engine, refusals here) and
// is offered again after the next step: nothing is dropped, nobody waits.
#pragma once

#include <deque>
#include <unordered_map>

#include "base/status.h"
#include "engine/engine.h"
#include "ipc/messages.h"
#include "ipc/ring.h"

namespace millrace::worker {

class Publisher final : public engine::OutputSink {
 public:
  explicit Publisher(ipc::RingProducer& ring) : ring_(&ring) {}

  // The clocks of a request that the engine has accepted; its events carry them.
  void Accepted(RequestId request, const ipc::HopClocks& clocks) { clocks_[request] = clocks; }
  // A request that never reached the engine.
  void Refuse(RequestId request, const Status& why) { refusals_.push_back({request, why.code(), why.message()}); }
  size_t refusals() const { return refusals_.size(); }

  // Sends what there is and what fits. A failed Status: the gateway broke the ring.
  Status Publish(engine::Engine& engine);
  // True when something waits for room.
  bool blocked() const { return blocked_; }

  bool Take(const engine::Output& output) override;

 private:
  bool Send(const ipc::ToGateway& message);
  bool SendTokens(const engine::Output& output, const ipc::HopClocks& clocks);

  ipc::RingProducer* ring_;
  std::deque<ipc::Failed> refusals_;
  std::unordered_map<RequestId, ipc::HopClocks> clocks_;
  ipc::ToGateway message_ = ipc::Tokens{};  // reused, so that its lists keep their memory
  bool blocked_ = false;
};

}  // namespace millrace::worker
