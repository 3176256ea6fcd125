#include "os/socketpair.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "os/os_error.h"

namespace millrace {

namespace {

#if defined(__linux__)
constexpr int kSocketType = SOCK_SEQPACKET | SOCK_CLOEXEC;
constexpr int kReceiveFlags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
#else
// macOS has no SOCK_SEQPACKET for local sockets; datagrams keep the borders as well.
constexpr int kSocketType = SOCK_DGRAM;
constexpr int kReceiveFlags = MSG_DONTWAIT;
constexpr int kSendFlags = MSG_DONTWAIT;
#endif

// Room for more descriptors than we accept, so that a peer that sends too many is told apart from one that keeps to the limit.
using ControlBuffer = std::array<char, CMSG_SPACE(sizeof(int) * (ControlSocket::kMaxFds + 8))>;

// Takes ownership of every descriptor in the ancillary data, also when the packet is refused afterwards.
std::vector<UniqueFd> CollectFds(msghdr& message) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace

Result<std::pair<ControlSocket, ControlSocket>> ControlSocket::CreatePair() {
  std::array<int, 2> ends;
  if (::socketpair(AF_UNIX, kSocketType, 0, ends.data()) != 0) return OsError(errno, "create the control channel");
  std::pair<ControlSocket, ControlSocket> pair{ControlSocket(UniqueFd(ends[0])), ControlSocket(UniqueFd(ends[1]))};
#if !defined(__linux__)
  const int on = 1;
  for (const int fd : ends) {
    RETURN_IF_ERROR(SetCloseOnExec(fd, true));
    ::setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
  }
#endif
  return pair;
}

Status ControlSocket::Send(std::span<const std::byte> bytes, std::span<const int> fds) {
  if (bytes.empty() || bytes.size() > kMaxBytes) {
    return Error(Code::kInvalidArgument, "a control packet has 1 to {} bytes, not {}", kMaxBytes, bytes.size());
  }
  if (fds.size() > kMaxFds)
    return Error(Code::kInvalidArgument, "a control packet has at most {} descriptors, not {}", kMaxFds, fds.size());
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) ControlBuffer control{};
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = static_cast<decltype(message.msg_controllen)>(CMSG_SPACE(fds.size_bytes()));
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = static_cast<decltype(rights->cmsg_len)>(CMSG_LEN(fds.size_bytes()));
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  while (true) {
    const ssize_t sent = ::sendmsg(fd_.get(), &message, kSendFlags);
    if (sent == static_cast<ssize_t>(bytes.size())) return {};
    if (sent >= 0) return Error(Code::kInternal, "a control packet of {} bytes was cut to {}", bytes.size(), sent);
    if (errno != EINTR) return OsError(errno, "send on the control channel");
  }
}

Result<std::optional<ControlPacket>> ControlSocket::Receive() {
  ControlPacket packet;
  packet.bytes.resize(kMaxBytes);
  iovec part{packet.bytes.data(), packet.bytes.size()};
  alignas(cmsghdr) ControlBuffer control;
  msghdr message{};
  ssize_t got = -1;
  do {
    message = msghdr{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    got = ::recvmsg(fd_.get(), &message, kReceiveFlags);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::optional<ControlPacket>();
    if (errno == ECONNRESET) return Error(Code::kUnavailable, "the peer closed the control channel");
    return OsError(errno, "receive on the control channel");
  }
  packet.fds = CollectFds(message);
#if !defined(__linux__)
  for (const UniqueFd& fd : packet.fds) RETURN_IF_ERROR(SetCloseOnExec(fd.get(), true));
#endif
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || packet.fds.size() > kMaxFds) {
    return Error(Code::kDataLoss, "expected a control packet of at most {} bytes and {} descriptors, found a larger one",
                 kMaxBytes, kMaxFds);
  }
  // Empty packets are never sent, so 0 bytes mean end of file.
  if (got == 0) return Error(Code::kUnavailable, "the peer closed the control channel");
  packet.bytes.resize(static_cast<size_t>(got));
  return std::optional<ControlPacket>(std::move(packet));
}

Result<ControlPacket> ControlSocket::ReceiveWithin(std::chrono::milliseconds timeout) {
  const int64_t deadline = MonotonicNs() + std::chrono::nanoseconds(timeout).count();
  while (true) {
    ASSIGN_OR_RETURN(std::optional<ControlPacket> packet, Receive());
    if (packet) return std::move(*packet);
    const int64_t left_ms = (deadline - MonotonicNs() + 999'999) / 1'000'000;
    if (left_ms <= 0) return Error(Code::kDeadlineExceeded, "no control packet within {} ms", timeout.count());
    pollfd entry{fd_.get(), POLLIN, 0};
    (void)::poll(&entry, 1, static_cast<int>(std::min<int64_t>(left_ms, 1'000'000)));
  }
}

}  // namespace millrace
