#include "ipc/channel.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace millrace::ipc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::array<UniqueFd, kChannelFds> Duplicates(const GatewayChannel& channel) {
  std::array<UniqueFd, kChannelFds> out;
  const auto fds = channel.WorkerFds();
  for (size_t i = 0; i < kChannelFds; ++i) out[i] = UniqueFd(::dup(fds[i]));
  return out;
}

bool Readable(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1;
}

std::span<const std::byte> AsBytes(const uint64_t& value) { return std::as_bytes(std::span(&value, 1)); }

uint64_t AsNumber(const Record& record) {
  uint64_t value = 0;
  EXPECT_EQ(record.payload().size(), sizeof(value));
  std::memcpy(&value, record.payload().data(), sizeof(value));
  return value;
}

TEST(ChannelTest, BothWaysThroughASealedSegment) {
  GatewayChannel gateway = GatewayChannel::Create(5).value();
  WorkerChannel worker = WorkerChannel::Open(Duplicates(gateway), 5).value();
  Record record;
  EXPECT_TRUE(gateway.down().TryPush(1, AsBytes(11)).value());
  ASSERT_TRUE(worker.down().TryPop(record).value());
  EXPECT_EQ(AsNumber(record), 11U);

  EXPECT_TRUE(gateway.up().PrepareSleep());
  EXPECT_FALSE(Readable(gateway.wake_fd()));
  EXPECT_TRUE(worker.up().TryPush(2, AsBytes(22)).value());
  EXPECT_TRUE(Readable(gateway.wake_fd()));
  gateway.ClearWake();
  EXPECT_FALSE(Readable(gateway.wake_fd()));
  ASSERT_TRUE(gateway.up().TryPop(record).value());
  EXPECT_EQ(AsNumber(record), 22U);
  EXPECT_TRUE(worker.up().TryPush(2, AsBytes(23)).value());
  EXPECT_FALSE(Readable(gateway.wake_fd())) << "nobody asked for a wake-up";
}

TEST(ChannelTest, MovedEndsKeepWorking) {
  GatewayChannel first = GatewayChannel::Create(5).value();
  WorkerChannel worker = WorkerChannel::Open(Duplicates(first), 5).value();
  GatewayChannel second = std::move(first);
  EXPECT_TRUE(second.up().PrepareSleep());
  EXPECT_TRUE(worker.up().TryPush(2, AsBytes(1)).value());
  EXPECT_TRUE(Readable(second.wake_fd()));
}

TEST(ChannelTest, WorkerRefusesASegmentOfAnotherIncarnation) {
  GatewayChannel gateway = GatewayChannel::Create(5).value();
  EXPECT_EQ(WorkerChannel::Open(Duplicates(gateway), 6).status().code(), Code::kDataLoss);
}

#if defined(__linux__)
TEST(ChannelTest, WorkerRefusesAnUnsealedOrResizedSegment) {
  GatewayChannel gateway = GatewayChannel::Create(5).value();
  auto fds = Duplicates(gateway);
  fds[kSegmentFd] = UniqueFd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(fds[kSegmentFd].get(), kSegmentBytes), 0);
  EXPECT_EQ(WorkerChannel::Open(std::move(fds), 5).status().code(), Code::kDataLoss);
  EXPECT_NE(::ftruncate(gateway.WorkerFds()[kSegmentFd], 4096), 0) << "the seal must hold";
}

TEST(ChannelTest, LeavesNothingInDevShm) {
  const auto count = [] {
    std::error_code error;
    const std::filesystem::directory_iterator files("/dev/shm", error);
    return error ? 0 : std::distance(files, std::filesystem::directory_iterator());
  };
  const auto before = count();
  GatewayChannel gateway = GatewayChannel::Create(5).value();
  WorkerChannel worker = WorkerChannel::Open(Duplicates(gateway), 5).value();
  EXPECT_EQ(count(), before);
}
#endif

TEST(ChannelTest, VitalSigns) {
  auto [gateway, worker] = HeapChannel::Create();
  EXPECT_EQ(gateway.signs().heartbeat(), 0U);
  worker.vitals().Beat();
  worker.vitals().Beat();
  EXPECT_EQ(gateway.signs().heartbeat(), 2U);
  EXPECT_TRUE(gateway.signs().Blamed().empty());
  const std::vector<RequestId> requests = {41, 42, 43};
  worker.vitals().BeginStep(9, requests);
  EXPECT_EQ(gateway.signs().step(), 9U);
  EXPECT_EQ(gateway.signs().Blamed(), requests);
  worker.vitals().BeginStep(10, std::span(requests).first(1));
  EXPECT_EQ(gateway.signs().Blamed(), std::vector<RequestId>{41});
  worker.vitals().BeginStep(11, std::vector<RequestId>(100, 7));
  EXPECT_EQ(gateway.signs().Blamed().size(), kMaxBlamed);
  worker.vitals().EndStep();
  EXPECT_TRUE(gateway.signs().Blamed().empty());
  worker.vitals().Set(WorkerStat::kFreeBlocks, 12);
  worker.vitals().Add(WorkerStat::kFreeBlocks, 3);
  EXPECT_EQ(gateway.signs().Get(WorkerStat::kFreeBlocks), 15U);
}

TEST(ChannelTest, HeapChannelCallsTheGivenWakes) {
  int worker_wakes = 0;
  int gateway_wakes = 0;
  HeapChannelOptions options;
  options.wake_worker = [&worker_wakes] { ++worker_wakes; };
  options.wake_gateway = [&gateway_wakes] { ++gateway_wakes; };
  auto [gateway, worker] = HeapChannel::Create(std::move(options));
  EXPECT_EQ(gateway.wake_fd(), -1);
  EXPECT_TRUE(worker.down().PrepareSleep());
  EXPECT_TRUE(gateway.down().TryPush(1, {}).value());
  EXPECT_EQ(worker_wakes, 1);
  EXPECT_TRUE(gateway.up().PrepareSleep());
  EXPECT_TRUE(worker.up().TryPush(1, {}).value());
  EXPECT_EQ(gateway_wakes, 1);
  gateway.ClearWake();
}

TEST(ChannelTest, HeapEndsMayGoInAnyOrder) {
  auto ends = HeapChannel::Create();
  ends.first = GatewayChannel();
  EXPECT_TRUE(ends.second.up().TryPush(1, {}).value());
}

TEST(ChannelTest, WaitForWorkSleepsAndWakes) {
  auto ends = HeapChannel::Create();
  GatewayChannel& gateway = ends.first;
  WorkerChannel& worker = ends.second;
  const int64_t start = MonotonicNs();
  EXPECT_FALSE(worker.WaitForWork(std::chrono::microseconds(10), milliseconds(20)));
  EXPECT_GE(MonotonicNs() - start, 19'000'000);
  std::thread pusher([&gateway] {
    std::this_thread::sleep_for(milliseconds(30));
    EXPECT_TRUE(gateway.down().TryPush(1, {}).value());
  });
  EXPECT_TRUE(worker.WaitForWork(std::chrono::nanoseconds(0), seconds(20)));
  pusher.join();
  EXPECT_TRUE(worker.WaitForWork(std::chrono::nanoseconds(0), seconds(20))) << "the record still waits";
}

// Ping-pong between processes in which both sides sleep every time: a lost wake-up would stall it for the timeout.
TEST(ChannelStressTest, SleepingPingPongBetweenProcesses) {
  constexpr uint64_t kRounds = 3000;
  GatewayChannel gateway = GatewayChannel::Create(5).value();
  const pid_t pid = ::fork();
  if (pid == 0) {
    WorkerChannel worker = WorkerChannel::Open(Duplicates(gateway), 5).value();
    Record record;
    for (uint64_t i = 0; i < kRounds; ++i) {
      while (!worker.down().TryPop(record).value()) worker.WaitForWork(std::chrono::nanoseconds(0), seconds(30));
      if (AsNumber(record) != i || !worker.up().TryPush(1, AsBytes(i)).value()) ::_exit(1);
    }
    ::_exit(0);
  }
  Record record;
  const int64_t start = MonotonicNs();
  for (uint64_t i = 0; i < kRounds; ++i) {
    ASSERT_TRUE(gateway.down().TryPush(1, AsBytes(i)).value());
    while (!gateway.up().TryPop(record).value()) {
      if (!gateway.up().PrepareSleep()) continue;
      pollfd entry{gateway.wake_fd(), POLLIN, 0};
      ASSERT_EQ(::poll(&entry, 1, 20'000), 1) << "a wake-up was lost in round " << i;
      gateway.ClearWake();
    }
    ASSERT_EQ(AsNumber(record), i);
  }
  EXPECT_LT(MonotonicNs() - start, 20'000'000'000) << "a wake-up to the worker was lost";
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// A writer that is killed at a random moment. Everything that the reader accepts must be what the writer meant, without gaps, and
// the ring must never look broken: a record that was not finished is simply not there.
TEST(ChannelStressTest, WriterKilledAtRandomMoments) {
  constexpr int kKills = 150;
  std::mt19937 random(42);
  uint64_t accepted = 0;
  for (int kill_number = 0; kill_number < kKills; ++kill_number) {
    GatewayChannel gateway = GatewayChannel::Create(5).value();
    const pid_t pid = ::fork();
    if (pid == 0) {
      WorkerChannel worker = WorkerChannel::Open(Duplicates(gateway), 5).value();
      std::vector<uint64_t> payload(4000);
      for (uint64_t i = 0;; ++i) {
        const size_t words = 1 + i * 7919 % payload.size();
        std::fill_n(payload.begin(), words, i);
        while (!worker.up().TryPush(static_cast<uint16_t>(i), std::as_bytes(std::span(payload).first(words))).value())
          SpinPause();
      }
    }
    const auto deadline = MonotonicNs() + static_cast<int64_t>(random() % 3'000'000);
    Record record;
    uint64_t next = 0;
    bool killed = false;
    while (true) {
      if (!killed && MonotonicNs() > deadline) {
        ::kill(pid, SIGKILL);
        ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
        killed = true;
      }
      const Result<bool> popped = gateway.up().TryPop(record);
      ASSERT_TRUE(popped.ok()) << popped.status().ToString();
      if (!*popped) {
        if (killed) break;
        continue;
      }
      ASSERT_EQ(record.type(), static_cast<uint16_t>(next));
      ASSERT_EQ(record.payload().size(), (1 + next * 7919 % 4000) * 8);
      std::vector<uint64_t> words(record.payload().size() / 8);
      std::memcpy(words.data(), record.payload().data(), record.payload().size());
      ASSERT_TRUE(std::all_of(words.begin(), words.end(), [next](uint64_t word) { return word == next; }));
      ++next;
    }
    accepted += next;
  }
  EXPECT_GT(accepted, 0U);
}

}  // namespace
}  // namespace millrace::ipc
