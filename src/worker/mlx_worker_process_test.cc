// The real millrace-worker-mlx with a tiny real model: what the gateway would see of it.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "ipc/channel.h"
#include "ipc/messages.h"
#include "model/model_files.h"
#include "os/child.h"
#include "os/socketpair.h"
#include "worker/run_worker.h"

namespace millrace::worker {
namespace {

using std::chrono::seconds;

const std::string kModel = std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/tiny-q4/model.gguf";

class Launched {
 public:
  explicit Launched(ipc::Attach attach = {}) {
    attach.incarnation = 3;
    attach.slots = 2;
    attach.model_name = "tiny";
    channel_ = ipc::GatewayChannel::Create(3).value();
    auto sockets = ControlSocket::CreatePair().value();
    control_ = std::move(sockets.first);
    const auto files = model::OpenedModelFiles::Open(kModel).value();
    attach.files.assign(files.names().begin(), files.names().end());
    const auto shared = channel_.WorkerFds();
    std::vector<int> fds(shared.begin(), shared.end());
    const auto model_fds = files.fds();
    fds.insert(fds.end(), model_fds.begin(), model_fds.end());
    EXPECT_TRUE(control_.Send(ipc::Encode(attach), fds).ok());
    child_ = Child::Spawn({.executable = MILLRACE_WORKER, .argv = {"worker"}, .inherited_fd = sockets.second.fd()}).value();
  }

  // The next message of one kind; others are skipped.
  template <typename M>
  std::optional<M> NextOf() {
    const int64_t end = MonotonicNs() + 30'000'000'000;
    while (MonotonicNs() < end && !(child_.TryReap() && !channel_.up().HasRecords())) {
      const auto popped = channel_.up().TryPop(record_);
      EXPECT_TRUE(popped.ok()) << popped.status().ToString();
      if (!popped.ok()) return std::nullopt;
      if (!*popped) {
        std::this_thread::sleep_for(std::chrono::microseconds(100));
        continue;
      }
      const auto message = ipc::ReadToGateway(record_).value();
      if (const auto* wanted = std::get_if<M>(&message)) return *wanted;
    }
    return std::nullopt;
  }

  std::vector<TokenId> Run(const ipc::Submit& submit) {
    EXPECT_TRUE(ipc::Push(channel_.down(), submit));
    std::vector<TokenId> tokens;
    while (auto event = NextOf<ipc::Tokens>()) {
      tokens.insert(tokens.end(), event->tokens.begin(), event->tokens.end());
      if (event->finish != FinishReason::kNone) return tokens;
    }
    ADD_FAILURE() << "the answer has no end";
    return tokens;
  }

  std::optional<ExitStatus> Exit() { return child_.ReapWithin(seconds(20)); }
  Child& child() { return child_; }
  ipc::GatewayChannel& channel() { return channel_; }
  ControlSocket& control() { return control_; }

 private:
  ipc::GatewayChannel channel_;
  ControlSocket control_;
  Child child_;
  ipc::Record record_;
};

ipc::Submit MakeSubmit(RequestId id, float temperature) {
  ipc::Submit submit;
  submit.request = id;
  submit.prompt = {1, 5, 9, 2, 30};
  submit.sampling.temperature = temperature;
  submit.sampling.seed = 5;
  submit.sampling.ignore_eos = true;
  submit.sampling.max_tokens = 24;
  return submit;
}

TEST(MlxWorkerProcess, SaysHelloAndAnswers) {
  Launched worker;
  const auto hello = worker.NextOf<ipc::Hello>();
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->engine, "mlx");
  EXPECT_EQ(hello->slots, 2U);
  EXPECT_FALSE(hello->deterministic);
  EXPECT_GT(hello->bytes_per_token, 0U);
  RequestId id = 0;
  for (const float temperature : {0.0F, 1.0F}) {
    const std::vector<TokenId> sampled_there = worker.Run(MakeSubmit(++id, temperature));
    EXPECT_EQ(sampled_there.size(), 24U);
    EXPECT_EQ(worker.Run(MakeSubmit(++id, temperature)), sampled_there);
    // Log-probabilities need the logits here, one step at a time.
    ipc::Submit with_logprobs = MakeSubmit(++id, temperature);
    with_logprobs.sampling.top_logprobs = 2;
    EXPECT_EQ(worker.Run(with_logprobs), sampled_there);
  }
  ASSERT_TRUE(ipc::Push(worker.channel().down(), ipc::Shutdown{}));
  const auto exit = worker.Exit();
  ASSERT_TRUE(exit);
  EXPECT_TRUE(exit->ok()) << exit->ToString();
}

TEST(MlxWorkerProcess, RefusesAnInstructionSetAndOffersTheOtherEngine) {
  ipc::Attach attach;
  attach.isa = "avx2";
  Launched worker(attach);
  const auto failed = worker.NextOf<ipc::Failed>();
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->code, Code::kUnsupported);
  EXPECT_NE(failed->message.find("--engine cpu"), std::string::npos) << failed->message;
  ASSERT_TRUE(worker.Exit());
}

TEST(MlxWorkerProcess, EndsWhenTheGatewayCloses) {
  Launched worker;
  ASSERT_TRUE(worker.NextOf<ipc::Hello>());
  worker.control().Close();
  const auto exit = worker.Exit();
  ASSERT_TRUE(exit);
  EXPECT_TRUE(exit->ok()) << exit->ToString();
}

TEST(MlxWorkerProcess, KilledInMidAnswerIsDeadAtOnce) {
  Launched worker;
  ASSERT_TRUE(worker.NextOf<ipc::Hello>());
  ipc::Submit submit = MakeSubmit(1, 1.0F);
  submit.sampling.max_tokens = 100000;
  ASSERT_TRUE(ipc::Push(worker.channel().down(), submit));
  ASSERT_TRUE(worker.NextOf<ipc::Tokens>());
  worker.child().Kill();
  const auto exit = worker.child().ReapWithin(seconds(2));
  ASSERT_TRUE(exit);
  EXPECT_TRUE(exit->signalled);
}

TEST(MlxWorkerProcess, TellsWhatItComputesOn) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  Child child =
      Child::Spawn({.executable = MILLRACE_WORKER, .argv = {"worker", "--probe"}, .inherited_fd = write_end.get()}).value();
  write_end.Reset();
  std::string text(4096, '\0');
  const ssize_t got = read(read_end.get(), text.data(), text.size());
  ASSERT_GT(got, 0);
  const auto json = Json::Parse(std::string_view(text).substr(0, static_cast<size_t>(got)));
  ASSERT_TRUE(json.ok()) << json.status().ToString();
  EXPECT_NE(json->Find("device"), nullptr);
  const auto exit = child.ReapWithin(seconds(20));
  ASSERT_TRUE(exit);
  EXPECT_TRUE(exit->ok());
}

}  // namespace
}  // namespace millrace::worker
