// Waking a thread or a process that sleeps: an event with a descriptor for event loops, and a wait on one word of memory.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

#include "base/status.h"
#include "os/fd.h"

namespace millrace {

// Set by Signal, cleared by Drain, readable (poll, epoll, kqueue) while set. Signals before a Drain merge into one. Signal and
// Drain never block. One object may be signalled by any thread; one thread waits.
class WakeEvent {
 public:
  WakeEvent() = default;

  // Both ends in one process (Linux: one eventfd; elsewhere a pipe).
  static Result<WakeEvent> Create();

  // For a waiter and a signaller that do not trust each other: always a pipe. With an eventfd both hold the same open file, and a
  // hostile peer could make it blocking under our feet and stop our event loop; the ends of a pipe have flags of their own.
  static Result<WakeEvent> CreateForPeers();

  // The one end that came from a peer.
  static WakeEvent ForWaiting(UniqueFd fd);
  static WakeEvent ForSignalling(UniqueFd fd);

  bool valid() const { return read_.valid() || write_.valid(); }
  void Signal();
  void Drain();
  // True as soon as the event is set (it stays set), false after `timeout`; nothing = wait for ever. A closed peer counts as set.
  bool Wait(std::optional<std::chrono::nanoseconds> timeout);

  int fd() const { return read_.get(); }  // what to watch for readability; -1 at a signalling end
  int signal_fd() const { return write_.valid() ? write_.get() : read_.get(); }

 private:
  UniqueFd read_;
  UniqueFd write_;           // not used where one descriptor serves both ends
  bool is_counter_ = false;  // an eventfd: values are 8 bytes
};

// Who shares the word: threads of this process, or several processes (memory mapped shared).
enum class WordScope { kThreads, kProcesses };

// Sleeps while *word == expected, until WakeWord, the timeout (nothing = for ever) or no reason at all: check the word again
// afterwards. Returns false after a timeout. Only the comparison with `expected` is atomic with falling asleep.
bool WaitOnWord(const std::atomic<uint32_t>& word, uint32_t expected, WordScope scope,
                std::optional<std::chrono::nanoseconds> timeout = std::nullopt);
void WakeOne(const std::atomic<uint32_t>& word, WordScope scope);
void WakeAll(const std::atomic<uint32_t>& word, WordScope scope);

// One iteration of a spin loop: tells the core that we wait.
inline void SpinPause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");  // `yield` is a no-op on most cores
#endif
}

}  // namespace millrace
