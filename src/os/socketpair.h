// The control channel between two processes: small datagrams, each with up to 244 descriptors. For everything that shared memory
// cannot carry: the ring's memory itself, opened weight files, large blobs.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/status.h"
#include "os/fd.h"

namespace millrace {

struct ControlPacket {
  std::vector<std::byte> bytes;  // at least 1
  std::vector<UniqueFd> fds;     // close-on-exec
};

// One end. Send and Receive never block, whatever flags the peer sets. Used by one thread.
class ControlSocket {
 public:
  static constexpr size_t kMaxBytes = 16384;
  static constexpr size_t kMaxFds = 244;  // Linux lets 253 pass

  ControlSocket() = default;
  explicit ControlSocket(UniqueFd fd) : fd_(std::move(fd)) {}

  // Two connected ends, close-on-exec.
  static Result<std::pair<ControlSocket, ControlSocket>> CreatePair();

  // All or nothing. kInvalidArgument: empty or above the limits; kResourceExhausted: the peer does not read; kUnavailable: it is
  // gone. The descriptors stay the caller's.
  Status Send(std::span<const std::byte> bytes, std::span<const int> fds = {});

  // The next packet; nothing when none is waiting. kUnavailable: the peer closed its end. kDataLoss: a packet larger than the
  // limits; its descriptors are closed, and the peer should be treated as broken.
  Result<std::optional<ControlPacket>> Receive();

  // Waits for the next packet; kDeadlineExceeded after `timeout`.
  Result<ControlPacket> ReceiveWithin(std::chrono::milliseconds timeout);

  int fd() const { return fd_.get(); }  // readable when a packet waits or the peer is gone
  bool valid() const { return fd_.valid(); }
  void Close() { fd_.Reset(); }

 private:
  UniqueFd fd_;
};

}  // namespace millrace
