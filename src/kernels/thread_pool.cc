#include "kernels/thread_pool.h"

#include <algorithm>

#include "base/check.h"
#include "base/clock.h"
#include "os/thread.h"
#include "os/wake.h"

namespace millrace::kernels {
namespace {

// About the time of a short section: long enough to stay awake through the sections of a step, short enough to give a core away.
constexpr uint32_t kSpins = 2000;

uint32_t Processors() { return std::max(1U, std::thread::hardware_concurrency()); }

}  // namespace

size_t SectionContext::Next() const { return pool_->next_.fetch_add(1, std::memory_order_relaxed); }

void SectionContext::Barrier() const {
  if (threads_ > 1) pool_->BarrierWait();
}

ThreadPool::ThreadPool(uint32_t threads)
    : threads_(threads == 0 ? std::min(Processors(), kMaxThreads) : threads), spins_(threads_ > Processors() ? 0 : kSpins) {
  CHECK(threads_ <= kMaxThreads, "the caller bounds the number of threads");
  workers_.reserve(threads_ - 1);
  for (uint32_t thread = 1; thread < threads_; ++thread) workers_.emplace_back([this, thread] { WorkerLoop(thread); });
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  Advance(epoch_);
  for (std::thread& worker : workers_) worker.join();
}

uint32_t ThreadPool::WaitWhile(WaitWord& word, uint32_t old) const {
  for (uint32_t i = 0; i < spins_; ++i) {
    const uint32_t now = word.value.load(std::memory_order_acquire);
    if (now != old) return now;
    SpinPause();
  }
  // Announce the sleep before the last look: either Advance sees the sleeper, or this thread sees the new value (both seq_cst).
  word.sleepers.fetch_add(1);
  uint32_t now = word.value.load();
  while (now == old) {
    WaitOnWord(word.value, old, WordScope::kThreads);
    now = word.value.load();
  }
  word.sleepers.fetch_sub(1, std::memory_order_relaxed);
  return now;
}

void ThreadPool::Advance(WaitWord& word) {
  word.value.fetch_add(1);
  if (word.sleepers.load() != 0) WakeAll(word.value, WordScope::kThreads);
}

void ThreadPool::RunErased(const char* name, Call call, void* object) {
  const int64_t start_ns = MonotonicNs();
  next_.store(0, std::memory_order_relaxed);
  if (threads_ == 1) {
    call(object, SectionContext(this, 0, 1));
  } else {
    const uint32_t finished = finished_.value.load(std::memory_order_relaxed);
    call_ = call;
    object_ = object;
    running_.store(threads_ - 1, std::memory_order_relaxed);
    Advance(epoch_);
    call(object, SectionContext(this, 0, threads_));
    WaitWhile(finished_, finished);
  }
  const int64_t wall_ns = MonotonicNs() - start_ns;
  section_ns_ += wall_ns;
  Book(name, wall_ns);
}

void ThreadPool::WorkerLoop(uint32_t thread) {
  SetThreadName("compute");
  uint32_t epoch = 0;
  for (;;) {
    epoch = WaitWhile(epoch_, epoch);
    if (stop_) return;
    call_(object_, SectionContext(this, thread, threads_));
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) Advance(finished_);
  }
}

void ThreadPool::BarrierWait() {
  const uint32_t phase = phase_.value.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
    arrived_.store(0, std::memory_order_relaxed);
    Advance(phase_);
  } else {
    WaitWhile(phase_, phase);
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
