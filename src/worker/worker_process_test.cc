// The real millrace-worker with tiny real models: what the gateway would see of it.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "ipc/channel.h"
#include "ipc/messages.h"
#include "model/model_files.h"
#include "os/child.h"
#include "os/file.h"
#include "os/socketpair.h"
#include "worker/model_loader.h"
#include "worker/run_worker.h"

namespace millrace::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const std::string kGolden = std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/";

// Plays the gateway for one worker process.
class Launched {
 public:
  explicit Launched(const std::string& model_path, ipc::Attach attach = {}, size_t missing = 0) {
    attach.incarnation = 3;
    attach.slots = 2;
    attach.model_name = "tiny";
    channel_ = ipc::GatewayChannel::Create(3).value();
    auto sockets = ControlSocket::CreatePair().value();
    control_ = std::move(sockets.first);
    const auto files = model::OpenedModelFiles::Open(model_path).value();
    attach.files.assign(files.names().begin(), files.names().end());
    const auto shared = channel_.WorkerFds();
    std::vector<int> fds(shared.begin(), shared.end());
    const auto model_fds = files.fds();
    fds.insert(fds.end(), model_fds.begin(), model_fds.end());
    fds.resize(fds.size() - missing);
    EXPECT_TRUE(control_.Send(ipc::Encode(attach), fds).ok());
    child_ =
        Child::Spawn({.executable = MILLRACE_WORKER, .argv = {"millrace-worker"}, .inherited_fd = sockets.second.fd()}).value();
  }

  std::optional<ipc::ToGateway> Next(milliseconds timeout = seconds(20)) {
    const int64_t end = MonotonicNs() + timeout.count() * 1'000'000;
    do {
      const auto popped = channel_.up().TryPop(record_);
      EXPECT_TRUE(popped.ok()) << popped.status().ToString();
      if (popped.ok() && *popped) return ipc::ReadToGateway(record_).value();
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    } while (MonotonicNs() < end && !(child_.TryReap() && !channel_.up().HasRecords()));
    return std::nullopt;
  }

  // The next message of one kind; others are skipped.
  template <typename M>
  std::optional<M> NextOf() {
    while (auto message = Next()) {
      if (const auto* wanted = std::get_if<M>(&*message)) return *wanted;
      loadings_ += std::holds_alternative<ipc::Loading>(*message);
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
  int loadings() const { return loadings_; }

 private:
  ipc::GatewayChannel channel_;
  ControlSocket control_;
  Child child_;
  ipc::Record record_;
  int loadings_ = 0;
};

ipc::Submit GreedySubmit() {
  ipc::Submit submit;
  submit.request = 1;
  submit.prompt = {1, 5, 9, 2, 30};
  submit.sampling.temperature = 0;
  submit.sampling.ignore_eos = true;
  submit.sampling.max_tokens = 24;
  return submit;
}

class TokenSink final : public engine::OutputSink {
 public:
  bool Take(const engine::Output& output) override {
    tokens.insert(tokens.end(), output.tokens.begin(), output.tokens.end());
    return true;
  }
  std::vector<TokenId> tokens;
};

TEST(WorkerProcess, SaysHelloAndAnswersLikeAnEngineInThisProcess) {
  const std::string path = kGolden + "tiny-q4/model.gguf";
  const RegularFile file = OpenRegularFile(path).value();
  auto loaded = LoadModelFromFile(file.fd.get(), {.slots = 2});
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();

  Launched worker(path);
  const auto hello = worker.NextOf<ipc::Hello>();
  ASSERT_TRUE(hello);
  EXPECT_GT(worker.loadings(), 0);
  EXPECT_EQ(hello->vocabulary_fingerprint, loaded->vocabulary_fingerprint);
  EXPECT_EQ(hello->end_of_sequence, loaded->end_of_sequence);
  EXPECT_EQ(hello->bytes_per_token, loaded->bytes_per_token);
  EXPECT_GT(hello->bytes_per_token, 0U);
  EXPECT_EQ(hello->engine, "cpu");
  EXPECT_EQ(hello->slots, 2U);
  EXPECT_FALSE(hello->build_id.empty());
  EXPECT_TRUE(hello->deterministic);

  const ipc::Submit submit = GreedySubmit();
  engine::Request request;
  request.id = 1;
  request.prompt = submit.prompt;
  request.sampling = submit.sampling;
  ASSERT_TRUE(loaded->engine->Submit(std::move(request)).ok());
  TokenSink sink;
  while (loaded->engine->HasWork()) ASSERT_TRUE(loaded->engine->Step().ok());
  loaded->engine->Publish(sink);
  ASSERT_EQ(sink.tokens.size(), 24U);
  EXPECT_EQ(worker.Run(submit), sink.tokens);

  ASSERT_TRUE(ipc::Push(worker.channel().down(), ipc::Shutdown{}));
  const auto exit = worker.Exit();
  ASSERT_TRUE(exit);
  EXPECT_TRUE(exit->ok()) << exit->ToString();
}

TEST(WorkerProcess, MeasuresTheRoof) {
  Launched worker(kGolden + "tiny-q4/model.gguf");
  const auto roof = worker.NextOf<ipc::Roof>();
  ASSERT_TRUE(roof);
  EXPECT_GT(roof->gb_s, 0.0);
}

void ExpectLoadFailure(Launched& worker, Code code, const std::string& part) {
  const auto failed = worker.NextOf<ipc::Failed>();
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->request, 0U);
  EXPECT_EQ(failed->code, code) << failed->message;
  EXPECT_NE(failed->message.find(part), std::string::npos) << failed->message;
  const auto exit = worker.Exit();
  ASSERT_TRUE(exit);
  EXPECT_FALSE(exit->signalled);
  EXPECT_EQ(exit->value, kExitLoad);
}

TEST(WorkerProcess, SaysWhyAModelCannotBeLoaded) {
  Launched text(std::string(MILLRACE_SOURCE_DIR) + "/CMakeLists.txt");
  ExpectLoadFailure(text, Code::kDataLoss, "");

  std::ifstream in(kGolden + "tiny-q4/model.gguf", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::string path = ::testing::TempDir() + "cut.gguf";
  std::ofstream(path, std::ios::binary) << bytes.substr(0, bytes.size() - 100);
  Launched cut(path);
  std::remove(path.c_str());
  ExpectLoadFailure(cut, Code::kDataLoss, "tensor");

  ipc::Attach long_context;
  long_context.context = 1000000;
  Launched context(kGolden + "tiny-q4/model.gguf", long_context);
  ExpectLoadFailure(context, Code::kInvalidArgument, "1000000");

  ipc::Attach unknown_isa;
  unknown_isa.isa = "vax";
  Launched isa(kGolden + "tiny-q4/model.gguf", unknown_isa);
  ExpectLoadFailure(isa, Code::kUnsupported, "vax");
}

TEST(WorkerProcess, EndsWhenTheGatewayCloses) {
  Launched worker(kGolden + "tiny-q4/model.gguf");
  ASSERT_TRUE(worker.NextOf<ipc::Hello>());
  worker.control().Close();
  const auto exit = worker.Exit();
  ASSERT_TRUE(exit);
  EXPECT_TRUE(exit->ok()) << exit->ToString();
}

TEST(WorkerProcess, RefusesAnAttachWithoutItsDescriptors) {
  Launched worker(kGolden + "tiny-q4/model.gguf", {}, 1);
  const auto exit = worker.Exit();
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->value, kExitProtocol);
}

TEST(WorkerProcess, StartedByHandExplainsItself) {
  Child child = Child::Spawn({.executable = MILLRACE_WORKER, .argv = {"millrace-worker"}}).value();
  const auto exit = child.ReapWithin(seconds(20));
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->value, kExitNotStarted);
}

// A death in mid-step is charged to the requests of that step, and readable afterwards.
TEST(WorkerProcess, BlameOutlivesADeath) {
  Launched worker(kGolden + "tiny-f32/model.gguf");
  ASSERT_TRUE(worker.NextOf<ipc::Hello>());
  ipc::Submit submit = GreedySubmit();
  submit.request = 42;
  submit.sampling.max_tokens = 100000;
  for (int attempt = 0; attempt < 200; ++attempt) {
    submit.request = 42 + static_cast<RequestId>(attempt);
    ASSERT_TRUE(ipc::Push(worker.channel().down(), submit));
    while (worker.channel().signs().Blamed().empty() && worker.NextOf<ipc::Tokens>()) {
    }
    worker.child().Signal(SIGSTOP);
    std::this_thread::sleep_for(milliseconds(5));
    if (!worker.channel().signs().Blamed().empty()) break;
    worker.child().Signal(SIGCONT);
  }
  const auto before = worker.channel().signs().Blamed();
  ASSERT_FALSE(before.empty());
  worker.child().Kill();
  ASSERT_TRUE(worker.Exit());
  EXPECT_EQ(worker.channel().signs().Blamed(), before);
  EXPECT_GE(before[0], 42U);
}

}  // namespace
}  // namespace millrace::worker
