// ThreadPool: runs one parallel *section* at a time on a fixed set of threads; the caller is thread 0.
//
// Every wait spins briefly and then sleeps in the kernel, and with more threads than processors it does not spin at all: a
// neighbour that takes a core costs that core's share and nothing more (a pure spin was measured to collapse to one percent).
//
// Run and everything that configures the pool belong to one thread. The function given to Run is called once per thread at the
// same time; what it writes before its return is visible to the caller after Run, and to the other threads after a Barrier.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

#include "kernels/index_range.h"

namespace millrace::kernels {

class ThreadPool;

// What a section's function knows about the thread that runs it.
class SectionContext {
 public:
  uint32_t thread() const { return thread_; }
  uint32_t threads() const { return threads_; }

  // This thread's share of [0, count): contiguous, ascending with the thread, sizes differ by at most one.
  IndexRange Share(size_t count) const {
    const size_t each = count / threads_;
    const size_t extra = count % threads_;
    const size_t begin = thread_ * each + (thread_ < extra ? thread_ : extra);
    return {begin, begin + each + (thread_ < extra ? 1 : 0)};
  }

  // The next number from one counter that all threads of the section share: 0, 1, 2, … Work that is handed out this way goes to
  // whoever is free, so its result must not depend on the thread.
  size_t Next() const;

  // Returns when all threads of the section have called it equally often.
  void Barrier() const;

 private:
  friend class ThreadPool;
  SectionContext(ThreadPool* pool, uint32_t thread, uint32_t threads) : pool_(pool), thread_(thread), threads_(threads) {}
  ThreadPool* pool_;
  uint32_t thread_;
  uint32_t threads_;
};

// Wall time spent in the sections of one name.
struct SectionTime {
  const char* name = nullptr;
  uint64_t runs = 0;
  int64_t wall_ns = 0;
};

class ThreadPool {
 public:
  // At most kMaxThreads; 0 means one thread per processor that this process may use.
  explicit ThreadPool(uint32_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  static constexpr uint32_t kMaxThreads = 256;

  uint32_t threads() const { return threads_; }

  // Calls fn(const SectionContext&) on every thread and returns when all calls have returned. No allocation, no copy of fn.
  // `name` is a literal: time is booked under its address. Sections do not nest.
  template <typename Fn>
  void Run(const char* name, Fn&& fn) {
    using Object = std::remove_reference_t<Fn>;
    RunErased(
        name, [](void* object, const SectionContext& context) { (*static_cast<Object*>(object))(context); },
        const_cast<void*>(static_cast<const void*>(&fn)));
  }

  // Sum over all sections since the pool was made; the difference of two readings is the time inside sections between them.
  int64_t section_ns() const { return section_ns_; }

  // One entry per name, in order of first use; names beyond the sixteenth are not booked.
  std::vector<SectionTime> SectionTimes() const;

 private:
  friend class SectionContext;
  using Call = void (*)(void* object, const SectionContext& context);

  // A number that one side changes and the other waits for. `sleepers` tells the changing side whether a wake-up is needed.
  struct alignas(64) WaitWord {
    std::atomic<uint32_t> value{0};     // publishes everything its changer wrote before
    std::atomic<uint32_t> sleepers{0};  // threads asleep, or about to sleep, on `value`
  };

  void RunErased(const char* name, Call call, void* object);
  void WorkerLoop(uint32_t thread);
  void BarrierWait();
  void Book(const char* name, int64_t wall_ns);
  // Returns the first value other than `old`.
  uint32_t WaitWhile(WaitWord& word, uint32_t old) const;
  static void Advance(WaitWord& word);

  uint32_t threads_;
  uint32_t spins_;  // pauses before a wait sleeps; 0 with more threads than processors
  std::vector<std::thread> workers_;

  // Written by the caller between sections, published to the workers by epoch_.
  Call call_ = nullptr;
  void* object_ = nullptr;
  bool stop_ = false;

  WaitWord epoch_;                                // advanced when a section starts
  WaitWord finished_;                             // advanced by the last worker that leaves a section
  WaitWord phase_;                                // advanced by the last thread that reaches a barrier
  alignas(64) std::atomic<uint32_t> running_{0};  // workers still inside the section
  alignas(64) std::atomic<uint32_t> arrived_{0};  // threads that have reached the current barrier
  alignas(64) std::atomic<size_t> next_{0};       // SectionContext::Next

  int64_t section_ns_ = 0;
  std::array<SectionTime, 16> times_{};
};

}  // namespace millrace::kernels
