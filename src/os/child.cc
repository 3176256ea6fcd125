#include "os/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "os/os_error.h"

#if defined(__linux__)
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#elif defined(__APPLE__)
#include <mach-o/dyld.h>
#endif

extern "C" char** environ;

namespace millrace {

namespace {

std::vector<char*> CStrings(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

#if defined(__linux__)

// Everything the child needs between fork and exec, prepared before: afterwards only async-signal-safe calls are allowed, because
// another thread may have held any lock at the moment of the fork.
struct ChildSetup {
  const char* executable;
  char* const* argv;
  int inherited_fd;
  int error_fd;  // close-on-exec: its end of file tells the parent that exec succeeded
  pid_t parent;
};

void MarkCloseOnExecFrom(unsigned first) {
  if (::syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  const long limit = std::clamp<long>(::sysconf(_SC_OPEN_MAX), 256, 1 << 20);
  for (int fd = static_cast<int>(first); fd < limit; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void ResetSignals() {
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &standard, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void RunChild(const ChildSetup& setup) {
  int error = 0;
  // Both kept descriptors first move out of the way of each other's target numbers.
  const int error_fd = ::fcntl(setup.error_fd, F_DUPFD_CLOEXEC, 10);
  const int inherited = setup.inherited_fd < 0 ? -1 : ::fcntl(setup.inherited_fd, F_DUPFD_CLOEXEC, 10);
  const int null_fd = ::open("/dev/null", O_RDONLY);
  if (error_fd < 0 || (setup.inherited_fd >= 0 && inherited < 0) || null_fd < 0) error = errno;
  if (error == 0 && ::dup2(null_fd, 0) < 0) error = errno;
  if (error == 0 && ::dup2(2, 1) < 0) error = errno;
  if (error == 0 && inherited >= 0 && ::dup2(inherited, kInheritedFd) < 0) error = errno;
  MarkCloseOnExecFrom(inherited >= 0 ? kInheritedFd + 1 : kInheritedFd);
  ::setpgid(0, 0);
  ResetSignals();
  if (error == 0 && ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) error = errno;
  // A parent that died before prctl will never be noticed by it.
  if (::getppid() != setup.parent) ::_exit(127);
  if (error == 0) {
    ::execve(setup.executable, setup.argv, environ);
    error = errno;
  }
  (void)!::write(error_fd >= 0 ? error_fd : setup.error_fd, &error, sizeof(error));
  ::_exit(127);
}

// Reads what RunChild reported: errno, or 0 when exec closed the pipe.
int ReadExecError(int fd) {
  int error = 0;
  ssize_t got = -1;
  do {
    got = ::read(fd, &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  return got == static_cast<ssize_t>(sizeof(error)) ? error : 0;
}

Result<std::pair<pid_t, UniqueFd>> Start(const SpawnOptions& options) {
  std::array<int, 2> ends;
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return OsError(errno, "create a pipe");
  const UniqueFd error_read(ends[0]);
  UniqueFd error_write(ends[1]);
  std::vector<char*> argv = CStrings(options.argv);
  const ChildSetup setup{options.executable.c_str(), argv.data(), options.inherited_fd, error_write.get(), ::getpid()};

  // Blocked across fork, so that no handler of ours runs in the child before its handlers are reset.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) RunChild(setup);
  const int fork_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return OsError(fork_error, "fork");

  // The pid cannot be recycled before we reap it, so this names our child and nothing else.
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  const int pidfd_error = errno;
  error_write.Reset();
  const int exec_error = ReadExecError(error_read.get());
  if (exec_error != 0 || !pidfd.valid()) {
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    if (exec_error != 0) return OsError(exec_error, fmt::format("run '{}'", options.executable));
    return OsError(pidfd_error, "pidfd_open");
  }
  return std::pair<pid_t, UniqueFd>(pid, std::move(pidfd));
}

#else

Result<std::pair<pid_t, UniqueFd>> Start(const SpawnOptions& options) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, 2, 1);
  ::posix_spawn_file_actions_addinherit_np(&actions, 2);
  if (options.inherited_fd == kInheritedFd) {
    ::posix_spawn_file_actions_addinherit_np(&actions, kInheritedFd);
  } else if (options.inherited_fd >= 0) {
    ::posix_spawn_file_actions_adddup2(&actions, options.inherited_fd, kInheritedFd);
  }
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  // CLOEXEC_DEFAULT closes every descriptor that no file action names. Death of the parent is noticed by end of file on
  // descriptor 3.
  ::posix_spawnattr_setflags(
      &attributes, POSIX_SPAWN_CLOEXEC_DEFAULT | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<char*> argv = CStrings(options.argv);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, options.executable.c_str(), &actions, &attributes, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) return OsError(error, fmt::format("run '{}'", options.executable));
  return std::pair<pid_t, UniqueFd>(pid, UniqueFd());
}

#endif

}  // namespace

std::string ExitStatus::ToString() const {
  if (!signalled) return fmt::format("exit code {}", value);
  const char* const name = ::strsignal(value);
  return fmt::format("signal {} ({})", value, name == nullptr ? "unknown" : name);
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), pidfd_(std::move(other.pidfd_)), status_(std::exchange(other.status_, std::nullopt)) {}

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(status_, other.status_);
  return *this;
}

Child::~Child() {
  if (!running()) return;
  Kill();
  // SIGKILL cannot be refused; a process in uninterruptible sleep makes this wait as long as the kernel does.
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Result<Child> Child::Spawn(const SpawnOptions& options) {
  if (options.argv.empty()) return Error(Code::kInvalidArgument, "a child needs argv[0]");
  ASSIGN_OR_RETURN(auto started, Start(options));
  Child child;
  child.pid_ = started.first;
  child.pidfd_ = std::move(started.second);
  return child;
}

std::optional<ExitStatus> Child::TryReap() {
  if (!running()) return status_;
  int raw = 0;
  pid_t got = 0;
  do {
    got = ::waitpid(pid_, &raw, WNOHANG);
  } while (got < 0 && errno == EINTR);
  if (got == 0) return std::nullopt;
  ExitStatus status{true, SIGKILL};  // reaped by somebody else: the true status is lost
  if (got > 0 && WIFEXITED(raw)) status = {false, WEXITSTATUS(raw)};
  if (got > 0 && WIFSIGNALED(raw)) status = {true, WTERMSIG(raw)};
  pid_ = 0;
  status_ = status;
  return status_;
}

std::optional<ExitStatus> Child::ReapWithin(std::chrono::milliseconds timeout) {
  const int64_t deadline = MonotonicNs() + std::chrono::nanoseconds(timeout).count();
  while (true) {
    if (const std::optional<ExitStatus> status = TryReap()) return status;
    const int64_t left_ms = (deadline - MonotonicNs() + 999'999) / 1'000'000;
    if (left_ms <= 0) return std::nullopt;
    if (pidfd_.valid()) {
      pollfd entry{pidfd_.get(), POLLIN, 0};
      (void)::poll(&entry, 1, static_cast<int>(std::min<int64_t>(left_ms, 1'000'000)));
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(std::min<int64_t>(left_ms, 2)));
    }
  }
}

void Child::Signal(int signal_number) {
  if (running()) ::kill(pid_, signal_number);
}

void Child::Kill() { Signal(SIGKILL); }

Result<std::string> OwnExecutable() {
  std::array<char, 4096> buffer;
#if defined(__linux__)
  const ssize_t size = ::readlink("/proc/self/exe", buffer.data(), buffer.size());
  if (size < 0 || static_cast<size_t>(size) == buffer.size())
    return OsError(size < 0 ? errno : ENAMETOOLONG, "find the running program");
  return std::string(buffer.data(), static_cast<size_t>(size));
#else
  uint32_t capacity = static_cast<uint32_t>(buffer.size());
  if (::_NSGetExecutablePath(buffer.data(), &capacity) != 0) return OsError(ENAMETOOLONG, "find the running program");
  std::array<char, 4096> resolved;  // PATH_MAX is 1024 on macOS
  if (::realpath(buffer.data(), resolved.data()) == nullptr) return OsError(errno, "find the running program");
  return std::string(resolved.data());
#endif
}

bool ParentIs(pid_t pid) { return ::getppid() == pid; }

}  // namespace millrace
