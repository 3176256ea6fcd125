#include "os/wake.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>

#include "base/clock.h"
#include "os/os_error.h"

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#elif defined(__APPLE__)
// The public os_sync_* calls need macOS 14.4; these underlie them since 10.12 and are what the system's C++ library uses.
extern "C" int __ulock_wait2(uint32_t operation, void* address, uint64_t value, uint64_t timeout_ns, uint64_t value2);
extern "C" int __ulock_wake(uint32_t operation, void* address, uint64_t value);
#endif

namespace millrace {

namespace {

Result<std::pair<UniqueFd, UniqueFd>> NonBlockingPipe() {
  std::array<int, 2> ends;
#if defined(__linux__)
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return OsError(errno, "create a pipe");
  std::pair<UniqueFd, UniqueFd> pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
#else
  if (::pipe(ends.data()) != 0) return OsError(errno, "create a pipe");
  std::pair<UniqueFd, UniqueFd> pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  for (const int fd : ends) {
    RETURN_IF_ERROR(SetCloseOnExec(fd, true));
    RETURN_IF_ERROR(SetNonBlocking(fd));
  }
#endif
  return pipe;
}

timespec ToTimespec(std::chrono::nanoseconds duration) {
  const int64_t ns = std::max<int64_t>(duration.count(), 0);
  timespec time{};
  time.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
  time.tv_nsec = static_cast<long>(ns % 1'000'000'000);
  return time;
}

}  // namespace

Result<WakeEvent> WakeEvent::Create() {
#if defined(__linux__)
  WakeEvent event;
  event.read_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.read_.valid()) return OsError(errno, "create an eventfd");
  event.is_counter_ = true;
  return event;
#else
  return CreateForPeers();
#endif
}

Result<WakeEvent> WakeEvent::CreateForPeers() {
  ASSIGN_OR_RETURN(auto pipe, NonBlockingPipe());
  WakeEvent event;
  event.read_ = std::move(pipe.first);
  event.write_ = std::move(pipe.second);
  return event;
}

WakeEvent WakeEvent::ForWaiting(UniqueFd fd) {
  WakeEvent event;
  event.read_ = std::move(fd);
  return event;
}

WakeEvent WakeEvent::ForSignalling(UniqueFd fd) {
  WakeEvent event;
  event.write_ = std::move(fd);
  return event;
}

void WakeEvent::Signal() {
  const uint64_t one = 1;
  // EAGAIN means full, that is, set already; EPIPE means nobody will ever wait again. Neither is a failure of the signaller.
  while (::write(signal_fd(), &one, is_counter_ ? sizeof(one) : 1) < 0 && errno == EINTR) {
  }
}

void WakeEvent::Drain() {
  std::array<char, 512> sink;
  // An eventfd empties with one read. A pipe holds as many bytes as there were signals since the last Drain; a writer that keeps
  // adding must not hold us here, so what is left after some reads makes the descriptor readable again, nothing worse.
  for (int i = 0; i < 16; ++i) {
    const ssize_t got = ::read(read_.get(), sink.data(), sink.size());
    if (got < 0 && errno == EINTR) continue;
    if (is_counter_ || got < static_cast<ssize_t>(sink.size())) return;
  }
}

bool WakeEvent::Wait(std::optional<std::chrono::nanoseconds> timeout) {
  const int64_t deadline = timeout ? MonotonicNs() + timeout->count() : 0;
  while (true) {
    pollfd entry{read_.get(), POLLIN, 0};
#if defined(__linux__)
    timespec left = timeout ? ToTimespec(std::chrono::nanoseconds(deadline - MonotonicNs())) : timespec{};
    const int ready = ::ppoll(&entry, 1, timeout ? &left : nullptr, nullptr);
#else
    const int64_t left_ms = timeout ? (std::max<int64_t>(deadline - MonotonicNs(), 0) + 999'999) / 1'000'000 : -1;
    const int ready = ::poll(&entry, 1, static_cast<int>(std::min<int64_t>(left_ms, INT_MAX)));
#endif
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) return true;  // nothing sensible to wait for: let the caller look
  }
}

#if defined(__linux__)

bool WaitOnWord(const std::atomic<uint32_t>& word, uint32_t expected, WordScope scope,
                std::optional<std::chrono::nanoseconds> timeout) {
  const timespec limit = timeout ? ToTimespec(*timeout) : timespec{};
  const int operation = scope == WordScope::kThreads ? FUTEX_WAIT_PRIVATE : FUTEX_WAIT;
  const long result = ::syscall(SYS_futex, &word, operation, expected, timeout ? &limit : nullptr, nullptr, 0);
  return !(result == -1 && errno == ETIMEDOUT);
}

namespace {
void Wake(const std::atomic<uint32_t>& word, WordScope scope, int count) {
  const int operation = scope == WordScope::kThreads ? FUTEX_WAKE_PRIVATE : FUTEX_WAKE;
  ::syscall(SYS_futex, &word, operation, count, nullptr, nullptr, 0);
}
}  // namespace

void WakeOne(const std::atomic<uint32_t>& word, WordScope scope) { Wake(word, scope, 1); }
void WakeAll(const std::atomic<uint32_t>& word, WordScope scope) { Wake(word, scope, INT_MAX); }

#elif defined(__APPLE__)

namespace {
constexpr uint32_t kCompareAndWait = 1;
constexpr uint32_t kCompareAndWaitShared = 3;
constexpr uint32_t kWakeAll = 0x00000100;
constexpr uint32_t kNoErrno = 0x01000000;

uint32_t Operation(WordScope scope) {
  return (scope == WordScope::kThreads ? kCompareAndWait : kCompareAndWaitShared) | kNoErrno;
}
void* Address(const std::atomic<uint32_t>& word) { return const_cast<std::atomic<uint32_t>*>(&word); }
}  // namespace

bool WaitOnWord(const std::atomic<uint32_t>& word, uint32_t expected, WordScope scope,
                std::optional<std::chrono::nanoseconds> timeout) {
  // 0 means "for ever" to the system call.
  const uint64_t limit = timeout ? static_cast<uint64_t>(std::max<int64_t>(timeout->count(), 1)) : 0;
  return __ulock_wait2(Operation(scope), Address(word), expected, limit, 0) != -ETIMEDOUT;
}

void WakeOne(const std::atomic<uint32_t>& word, WordScope scope) { __ulock_wake(Operation(scope), Address(word), 0); }
void WakeAll(const std::atomic<uint32_t>& word, WordScope scope) { __ulock_wake(Operation(scope) | kWakeAll, Address(word), 0); }

#endif

}  // namespace millrace
