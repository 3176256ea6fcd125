#include "kernels/thread_pool.h"

#include <algorithm>

#include "base/check.h"
#include "base/clock.h"
#include "os/thread.h"
#include "os/wake.h"

namespace millrace::kernels {
namespace {

// Some 100 us: long enough to stay awake from section to section and mostly from step to step, short enough to give a core away.
constexpr uint32_t kSpins = 2000;

// A wait this long, and longer than the section's own work, is a neighbour's time slice. Then the caller works alone for as long as
// makes the next such wait cost a small part.
constexpr int64_t kStallNs = 400'000;
constexpr int64_t kAloneFactor = 16;
constexpr int64_t kMaxAloneNs = 100'000'000;

// Waking takes microseconds, but where a neighbour has the other core, the kernel likes to put the woken thread in the caller's place:
// 125 us were measured, at every section. So the next wake-up waits for this many times as long as the last one took.
constexpr int64_t kWakeFactor = 16;

constexpr uint64_t Pack(size_t next, size_t end) { return (uint64_t{end} << 32) | next; }

uint32_t Processors() { return std::max(1U, std::thread::hardware_concurrency()); }

}  // namespace

bool SectionContext::Next() {
  if (!pool_->Claim(thread_, range_)) return false;
  done_ += range_.end - range_.begin;
  return true;
}

ThreadPool::ThreadPool(uint32_t threads)
    : threads_(threads == 0 ? std::min(Processors(), kMaxThreads) : threads),
      spins_(threads_ > Processors() ? 0 : kSpins),
      shares_(std::make_unique<Share[]>(threads_)) {
  CHECK(threads_ <= kMaxThreads, "the caller bounds the number of threads");
  workers_.reserve(threads_ - 1);
  for (uint32_t thread = 1; thread < threads_; ++thread) workers_.emplace_back([this, thread] { WorkerLoop(thread); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  Advance(started_);
  for (std::thread& worker : workers_) worker.join();
}

uint32_t ThreadPool::WaitWhile(WaitWord& word, uint32_t old) const {
  for (uint32_t i = 0; i < spins_; ++i) {
    const uint32_t now = word.value.load(std::memory_order_acquire);
    if (now != old) return now;
    SpinPause();
  }
  for (;;) {
    // Announce the sleep before the last look: either Advance sees the announcement, or this thread sees the new value (both seq_cst).
    word.sleeping.store(1);
    const uint32_t now = word.value.load();
    if (now != old) return now;
    WaitOnWord(word.value, old, WordScope::kThreads);
  }
}

void ThreadPool::Advance(WaitWord& word) {
  word.value.fetch_add(1);
  // One wake-up per announcement: who is on his way already is not called again.
  if (word.sleeping.load() != 0 && word.sleeping.exchange(0) != 0) WakeAll(word.value, WordScope::kThreads);
}

bool ThreadPool::Claim(uint32_t thread, IndexRange& range) {
  const size_t grain = grain_.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < threads_; ++i) {
    const uint32_t owner = thread + i < threads_ ? thread + i : thread + i - threads_;
    std::atomic<uint64_t>& share = shares_[owner].state;
    uint64_t state = share.load(std::memory_order_acquire);
    for (;;) {
      const size_t next = state & 0xFFFFFFFFU;
      const size_t end = state >> 32;
      if (next >= end) break;
      const size_t take = std::min(grain, end - next);
      // The owner goes forward through one contiguous stream, helpers take from its far end.
      range = i == 0 ? IndexRange{next, next + take} : IndexRange{end - take, end};
      const uint64_t left = i == 0 ? Pack(next + take, end) : Pack(next, end - take);
      if (share.compare_exchange_weak(state, left, std::memory_order_acquire, std::memory_order_acquire)) return true;
    }
  }
  return false;
}

bool ThreadPool::TakePart(uint32_t thread) {
  IndexRange first;
  if (!Claim(thread, first)) return false;
  SectionContext context(this, thread, first);
  call_(object_, context);
  const size_t items = items_;  // once its items are counted, the section may end and another begin
  return done_.fetch_add(context.done_, std::memory_order_acq_rel) + context.done_ == items;
}

void ThreadPool::Start(SectionSize size, bool alone) {
  items_ = size.items;
  grain_.store(std::max<size_t>(size.grain, 1), std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  size_t begin = 0;
  const uint32_t sharers = alone ? 1 : threads_;
  for (uint32_t thread = 0; thread < sharers; ++thread) {
    const size_t end = begin + size.items / sharers + (thread < size.items % sharers ? 1 : 0);
    shares_[thread].state.store(Pack(begin, end), std::memory_order_release);
    begin = end;
  }
}

void ThreadPool::CallWorkers(int64_t now_ns) {
  started_.value.fetch_add(1);
  if (started_.sleeping.load() == 0 || now_ns < next_wake_ns_) return;
  started_.sleeping.store(0);
  WakeAll(started_.value, WordScope::kThreads);
  const int64_t end_ns = MonotonicNs();
  next_wake_ns_ = end_ns + kWakeFactor * (end_ns - now_ns);
}

void ThreadPool::WaitForOthers(uint32_t finished, int64_t start_ns) {
  const int64_t wait_ns = MonotonicNs();
  WaitWhile(finished_, finished);
  const int64_t end_ns = MonotonicNs();
  const int64_t waited_ns = end_ns - wait_ns;
  if (waited_ns < kStallNs || waited_ns < wait_ns - start_ns) return;
  alone_until_ns_ = end_ns + std::min(kAloneFactor * waited_ns, kMaxAloneNs);
}

void ThreadPool::RunErased(const char* name, SectionSize size, Call call, void* object) {
  CHECK(size.items < (uint64_t{1} << 32), "a section of too many items");
  if (size.items == 0) return;
  const int64_t start_ns = MonotonicNs();
  call_ = call;
  object_ = object;
  const uint32_t finished = finished_.value.load(std::memory_order_relaxed);
  const bool alone = threads_ == 1 || start_ns < alone_until_ns_;
  Start(size, alone);
  if (!alone) CallWorkers(start_ns);
  if (!TakePart(0)) WaitForOthers(finished, start_ns);
  const int64_t wall_ns = MonotonicNs() - start_ns;
  section_ns_ += wall_ns;
  Book(name, wall_ns);
}

void ThreadPool::WorkerLoop(uint32_t thread) {
  SetThreadName("compute");
  uint32_t started = 0;
  for (;;) {
    started = WaitWhile(started_, started);
    if (stop_.load(std::memory_order_relaxed)) return;
    if (TakePart(thread)) Advance(finished_);
  }
}

void ThreadPool::Book(const char* name, int64_t wall_ns) {
  for (SectionTime& time : times_) {
    if (time.name == nullptr) time.name = name;
    if (time.name == name) {
      ++time.runs;
      time.wall_ns += wall_ns;
      return;
    }
  }
}

std::vector<SectionTime> ThreadPool::SectionTimes() const {
  std::vector<SectionTime> used;
  for (const SectionTime& time : times_) {
    if (time.name != nullptr) used.push_back(time);
  }
  return used;
}

}  // namespace millrace::kernels
