// Worker: the loop that joins a ring and an engine. One thread; the engine's own threads are inside its steps.
//
//   drain mailbox ─▶ step ─▶ publish ─▶ heartbeat and figures ─▶ nothing to do? measure the roof once, else sleep until woken
#pragma once

#include <cstdint>
#include <optional>

#include "base/status.h"
#include "engine/engine.h"
#include "ipc/channel.h"
#include "os/socketpair.h"
#include "worker/mailbox.h"
#include "worker/model_loader.h"
#include "worker/publisher.h"
#include "worker/roof_meter.h"

namespace millrace::worker {

// For EngineOptions::on_step: the requests of a step stand in the segment while it runs, so that its death is charged to them only.
std::function<void(std::span<const RequestId>)> BlameIn(ipc::WorkerVitals& vitals);

class Worker {
 public:
  // Everything outlives the worker. `control`: the gateway's end closing means that the gateway is gone.
  Worker(ipc::WorkerChannel& channel, ControlSocket& control, LoadedModel& model);

  // Until the gateway asks for the end or is gone (ok), or has broken the protocol (why).
  Status Run();

 private:
  bool Over();
  void Step();
  void Report();
  Status Idle();
  void MeasureRoof();
  bool GatewayGone();

  ipc::WorkerChannel* channel_;
  ControlSocket* control_;
  engine::Engine* engine_;
  Publisher publisher_;
  Mailbox mailbox_;
  std::optional<RoofMeter> roof_;  // until it is sent or has failed
  bool gone_ = false;
  int64_t control_checked_ns_ = 0;
  uint64_t step_ns_ = 0;         // inside steps, sum
  double expected_step_ns_ = 0;  // the longest of late, forgotten slowly
  double prefill_tokens_per_s_ = 0;
};

}  // namespace millrace::worker
