// The two ends of what joins a gateway and one incarnation of a worker: a shared segment with a ring down, a ring up and the
// worker's vital signs, and a wake-up each way. A channel is never reused: when either side dies or lies, both ends are dropped
// whole.
//
// The gateway's event loop:                               The worker's loop:
//   watch wake_fd();                                        while (running) {
//   on readable:                                              while (TryPop ...) take it;
//     channel.ClearWake();                                    if (nothing to compute) channel.WaitForWork(spin, timeout);
//     do { while (TryPop ...) handle it; }                    else step; vitals().Beat();
//     while (!channel.up().PrepareSleep());                 }
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "base/status.h"
#include "ipc/ring.h"
#include "ipc/segment.h"
#include "os/fd.h"
#include "os/wake.h"

namespace millrace::ipc {

// Order of the descriptors that a worker receives.
inline constexpr size_t kChannelFds = 3;
enum ChannelFd : size_t { kSegmentFd = 0, kWorkerWakeFd = 1, kGatewayWakeFd = 2 };

// Held by the gateway. One thread, except signs().
class GatewayChannel {
 public:
  GatewayChannel() = default;
  GatewayChannel(GatewayChannel&&) = default;
  GatewayChannel& operator=(GatewayChannel&&) = default;

  // A fresh segment. `incarnation` differs for every worker that this gateway ever starts.
  static Result<GatewayChannel> Create(uint32_t incarnation);

  // What to send to the worker (ChannelFd order); they stay ours. All -1 over heap memory.
  std::array<int, kChannelFds> WorkerFds() const;

  RingProducer& down() { return down_; }
  RingConsumer& up() { return up_; }
  const WorkerSigns& signs() const { return signs_; }
  uint32_t incarnation() const { return incarnation_; }

  // Readable when the worker has pushed and we had asked (PrepareSleep); -1 with a callback.
  int wake_fd() const { return wake_fd_; }
  void ClearWake();  // makes wake_fd() unreadable and takes the request for a wake-up back

 private:
  friend class HeapChannel;
  std::shared_ptr<void> memory_;  // shared: over heap memory both ends own it, in whichever order they go
  // Shared with the wake callbacks inside the rings, which move along with this object.
  std::shared_ptr<WakeEvent> wake_worker_;
  std::shared_ptr<WakeEvent> wake_gateway_;
  int wake_fd_ = -1;
  int segment_fd_ = -1;
  uint32_t incarnation_ = 0;
  RingProducer down_;
  RingConsumer up_;
  WorkerSigns signs_;
};

// Held by the worker. One thread.
class WorkerChannel {
 public:
  WorkerChannel() = default;
  WorkerChannel(WorkerChannel&&) = default;
  WorkerChannel& operator=(WorkerChannel&&) = default;

  // Takes the descriptors of GatewayChannel::WorkerFds. kDataLoss when the segment is not sealed, not of the right size, or not
  // the one that FormatSegment makes for `incarnation`.
  static Result<WorkerChannel> Open(std::array<UniqueFd, kChannelFds> fds, uint32_t incarnation);

  RingConsumer& down() { return down_; }
  RingProducer& up() { return up_; }
  WorkerVitals& vitals() { return vitals_; }
  uint32_t incarnation() const { return incarnation_; }

  // Returns when the down ring has something (or is dead), after `timeout`, or a little early for no reason. Looks at the ring
  // for `spin` first, because waking from sleep costs tens of microseconds, then sleeps. True when there is something.
  bool WaitForWork(std::chrono::nanoseconds spin, std::chrono::nanoseconds timeout);

 private:
  friend class HeapChannel;
  std::shared_ptr<void> memory_;
  std::shared_ptr<WakeEvent> wake_worker_;  // null: woken by a callback of the owner's
  std::shared_ptr<WakeEvent> wake_gateway_;
  uint32_t incarnation_ = 0;
  RingConsumer down_;
  RingProducer up_;
  WorkerVitals vitals_;
};

// Both ends in one process over plain memory: for tests and simulation. A wake callback that is empty is replaced by an event, so
// that wake_fd() and WaitForWork work as between processes; with a callback, WaitForWork only spins and naps.
struct HeapChannelOptions {
  uint32_t incarnation = 1;
  std::function<void()> wake_worker;   // called while pushing down, only when the worker's end sleeps
  std::function<void()> wake_gateway;  // called while pushing up, only when the gateway's end sleeps
};

class HeapChannel {
 public:
  static std::pair<GatewayChannel, WorkerChannel> Create(HeapChannelOptions options = {});
};

}  // namespace millrace::ipc
