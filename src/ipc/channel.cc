#include "ipc/channel.h"

#include <algorithm>
#include <new>
#include <thread>

#include "base/clock.h"
#include "os/shared_memory.h"

namespace millrace::ipc {

namespace {

RingProducer::Wake SignalOf(std::shared_ptr<WakeEvent> event) {
  return [event = std::move(event)] { event->Signal(); };
}

Result<std::shared_ptr<WakeEvent>> Shared(Result<WakeEvent> event) {
  if (!event.ok()) return event.status();
  return std::make_shared<WakeEvent>(std::move(*event));
}

}  // namespace

Result<GatewayChannel> GatewayChannel::Create(uint32_t incarnation) {
  ASSIGN_OR_RETURN(SharedMemory created, SharedMemory::Create(kSegmentBytes));
  const auto memory = std::make_shared<SharedMemory>(std::move(created));
  RETURN_IF_ERROR(FormatSegment(memory->bytes(), incarnation));

  GatewayChannel channel;
  channel.incarnation_ = incarnation;
  channel.memory_ = memory;
  channel.segment_fd_ = memory->fd();
  // The gateway keeps both ends of both pipes: a dead worker then neither makes wake_fd() readable for ever nor raises SIGPIPE
  // here.
  ASSIGN_OR_RETURN(channel.wake_worker_, Shared(WakeEvent::CreateForPeers()));
  ASSIGN_OR_RETURN(channel.wake_gateway_, Shared(WakeEvent::CreateForPeers()));
  channel.wake_fd_ = channel.wake_gateway_->fd();
  ASSIGN_OR_RETURN(channel.down_, RingProducer::Attach(DownRing(memory->bytes()), incarnation, SignalOf(channel.wake_worker_)));
  ASSIGN_OR_RETURN(channel.up_, RingConsumer::Attach(UpRing(memory->bytes()), incarnation));
  channel.signs_ = WorkerSigns(memory->bytes());
  return channel;
}

std::array<int, kChannelFds> GatewayChannel::WorkerFds() const {
  if (segment_fd_ < 0) return {-1, -1, -1};
  return {segment_fd_, wake_worker_->fd(), wake_gateway_->signal_fd()};
}

void GatewayChannel::ClearWake() {
  if (wake_gateway_ != nullptr) wake_gateway_->Drain();
  up_.EndSleep();
}

Result<WorkerChannel> WorkerChannel::Open(std::array<UniqueFd, kChannelFds> fds, uint32_t incarnation) {
  ASSIGN_OR_RETURN(SharedMemory opened, SharedMemory::Open(std::move(fds[kSegmentFd]), kSegmentBytes));
  const auto memory = std::make_shared<SharedMemory>(std::move(opened));
  RETURN_IF_ERROR(CheckSegment(memory->bytes(), incarnation));

  WorkerChannel channel;
  channel.incarnation_ = incarnation;
  channel.memory_ = memory;
  channel.wake_worker_ = std::make_shared<WakeEvent>(WakeEvent::ForWaiting(std::move(fds[kWorkerWakeFd])));
  channel.wake_gateway_ = std::make_shared<WakeEvent>(WakeEvent::ForSignalling(std::move(fds[kGatewayWakeFd])));
  ASSIGN_OR_RETURN(channel.down_, RingConsumer::Attach(DownRing(memory->bytes()), incarnation));
  ASSIGN_OR_RETURN(channel.up_, RingProducer::Attach(UpRing(memory->bytes()), incarnation, SignalOf(channel.wake_gateway_)));
  channel.vitals_ = WorkerVitals(memory->bytes());
  return channel;
}

bool WorkerChannel::WaitForWork(std::chrono::nanoseconds spin, std::chrono::nanoseconds timeout) {
  const int64_t start = MonotonicNs();
  do {
    // The clock costs more than a look at the ring.
    for (int i = 0; i < 32; ++i) {
      if (down_.HasRecords()) return true;
      SpinPause();
    }
  } while (MonotonicNs() - start < std::min(spin, timeout).count());

  const auto left = timeout - std::chrono::nanoseconds(MonotonicNs() - start);
  if (left <= std::chrono::nanoseconds::zero()) return down_.HasRecords();
  if (down_.PrepareSleep()) {
    if (wake_worker_ == nullptr) {
      std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(left, std::chrono::microseconds(100)));
    } else if (wake_worker_->Wait(left)) {
      wake_worker_->Drain();
    }
    down_.EndSleep();
  }
  return down_.HasRecords();
}

std::pair<GatewayChannel, WorkerChannel> HeapChannel::Create(HeapChannelOptions options) {
  constexpr std::align_val_t kAlignment{4096};
  const std::shared_ptr<void> memory(::operator new(kSegmentBytes, kAlignment),
                                     [](void* p) { ::operator delete(p, kAlignment); });
  const std::span<std::byte> bytes(static_cast<std::byte*>(memory.get()), kSegmentBytes);
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  const Status formatted = FormatSegment(bytes, options.incarnation);
  CHECK(formatted.ok(), formatted.message().c_str());

  std::pair<GatewayChannel, WorkerChannel> ends;
  auto& [gateway, worker] = ends;
  gateway.memory_ = worker.memory_ = memory;
  gateway.incarnation_ = worker.incarnation_ = options.incarnation;
  if (!options.wake_worker) {
    gateway.wake_worker_ = worker.wake_worker_ = Shared(WakeEvent::Create()).value();
    options.wake_worker = SignalOf(gateway.wake_worker_);
  }
  if (!options.wake_gateway) {
    gateway.wake_gateway_ = worker.wake_gateway_ = Shared(WakeEvent::Create()).value();
    gateway.wake_fd_ = gateway.wake_gateway_->fd();
    options.wake_gateway = SignalOf(gateway.wake_gateway_);
  }
  gateway.down_ = RingProducer::Attach(DownRing(bytes), options.incarnation, std::move(options.wake_worker)).value();
  gateway.up_ = RingConsumer::Attach(UpRing(bytes), options.incarnation).value();
  gateway.signs_ = WorkerSigns(bytes);
  worker.down_ = RingConsumer::Attach(DownRing(bytes), options.incarnation).value();
  worker.up_ = RingProducer::Attach(UpRing(bytes), options.incarnation, std::move(options.wake_gateway)).value();
  worker.vitals_ = WorkerVitals(bytes);
  return ends;
}

}  // namespace millrace::ipc
