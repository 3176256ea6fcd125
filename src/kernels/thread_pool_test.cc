#include "kernels/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <thread>

#include "base/clock.h"

namespace millrace::kernels {
namespace {

TEST(ThreadPool, EveryThreadRunsTheSectionOnce) {
  for (const uint32_t threads : {1U, 2U, 3U, 8U}) {
    ThreadPool pool(threads);
    std::vector<int> calls(threads);
    for (int round = 0; round < 50; ++round) {
      pool.Run("count", [&](const SectionContext& context) {
        EXPECT_EQ(context.threads(), threads);
        ++calls[context.thread()];
      });
    }
    EXPECT_EQ(calls, std::vector<int>(threads, 50));
  }
}

TEST(ThreadPool, SharesCoverEverythingOnceInOrder) {
  ThreadPool pool(4);
  for (const size_t count : {0UL, 1UL, 3UL, 4UL, 103UL}) {
    std::vector<IndexRange> ranges(4);
    pool.Run("share", [&](const SectionContext& context) { ranges[context.thread()] = context.Share(count); });
    size_t at = 0;
    for (const IndexRange& range : ranges) {
      EXPECT_EQ(range.begin, at);
      EXPECT_LE(range.end - range.begin, count / 4 + 1);
      at = range.end;
    }
    EXPECT_EQ(at, count);
  }
}

TEST(ThreadPool, ABarrierPublishesWhatWasWrittenBefore) {
  for (const uint32_t threads : {2U, 3U, 6U}) {
    ThreadPool pool(threads);
    std::vector<uint64_t> values(threads, 1);
    std::vector<uint64_t> sums(threads);
    for (int section = 0; section < 20; ++section) {
      pool.Run("barrier", [&](const SectionContext& context) {
        for (int round = 0; round < 20; ++round) {
          sums[context.thread()] = std::accumulate(values.begin(), values.end(), uint64_t{0});
          context.Barrier();
          values[context.thread()] = sums[context.thread()] % 1000 + context.thread();
          context.Barrier();
        }
      });
    }
    std::vector<uint64_t> expected(threads, 1);
    for (int round = 0; round < 400; ++round) {
      const uint64_t sum = std::accumulate(expected.begin(), expected.end(), uint64_t{0});
      for (uint32_t i = 0; i < threads; ++i) expected[i] = sum % 1000 + i;
    }
    EXPECT_EQ(values, expected);
  }
}

TEST(ThreadPool, TheSharedCounterStartsAnewInEverySection) {
  ThreadPool pool(3);
  for (int round = 0; round < 10; ++round) {
    std::vector<int> taken(100);
    pool.Run("next", [&](const SectionContext& context) {
      for (size_t i = context.Next(); i < taken.size(); i = context.Next()) ++taken[i];
    });
    EXPECT_EQ(taken, std::vector<int>(100, 1));
  }
}

TEST(ThreadPool, SleepingThreadsWakeUp) {
  ThreadPool pool(2);
  int calls = 0;
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // far beyond the spinning
    pool.Run("wake", [&](const SectionContext& context) {
      if (context.thread() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // thread 0 falls asleep, too
      context.Barrier();
      if (context.thread() == 1) ++calls;
    });
  }
  EXPECT_EQ(calls, 5);
}

TEST(ThreadPool, BooksTimeUnderTheNameOfTheSection) {
  ThreadPool pool(2);
  const char* name = "slow";
  for (int i = 0; i < 3; ++i) {
    pool.Run(name, [](const SectionContext&) { std::this_thread::sleep_for(std::chrono::milliseconds(1)); });
  }
  const std::vector<SectionTime> times = pool.SectionTimes();
  ASSERT_EQ(times.size(), 1U);
  EXPECT_STREQ(times[0].name, "slow");
  EXPECT_EQ(times[0].runs, 3U);
  EXPECT_GE(times[0].wall_ns, 3'000'000);
  EXPECT_EQ(times[0].wall_ns, pool.section_ns());
}

// More threads than processors: with a spin that never sleeps this takes whole time slices per section.
TEST(ThreadPool, DoesNotCollapseWhenThereAreMoreThreadsThanProcessors) {
  ThreadPool pool(4 * std::max(1U, std::thread::hardware_concurrency()));
  const int64_t start_ns = MonotonicNs();
  for (int i = 0; i < 200; ++i) {
    pool.Run("crowded", [](const SectionContext& context) { context.Barrier(); });
  }
  EXPECT_LT(MonotonicNs() - start_ns, 2'000'000'000);
}

}  // namespace
}  // namespace millrace::kernels
