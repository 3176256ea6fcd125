#include "kernels/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

#include "base/clock.h"

namespace millrace::kernels {
namespace {

using std::chrono::milliseconds;

TEST(ThreadPool, EveryItemIsDoneOnce) {
  for (const uint32_t threads : {1U, 2U, 3U, 8U}) {
    ThreadPool pool(threads);
    for (const size_t items : {0UL, 1UL, 2UL, 7UL, 100UL, 1003UL}) {
      for (const size_t grain : {0UL, 1UL, 3UL, 64UL, 5000UL}) {
        std::vector<int> done(items);
        pool.Run("items", {.items = items, .grain = grain}, [&](SectionContext& context) {
          EXPECT_LT(context.thread(), threads);
          do {
            EXPECT_LT(context.range().begin, context.range().end);
            for (size_t i = context.range().begin; i < context.range().end; ++i) ++done[i];
          } while (context.Next());
        });
        ASSERT_EQ(done, std::vector<int>(items, 1)) << threads << " threads, grain " << grain;
      }
    }
  }
}

TEST(ThreadPool, OneSectionSeesWhatTheLastOneWrote) {
  for (const uint32_t threads : {2U, 3U, 6U}) {
    ThreadPool pool(threads);
    std::vector<uint64_t> values(64, 1);
    std::vector<uint64_t> sums(64);
    for (int round = 0; round < 300; ++round) {
      pool.Run("sum", {.items = values.size(), .grain = 2}, [&](SectionContext& context) {
        do {
          for (size_t i = context.range().begin; i < context.range().end; ++i) {
            sums[i] = std::accumulate(values.begin(), values.end(), uint64_t{i});
          }
        } while (context.Next());
      });
      pool.Run("store", {.items = values.size(), .grain = 2}, [&](SectionContext& context) {
        do {
          for (size_t i = context.range().begin; i < context.range().end; ++i) values[i] = sums[63 - i] % 1000;
        } while (context.Next());
      });
    }
    std::vector<uint64_t> expected(64, 1);
    for (int round = 0; round < 300; ++round) {
      const uint64_t sum = std::accumulate(expected.begin(), expected.end(), uint64_t{0});
      for (size_t i = 0; i < 64; ++i) expected[i] = (sum + 63 - i) % 1000;
    }
    EXPECT_EQ(values, expected);
  }
}

TEST(ThreadPool, AFunctionIsCalledOncePerThreadAndGoesThroughAllPieces) {
  ThreadPool pool(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<int> calls(3);
    pool.Run("calls", {.items = 300, .grain = 1}, [&](SectionContext& context) {
      ++calls[context.thread()];
      while (context.Next()) {
      }
    });
    EXPECT_LE(*std::max_element(calls.begin(), calls.end()), 1);
    EXPECT_GE(std::accumulate(calls.begin(), calls.end(), 0), 1);
  }
}

// One thread is held up in its first piece; the other must do everything else, and the section must wait for the late one.
TEST(ThreadPool, OthersDoTheWorkOfOneWhoIsHeldUp) {
  ThreadPool pool(2);
  std::vector<uint32_t> owner(100, 99);
  pool.Run("held", {.items = 100, .grain = 1}, [&](SectionContext& context) {
    bool first = true;
    do {
      if (first && context.thread() == 0) std::this_thread::sleep_for(milliseconds(30));
      first = false;
      if (context.thread() == 1) std::this_thread::sleep_for(std::chrono::microseconds(20));
      owner[context.range().begin] = context.thread();
    } while (context.Next());
  });
  EXPECT_EQ(owner[0], 0U);
  EXPECT_EQ(std::count(owner.begin(), owner.end(), 99U), 0);
  EXPECT_GT(std::count(owner.begin(), owner.begin() + 50, 1U), 0);  // from the share of thread 0
}

// Whom the kernel wakes slowly is not called at the next section, so no single round must have both; the items are done in every one.
TEST(ThreadPool, SleepingThreadsWakeUp) {
  ThreadPool pool(2);
  int woken = 0;
  for (int round = 0; round < 200 && woken < 3; ++round) {
    std::this_thread::sleep_for(milliseconds(5));  // far beyond the spinning
    std::atomic<int> pieces{0};
    std::atomic<bool> other{false};
    pool.Run("wake", {.items = 2, .grain = 1}, [&](SectionContext& context) {
      if (context.thread() == 1) other = true;
      do {
        ++pieces;
        std::this_thread::sleep_for(milliseconds(20));  // long enough for the other one to come, and for the first to fall asleep
      } while (context.Next());
    });
    ASSERT_EQ(pieces.load(), 2);
    if (other) ++woken;
  }
  EXPECT_EQ(woken, 3);
}

TEST(ThreadPool, BooksTimeUnderTheNameOfTheSection) {
  ThreadPool pool(2);
  const char* name = "slow";
  for (int i = 0; i < 3; ++i) {
    pool.Run(name, {.items = 1, .grain = 1}, [](SectionContext&) { std::this_thread::sleep_for(milliseconds(1)); });
  }
  const std::vector<SectionTime> times = pool.SectionTimes();
  ASSERT_EQ(times.size(), 1U);
  EXPECT_STREQ(times[0].name, "slow");
  EXPECT_EQ(times[0].runs, 3U);
  EXPECT_GE(times[0].wall_ns, 3'000'000);
  EXPECT_EQ(times[0].wall_ns, pool.section_ns());
}

// With a spin that never sleeps, or sections that wait for every thread, this takes whole time slices per section.
TEST(ThreadPool, DoesNotCollapseWhenThereAreMoreThreadsThanProcessors) {
  ThreadPool pool(4 * std::max(1U, std::thread::hardware_concurrency()));
  const int64_t start_ns = MonotonicNs();
  for (int i = 0; i < 500; ++i) {
    pool.Run("crowded", {.items = 64, .grain = 1}, [](SectionContext& context) {
      while (context.Next()) {
      }
    });
  }
  EXPECT_LT(MonotonicNs() - start_ns, 2'000'000'000);
}

}  // namespace
}  // namespace millrace::kernels
