// UniqueFd: sole owner of one file descriptor. Movable; closes on destruction. Not thread-safe, like any value.
#pragma once

#include <utility>

#include "base/status.h"

namespace millrace {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { Reset(); }

  bool valid() const { return fd_ >= 0; }
  int get() const { return fd_; }
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }
  void Reset(int fd = -1);

  // A second descriptor for the same open file, close-on-exec.
  Result<UniqueFd> Duplicate() const;

 private:
  int fd_ = -1;
};

// Sets O_NONBLOCK on the open file behind `fd`. All descriptors of that open file share the flag, also those of other processes.
Status SetNonBlocking(int fd);
Status SetCloseOnExec(int fd, bool on);

}  // namespace millrace
