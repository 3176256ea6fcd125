// ThreadPool: runs one parallel *section* at a time on a fixed set of threads; the caller is thread 0.
//
// A section is a number of items. Each thread owns a contiguous share of them and takes it piece by piece; who is through with his own
// helps the others from the back of theirs. Nobody has to come: a thread that is asleep, or whose core a neighbour has taken, simply
// leaves its share to the rest, and the section ends when all items are done. That is why there is no barrier inside a section, and
// why a busy neighbour costs its share of the machine and not more (with fixed shares, every section would wait for a time slice).
//
// Which thread does an item must therefore not matter to the result.
//
// Where the caller has to wait long all the same, because a thread was taken off its core in the middle of a piece, it works alone for
// a while before it calls the others again; and sleeping threads are not woken so often that it would cost more than a small part. Every wait spins briefly and then sleeps in the kernel; with more threads than processors it
// does not spin at all.
//
// Run belongs to one thread. What a section writes is visible to the caller after Run, and to all threads in later sections.
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

// What a section's function knows while it runs. The function is called once on each thread that takes part, with a first piece at
// hand, and must go through all pieces:
//
//   pool.Run("name", {.items = n, .grain = 8}, [&](SectionContext& context) {
//     …                                         // once per thread: thread-local preparation
//     do Work(context.range()); while (context.Next());
//   });
class SectionContext {
 public:
  uint32_t thread() const { return thread_; }  // 0 .. threads - 1, for memory of its own
  IndexRange range() const { return range_; }  // the piece to do now; not empty
  bool Next();                                 // takes another piece; false when none is left

 private:
  friend class ThreadPool;
  SectionContext(ThreadPool* pool, uint32_t thread, IndexRange first)
      : pool_(pool), thread_(thread), range_(first), done_(first.end - first.begin) {}
  ThreadPool* pool_;
  uint32_t thread_;
  IndexRange range_;
  size_t done_;  // items of all pieces so far
};

struct SectionSize {
  size_t items = 0;  // below 2^32
  // About how many items a piece has: so many that taking it (some 10 ns) does not matter. A piece may turn out larger: a thread that
  // was held up while it took one may still go by the last section's grain.
  size_t grain = 1;
};

// Wall time spent in the sections of one name.
struct SectionTime {
  const char* name = nullptr;
  uint64_t runs = 0;
  int64_t wall_ns = 0;
};

class ThreadPool {
 public:
  static constexpr uint32_t kMaxThreads = 256;

  // At most kMaxThreads; 0 means one thread per processor that this process may use.
  explicit ThreadPool(uint32_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  uint32_t threads() const { return threads_; }

  // Calls fn(SectionContext&) as described above and returns when all items are done. No allocation, no copy of fn. Sections do not
  // nest. `name` is a literal: time is booked under its address.
  template <typename Fn>
  void Run(const char* name, SectionSize size, Fn&& fn) {
    using Object = std::remove_reference_t<Fn>;
    const auto call = [](void* object, SectionContext& context) { (*static_cast<Object*>(object))(context); };
    RunErased(name, size, call, const_cast<void*>(static_cast<const void*>(&fn)));
  }

  // Sum over all sections since the pool was made; the difference of two readings is the time inside sections between them.
  int64_t section_ns() const { return section_ns_; }

  // One entry per name, in order of first use; names beyond the sixteenth are not booked.
  std::vector<SectionTime> SectionTimes() const;

 private:
  friend class SectionContext;
  using Call = void (*)(void* object, SectionContext& context);

  // A number that one side changes and the other waits for.
  struct alignas(64) WaitWord {
    std::atomic<uint32_t> value{0};     // publishes everything its changer wrote before
    std::atomic<uint32_t> sleeping{0};  // 1 when somebody may be asleep on `value`: tells the changer that a wake-up is needed
  };

  // What is left of one thread's share, in one word so that claims are atomic: end (high 32 bits), next (low). A claim is of whatever
  // section runs at that moment, also for a thread that has slept through others: it publishes call_ and object_ to the claimant, and
  // the section cannot end, nor they change, before the claimed items are done.
  struct alignas(64) Share {
    std::atomic<uint64_t> state{0};
  };

  void RunErased(const char* name, SectionSize size, Call call, void* object);
  void Start(SectionSize size, bool alone);
  void CallWorkers(int64_t now_ns);
  void WaitForOthers(uint32_t finished, int64_t start_ns);
  void WorkerLoop(uint32_t thread);
  // Takes part in the running section, if there is one; true when this thread finished the last of its items.
  bool TakePart(uint32_t thread);
  bool Claim(uint32_t thread, IndexRange& range);
  void Book(const char* name, int64_t wall_ns);
  // Returns the first value other than `old`.
  uint32_t WaitWhile(WaitWord& word, uint32_t old) const;
  static void Advance(WaitWord& word);

  uint32_t threads_;
  uint32_t spins_;  // pauses before a wait sleeps; 0 with more threads than processors
  std::vector<std::thread> workers_;
  std::unique_ptr<Share[]> shares_;

  // Written by the caller between sections, read after a successful claim.
  Call call_ = nullptr;
  void* object_ = nullptr;
  size_t items_ = 0;
  std::atomic<size_t> grain_{1};  // read before the claim

  std::atomic<bool> stop_{false};
  WaitWord started_;                         // advanced when a section starts
  WaitWord finished_;                        // advanced by the worker that does a section's last item
  alignas(64) std::atomic<size_t> done_{0};  // items done; publishes their results to the caller

  int64_t alone_until_ns_ = 0;
  int64_t next_wake_ns_ = 0;
  int64_t section_ns_ = 0;
  std::array<SectionTime, 16> times_{};
};

// fn(thread, item) for each item, where nothing has to be prepared per thread.
template <typename Fn>
void ForEach(ThreadPool& pool, const char* name, SectionSize size, Fn&& fn) {
  pool.Run(name, size, [&](SectionContext& context) {
    do {
      for (size_t item = context.range().begin; item < context.range().end; ++item) fn(context.thread(), item);
    } while (context.Next());
  });
}

}  // namespace millrace::kernels
