// Signals as a readable descriptor, so that an event loop handles SIGINT and SIGTERM like any other input.
#pragma once

#include <initializer_list>
#include <optional>
#include <vector>

#include "base/status.h"
#include "os/fd.h"

namespace millrace {

// While it lives, the given signals no longer interrupt or end the process but queue here. Create it in main before other threads
// start: they inherit the mask. At most one at a time. Destruction restores the former handling. Children of Child::Spawn start
// with an empty mask all the same.
class SignalQueue {
 public:
  SignalQueue() = default;
  SignalQueue(SignalQueue&& other) noexcept;
  SignalQueue& operator=(SignalQueue&& other) noexcept;
  ~SignalQueue();

  static Result<SignalQueue> Capture(std::initializer_list<int> signals);

  int fd() const { return read_.get(); }  // readable while a signal waits; non-blocking
  std::optional<int> Next();              // the number of the next signal; nothing when none waits

 private:
  void Restore();

  UniqueFd read_;
  UniqueFd write_;  // the self-pipe's other end, where there is no signalfd
  std::vector<int> signals_;
};

// Writing to a closed socket or pipe reports EPIPE instead of ending the process.
void IgnoreBrokenPipes();

}  // namespace millrace
