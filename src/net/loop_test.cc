// One conformance suite for both loops: what loop.h promises, on the simulated one and on the real one with loopback sockets.
#include "net/loop.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/asio_loop.h"
#include "net/sim_loop.h"

namespace millrace::net {
namespace {

constexpr int64_t kMs = 1'000'000;

// What differs between the loops for a test: how a client connects and what can be watched.
class Bench {
 public:
  virtual ~Bench() = default;
  virtual Loop& loop() = 0;
  virtual std::unique_ptr<Socket> Connect(const Address& to) = 0;
  virtual int wake_fd() = 0;
  virtual void Signal() = 0;
  virtual void Drain() = 0;
  virtual size_t more_than_fits() = 0;  // bytes that no system buffer takes

  // Runs until `done` becomes true or 5 s pass.
  bool RunUntil(const std::function<bool()>& done) {
    bool timed_out = false;
    const TimerId limit = loop().At(loop().NowNs() + 5000 * kMs, [&] {
      timed_out = true;
      loop().Stop();
    });
    std::function<void()> poll = [&] {
      if (done()) return loop().Stop();
      poll_timer_ = loop().At(loop().NowNs() + kMs / 10, poll);
    };
    poll_timer_ = loop().At(loop().NowNs(), poll);
    loop().Run();
    loop().CancelTimer(limit);
    loop().CancelTimer(poll_timer_);
    return !timed_out;
  }
  void RunAWhile() {
    bool passed = false;
    loop().At(loop().NowNs() + 20 * kMs, [&] { passed = true; });
    RunUntil([&] { return passed; });
  }

 private:
  TimerId poll_timer_ = kNoTimer;
};

class SimBench final : public Bench {
 public:
  explicit SimBench(uint64_t seed) {
    SimOptions options;
    options.seed = seed;
    loop_ = SimLoop::Make(options);
    wake_ = loop_->MakeWake();
  }
  Loop& loop() override { return *loop_; }
  std::unique_ptr<Socket> Connect(const Address& to) override { return loop_->Connect(to).value(); }
  int wake_fd() override { return wake_->fd(); }
  void Signal() override { wake_->Signal(); }
  void Drain() override {}
  size_t more_than_fits() override { return 1 << 20; }

 private:
  std::unique_ptr<SimLoop> loop_;
  std::unique_ptr<SimWake> wake_;
};

class AsioBench final : public Bench {
 public:
  AsioBench() : loop_(MakeAsioLoop()) { EXPECT_EQ(pipe(pipe_.data()), 0); }
  ~AsioBench() override {
    close(pipe_[0]);
    close(pipe_[1]);
  }
  Loop& loop() override { return *loop_; }
  size_t more_than_fits() override { return 32 << 20; }
  std::unique_ptr<Socket> Connect(const Address& to) override { return loop_->Connect(to).value(); }
  int wake_fd() override { return pipe_[0]; }
  void Signal() override { EXPECT_EQ(write(pipe_[1], "x", 1), 1); }
  void Drain() override {
    std::array<char, 64> bytes{};
    EXPECT_GT(read(pipe_[0], bytes.data(), bytes.size()), 0);
  }

 private:
  std::unique_ptr<AsioLoop> loop_;
  std::array<int, 2> pipe_{};
};

struct Pair {
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Socket> client;
  std::unique_ptr<Socket> server;
};

class LoopConformance : public testing::TestWithParam<int> {
 protected:
  LoopConformance() {
    if (GetParam() == 0) {
      bench_ = std::make_unique<AsioBench>();
    } else {
      bench_ = std::make_unique<SimBench>(static_cast<uint64_t>(GetParam()));
    }
  }
  Loop& loop() { return bench_->loop(); }
  bool RunUntil(const std::function<bool()>& done) { return bench_->RunUntil(done); }

  Pair MakePair() {
    Pair pair;
    pair.listener = loop().Listen({"127.0.0.1", 0}, {}).value();
    pair.listener->Start([&](std::unique_ptr<Socket> socket) { pair.server = std::move(socket); });
    pair.client = bench_->Connect(pair.listener->bound());
    EXPECT_TRUE(RunUntil([&] { return pair.server != nullptr; }));
    return pair;
  }

  // Reads until end of stream or an error.
  struct Sink {
    std::string bytes;
    bool ended = false;
    Status error;
  };
  void ReadAll(Socket& socket, Sink& sink) {
    socket.Read([this, &socket, &sink](const Result<std::string_view>& result) {
      if (!result.ok()) {
        sink.error = result.status();
      } else if (result->empty()) {
        sink.ended = true;
      } else {
        sink.bytes.append(*result);
        ReadAll(socket, sink);
      }
    });
  }

  std::unique_ptr<Bench> bench_;
};

TEST_P(LoopConformance, TimersRunOnceInOrderAndNeverEarly) {
  std::vector<int> order;
  const int64_t begin = loop().NowNs();
  int64_t late = 0;
  loop().At(begin + 3 * kMs, [&] {
    order.push_back(3);
    late = loop().NowNs();
  });
  loop().At(begin + 1 * kMs, [&] { order.push_back(1); });
  loop().At(begin + 2 * kMs, [&] { order.push_back(2); });
  EXPECT_TRUE(order.empty());
  ASSERT_TRUE(RunUntil([&] { return order.size() == 3; }));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  EXPECT_GE(late, begin + 3 * kMs);
}

TEST_P(LoopConformance, TimersInThePastRunInTheNextTurn) {
  bool ran = false;
  loop().At(loop().NowNs() - 1000 * kMs, [&] { ran = true; });
  EXPECT_FALSE(ran);
  EXPECT_TRUE(RunUntil([&] { return ran; }));
}

TEST_P(LoopConformance, CancelledTimersDoNotRun) {
  bool ran = false;
  bool other = false;
  TimerId second = kNoTimer;
  const TimerId first = loop().At(loop().NowNs() + kMs, [&] { ran = true; });
  loop().At(loop().NowNs(), [&] {
    loop().CancelTimer(second);
    loop().CancelTimer(kNoTimer);
  });
  second = loop().At(loop().NowNs() + 2 * kMs, [&] { other = true; });
  loop().CancelTimer(first);
  bench_->RunAWhile();
  EXPECT_FALSE(ran);
  EXPECT_FALSE(other);
}

TEST_P(LoopConformance, TimersMayCancelThemselvesAndSetOthers) {
  int runs = 0;
  TimerId self = kNoTimer;
  std::function<void()> again = [&] {
    loop().CancelTimer(self);
    if (++runs < 5) self = loop().At(loop().NowNs(), again);
  };
  self = loop().At(loop().NowNs(), again);
  EXPECT_TRUE(RunUntil([&] { return runs == 5; }));
}

TEST_P(LoopConformance, PostRunsLaterAndInOrder) {
  std::vector<int> order;
  for (int i = 0; i < 20; ++i) loop().Post([&order, i] { order.push_back(i); });
  EXPECT_TRUE(order.empty());
  ASSERT_TRUE(RunUntil([&] { return order.size() == 20; }));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST_P(LoopConformance, MovesBytesBothWaysAndHalfCloses) {
  Pair pair = MakePair();
  std::string big;
  for (int i = 0; i < 300'000; ++i) big.push_back(static_cast<char>('a' + i % 23));
  Sink at_server;
  Sink at_client;
  ReadAll(*pair.server, at_server);
  ReadAll(*pair.client, at_client);
  std::vector<int> written;
  pair.client->Write("hello ", [&](const Status& status) {
    EXPECT_TRUE(status.ok());
    written.push_back(1);
  });
  pair.client->Write(big, [&](const Status& status) {
    EXPECT_TRUE(status.ok());
    written.push_back(2);
  });
  EXPECT_TRUE(written.empty());
  pair.client->CloseWrite();
  ASSERT_TRUE(RunUntil([&] { return at_server.ended; }));
  EXPECT_EQ(at_server.bytes, "hello " + big);
  EXPECT_EQ(written, (std::vector<int>{1, 2}));
  EXPECT_EQ(pair.client->unsent_bytes(), 0U);
  // The other direction still works after the half-close.
  pair.server->Write("bye", {});
  pair.server->CloseWrite();
  ASSERT_TRUE(RunUntil([&] { return at_client.ended; }));
  EXPECT_EQ(at_client.bytes, "bye");
}

TEST_P(LoopConformance, UnsentBytesShowAReaderThatStalls) {
  Pair pair = MakePair();
  const size_t bytes = bench_->more_than_fits();
  bool written = false;
  pair.server->Write(std::string(bytes, 'x'), [&](const Status&) { written = true; });
  bench_->RunAWhile();
  EXPECT_FALSE(written);
  EXPECT_GT(pair.server->unsent_bytes(), 0U);
  Sink sink;
  ReadAll(*pair.client, sink);
  ASSERT_TRUE(RunUntil([&] { return written; }));
  EXPECT_EQ(pair.server->unsent_bytes(), 0U);
  ASSERT_TRUE(RunUntil([&] { return sink.bytes.size() == bytes; }));
}

TEST_P(LoopConformance, ClosingIsAnEndForThePeer) {
  Pair pair = MakePair();
  Sink sink;
  ReadAll(*pair.server, sink);
  bool sent = false;
  pair.client->Write("last", [&](const Status&) { sent = true; });
  ASSERT_TRUE(RunUntil([&] { return sent; }));
  pair.client->Close();
  ASSERT_TRUE(RunUntil([&] { return sink.ended; }));
  EXPECT_EQ(sink.bytes, "last");
}

TEST_P(LoopConformance, AbortIsAnErrorForThePeer) {
  Pair pair = MakePair();
  Sink sink;
  ReadAll(*pair.server, sink);
  pair.client->Abort();
  ASSERT_TRUE(RunUntil([&] { return !sink.error.ok(); }));
  EXPECT_FALSE(sink.ended);
  EXPECT_EQ(sink.error.code(), Code::kUnavailable);
}

TEST_P(LoopConformance, WritingToAGonePeerFails) {
  Pair pair = MakePair();
  pair.client->Abort();
  bool failed = false;
  std::function<void()> write = [&] {
    pair.server->Write("x", [&](const Status& status) {
      if (status.ok()) return write();
      EXPECT_EQ(status.code(), Code::kUnavailable);
      failed = true;
    });
  };
  write();
  EXPECT_TRUE(RunUntil([&] { return failed; }));
}

TEST_P(LoopConformance, ClosedSocketsStaySilent) {
  Pair pair = MakePair();
  int calls = 0;
  pair.server->Read([&](const Result<std::string_view>&) { ++calls; });
  pair.server->Write("x", [&](const Status&) { ++calls; });
  pair.client->Write("y", {});
  pair.server->Close();
  pair.server->Close();
  pair.server->Write("z", [&](const Status&) { ++calls; });
  pair.server->Read([&](const Result<std::string_view>&) { ++calls; });
  bench_->RunAWhile();
  EXPECT_EQ(calls, 0);
}

TEST_P(LoopConformance, SocketsMayDieInTheirOwnCallback) {
  Pair pair = MakePair();
  bool read = false;
  pair.server->Read([&](const Result<std::string_view>&) {
    pair.server.reset();
    read = true;
  });
  bool written = false;
  pair.client->Write("x", [&](const Status&) {
    pair.client->CloseWrite();
    pair.client.reset();
    written = true;
  });
  EXPECT_TRUE(RunUntil([&] { return read && written; }));
}

TEST_P(LoopConformance, ListenersPauseAndClose) {
  auto listener = loop().Listen({"127.0.0.1", 0}, {}).value();
  std::vector<std::unique_ptr<Socket>> accepted;
  listener->Start([&](std::unique_ptr<Socket> socket) { accepted.push_back(std::move(socket)); });
  EXPECT_EQ(loop().Listen(listener->bound(), {}).status().code(), Code::kAlreadyExists);
  listener->Pause();
  const auto first = bench_->Connect(listener->bound());
  const auto second = bench_->Connect(listener->bound());
  bench_->RunAWhile();
  EXPECT_TRUE(accepted.empty());
  listener->Resume();
  ASSERT_TRUE(RunUntil([&] { return accepted.size() == 2; }));
  EXPECT_TRUE(accepted[0]->peer().IsLoopback());
  const Address bound = listener->bound();
  listener.reset();
  EXPECT_TRUE(loop().Listen(bound, {}).ok());  // the port is free again
}

TEST_P(LoopConformance, RefusesAddressesThatAreNotOurs) {
  EXPECT_EQ(loop().Listen({"no address", 0}, {}).status().code(), Code::kInvalidArgument);
}

TEST_P(LoopConformance, ExecutorsRunTasksInOrderThenCompletions) {
  auto executor = loop().MakeExecutor("text");
  std::vector<int> tasks;  // touched by the executor's thread only until the completions have run
  std::vector<int> completions;
  for (int i = 0; i < 10; ++i) {
    executor->Run([&tasks, i] { tasks.push_back(i); }, [&completions, i] { completions.push_back(i); });
  }
  executor->Run([] {}, {});
  EXPECT_TRUE(completions.empty());
  ASSERT_TRUE(RunUntil([&] { return completions.size() == 10; }));
  EXPECT_EQ(tasks, completions);
  EXPECT_EQ(tasks.front(), 0);
}

TEST_P(LoopConformance, DestroyedExecutorsDropCompletions) {
  int completed = 0;
  {
    auto executor = loop().MakeExecutor("text");
    for (int i = 0; i < 100; ++i) executor->Run([] {}, [&] { ++completed; });
  }
  bench_->RunAWhile();
  EXPECT_EQ(completed, 0);
}

TEST_P(LoopConformance, WatchesFireForEachSignal) {
  int fired = 0;
  auto watch = loop()
                   .WatchReadable(bench_->wake_fd(),
                                  [&] {
                                    bench_->Drain();
                                    ++fired;
                                  })
                   .value();
  bench_->RunAWhile();
  EXPECT_EQ(fired, 0);
  bench_->Signal();
  EXPECT_EQ(fired, 0);
  ASSERT_TRUE(RunUntil([&] { return fired == 1; }));
  bench_->Signal();
  ASSERT_TRUE(RunUntil([&] { return fired == 2; }));
  watch.reset();
  bench_->Signal();
  bench_->RunAWhile();
  EXPECT_EQ(fired, 2);
  // A signal that nobody has seen is seen by the next watch, which may end itself.
  watch = loop()
              .WatchReadable(bench_->wake_fd(),
                             [&] {
                               ++fired;
                               watch.reset();
                             })
              .value();
  ASSERT_TRUE(RunUntil([&] { return fired == 3; }));
}

TEST_P(LoopConformance, RefusesToWatchWhatIsNotOpen) {
  EXPECT_EQ(loop().WatchReadable(999, [] {}).status().code(), Code::kInvalidArgument);
}

TEST_P(LoopConformance, StopsAndRunsAgain) {
  for (int i = 0; i < 3; ++i) {
    bool ran = false;
    loop().Post([&] {
      ran = true;
      loop().Stop();
    });
    loop().Run();
    EXPECT_TRUE(ran);
  }
}

INSTANTIATE_TEST_SUITE_P(Asio, LoopConformance, testing::Values(0));
INSTANTIATE_TEST_SUITE_P(Sim, LoopConformance, testing::Range(1, 13));

TEST(AsioLoop, TakesWorkFromOtherThreads) {
  const auto loop = MakeAsioLoop();
  int count = 0;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 250; ++i) {
        loop->Post([&] {
          if (++count == 1000) loop->Stop();
        });
      }
    });
  }
  loop->Run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 1000);
}

TEST(AsioLoop, DropsCompletionsThatWaitWhenTheirExecutorGoes) {
  const auto loop = MakeAsioLoop();
  auto executor = loop->MakeExecutor("text");
  std::atomic<int> tasks = 0;
  int completions = 0;
  for (int i = 0; i < 2; ++i) executor->Run([&] { ++tasks; }, [&] { ++completions; });
  while (tasks < 2) std::this_thread::yield();  // the first completion is posted before the second task begins
  executor.reset();
  loop->Post([&] { loop->Stop(); });
  loop->Run();
  EXPECT_EQ(completions, 0);
}

TEST(AsioLoop, KnowsHowManyConnectionsFit) {
  EXPECT_GT(MaxConnectionsForThisProcess(), 0);
  EXPECT_LE(MaxConnectionsForThisProcess(), 4096);
}

// A run with every kind of event, as a fingerprint.
uint64_t TraceOf(uint64_t seed) {
  SimOptions options;
  options.seed = seed;
  const auto loop = SimLoop::Make(options);
  auto listener = loop->Listen({"127.0.0.1", 0}, {}).value();
  std::vector<std::unique_ptr<Socket>> sockets;
  std::function<void(Socket*)> echo = [&](Socket* socket) {
    socket->Read([&, socket](const Result<std::string_view>& result) {
      if (!result.ok() || result->empty()) return;
      socket->Write(std::string(*result), {});
      echo(socket);
    });
  };
  listener->Start([&](std::unique_ptr<Socket> socket) {
    echo(socket.get());
    sockets.push_back(std::move(socket));
  });
  for (int i = 0; i < 5; ++i) {
    auto client = loop->Connect(listener->bound()).value();
    client->Write(std::string(200, static_cast<char>('a' + i)), {});
    sockets.push_back(std::move(client));
  }
  loop->At(loop->NowNs() + kMs, [] {});
  loop->RunFor(10 * kMs);
  return loop->trace_hash();
}

TEST(SimLoop, IsDecidedByItsSeed) {
  for (uint64_t seed = 1; seed < 20; ++seed) {
    EXPECT_EQ(TraceOf(seed), TraceOf(seed));
    EXPECT_NE(TraceOf(seed), TraceOf(seed + 1));
  }
}

TEST(SimLoop, IdleMeansThatOnlyTimersAreLeft) {
  const auto loop = SimLoop::Make();
  bool timer = false;
  bool posted = false;
  loop->At(loop->NowNs() + 1000 * kMs, [&] { timer = true; });
  loop->Post([&] { posted = true; });
  loop->RunUntilIdle();
  EXPECT_TRUE(posted);
  EXPECT_FALSE(timer);
  const int64_t before = loop->NowNs();
  loop->RunFor(2000 * kMs);
  EXPECT_TRUE(timer);
  EXPECT_EQ(loop->NowNs(), before + 2000 * kMs);
  EXPECT_FALSE(loop->Step());
}

TEST(SimLoop, ClosingWithUnreadInputResetsThePeerAsTcpDoes) {
  const auto loop = SimLoop::Make();
  auto listener = loop->Listen({"127.0.0.1", 0}, {}).value();
  std::unique_ptr<Socket> server;
  listener->Start([&](std::unique_ptr<Socket> socket) { server = std::move(socket); });
  auto client = loop->Connect(listener->bound()).value();
  client->Write("never read", {});
  Status seen;
  client->Read([&](const Result<std::string_view>& result) { seen = result.status(); });
  loop->RunUntilIdle();
  server->Close();
  loop->RunUntilIdle();
  EXPECT_EQ(seen.code(), Code::kUnavailable);
}

TEST(SimLoop, ResetsConnectionsAsOftenAsAsked) {
  SimOptions options;
  options.reset_probability = 1.0;
  const auto loop = SimLoop::Make(options);
  auto listener = loop->Listen({"127.0.0.1", 0}, {}).value();
  std::unique_ptr<Socket> server;
  Status seen;
  listener->Start([&](std::unique_ptr<Socket> socket) {
    server = std::move(socket);
    server->Read([&](const Result<std::string_view>& result) { seen = result.status(); });
  });
  auto client = loop->Connect(listener->bound()).value();
  Status written;
  client->Write("x", [&](const Status& status) { written = status; });
  loop->RunUntilIdle();
  EXPECT_EQ(seen.code(), Code::kUnavailable);
  EXPECT_EQ(written.code(), Code::kUnavailable);
  EXPECT_EQ(loop->Connect({"127.0.0.1", 1}).status().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace millrace::net
