#include "os/fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "os/os_error.h"

namespace millrace {

void UniqueFd::Reset(int fd) {
  // No retry on EINTR: Linux and macOS have released the number by then, and a second close could hit a stranger's.
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<UniqueFd> UniqueFd::Duplicate() const {
  const int copy = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return OsError(errno, "duplicate a descriptor");
  return UniqueFd(copy);
}

Status SetNonBlocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return OsError(errno, "make a descriptor non-blocking");
  return {};
}

Status SetCloseOnExec(int fd, bool on) {
  if (::fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0) return OsError(errno, "set close-on-exec");
  return {};
}

}  // namespace millrace
