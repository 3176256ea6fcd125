// Child processes: started from a clean slate, never outliving this process, never left as zombies.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "os/fd.h"

namespace millrace {

struct SpawnOptions {
  std::string executable;         // a path; PATH is not searched
  std::vector<std::string> argv;  // argv[0] included
  int inherited_fd = -1;          // becomes descriptor kInheritedFd of the child; -1 = none. Stays the caller's.
};

// The number under which a child finds what it inherits.
inline constexpr int kInheritedFd = 3;

struct ExitStatus {
  bool signalled = false;
  int value = 0;  // exit code, or the signal's number

  bool ok() const { return !signalled && value == 0; }
  std::string ToString() const;  // "exit code 3", "signal 9 (Killed)"
};

// A running child. Movable; destruction kills (SIGKILL) and reaps it. Used by one thread: on Linux the child dies with the
// *thread* that spawned it, so spawn from a thread that lives as long as the process.
class Child {
 public:
  Child() = default;
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();

  // The child starts in a process group of its own (Ctrl-C at the terminal reaches only us), with empty signal mask, default
  // handlers, standard input from /dev/null, standard output joined to standard error, descriptor 3 as asked, and no other
  // descriptor. It is killed when we die. An executable that cannot be run is reported here, not by an exit code.
  static Result<Child> Spawn(const SpawnOptions& options);

  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }

  // Linux: a pidfd, readable once the child has ended. -1 on macOS (watch the pid with kqueue).
  int exit_fd() const { return pidfd_.get(); }

  // Status of a child that has ended, and reaps it; nothing while it runs. Asking again repeats the answer.
  std::optional<ExitStatus> TryReap();
  // The same, waiting up to `timeout`.
  std::optional<ExitStatus> ReapWithin(std::chrono::milliseconds timeout);

  // Sends a signal; nothing happens when the child is reaped already, so a recycled pid is never hit.
  void Signal(int signal_number);
  void Kill();  // SIGKILL

 private:
  pid_t pid_ = 0;  // 0 once reaped
  UniqueFd pidfd_;
  std::optional<ExitStatus> status_;
};

// The absolute path of the running program, for finding the worker beside it.
Result<std::string> OwnExecutable();

// For a child: true while the process that spawned it is still its parent. PR_SET_PDEATHSIG races with a parent that dies during
// start.
bool ParentIs(pid_t pid);

}  // namespace millrace
