#include "os/signals.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <utility>

#include "os/os_error.h"

#if defined(__linux__)
#include <sys/signalfd.h>
#endif

namespace millrace {

namespace {

sigset_t SetOf(const std::vector<int>& signals) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : signals) ::sigaddset(&set, number);
  return set;
}

#if !defined(__linux__)
// Written by Capture, read by the handler, which may run in any thread.
std::atomic<int> handler_fd{-1};

void OnSignal(int number) {
  const int saved = errno;
  const unsigned char byte = static_cast<unsigned char>(number);
  (void)!::write(handler_fd.load(std::memory_order_relaxed), &byte, 1);
  errno = saved;
}
#endif

}  // namespace

SignalQueue::SignalQueue(SignalQueue&& other) noexcept
    : read_(std::move(other.read_)), write_(std::move(other.write_)), signals_(std::exchange(other.signals_, {})) {}

SignalQueue& SignalQueue::operator=(SignalQueue&& other) noexcept {
  std::swap(read_, other.read_);
  std::swap(write_, other.write_);
  std::swap(signals_, other.signals_);
  return *this;
}

SignalQueue::~SignalQueue() { Restore(); }

#if defined(__linux__)

Result<SignalQueue> SignalQueue::Capture(std::initializer_list<int> signals) {
  SignalQueue queue;
  const std::vector<int> numbers(signals);
  const sigset_t set = SetOf(numbers);
  queue.read_ = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!queue.read_.valid()) return OsError(errno, "create a signalfd");
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) return OsError(error, "block signals");
  queue.signals_ = numbers;
  return queue;
}

std::optional<int> SignalQueue::Next() {
  signalfd_siginfo info;
  while (true) {
    const ssize_t got = ::read(read_.get(), &info, sizeof(info));
    if (got == static_cast<ssize_t>(sizeof(info))) return static_cast<int>(info.ssi_signo);
    if (got < 0 && errno == EINTR) continue;
    return std::nullopt;
  }
}

void SignalQueue::Restore() {
  if (signals_.empty()) return;
  const sigset_t set = SetOf(signals_);
  while (Next()) {
  }
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

#else

Result<SignalQueue> SignalQueue::Capture(std::initializer_list<int> signals) {
  SignalQueue queue;
  std::array<int, 2> ends;
  if (::pipe(ends.data()) != 0) return OsError(errno, "create a pipe");
  queue.read_ = UniqueFd(ends[0]);
  queue.write_ = UniqueFd(ends[1]);
  for (const int fd : ends) {
    RETURN_IF_ERROR(SetNonBlocking(fd));
    RETURN_IF_ERROR(SetCloseOnExec(fd, true));
  }
  handler_fd.store(ends[1], std::memory_order_relaxed);
  for (const int number : signals) {
    struct sigaction action{};
    action.sa_handler = OnSignal;
    action.sa_flags = SA_RESTART;
    if (::sigaction(number, &action, nullptr) != 0) return OsError(errno, "install a signal handler");
    queue.signals_.push_back(number);
  }
  return queue;
}

std::optional<int> SignalQueue::Next() {
  unsigned char number = 0;
  while (true) {
    const ssize_t got = ::read(read_.get(), &number, 1);
    if (got == 1) return number;
    if (got < 0 && errno == EINTR) continue;
    return std::nullopt;
  }
}

void SignalQueue::Restore() {
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  for (const int number : signals_) ::sigaction(number, &standard, nullptr);
  if (!signals_.empty()) handler_fd.store(-1, std::memory_order_relaxed);
}

#endif

void IgnoreBrokenPipes() {
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, nullptr);
}

}  // namespace millrace
