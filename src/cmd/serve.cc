#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/log.h"
#include "cmd/build_id.h"
#include "cmd/commands.h"
#include "cmd/engine_choice.h"
#include "cmd/exit_code.h"
#include "cmd/moment.h"
#include "cmd/progress.h"
#include "cmd/store.h"
#include "cmd/validators.h"
#include "gateway/gateway.h"
#include "net/asio_loop.h"
#include "net/loop.h"
#include "os/signals.h"

namespace millrace::cmd {

namespace {

struct Options {
  std::vector<std::string> models;
  std::vector<std::string> keys;
  gateway::ModelOptions worker;  // the same for every model
  gateway::GatewayOptions gateway;
  uint32_t drain_seconds = 30;
  std::string engine = "auto";
  std::string log_level = "info";
  int ready_fd = -1;
};

Result<std::vector<gateway::ModelOptions>> ChooseModels(const Options& options) {
  std::vector<StoreEntry> entries;
  for (const std::string& name : options.models) {
    ASSIGN_OR_RETURN(auto entry, ResolveModel(name));
    entries.push_back(std::move(entry));
  }
  if (options.models.empty()) {
    ASSIGN_OR_RETURN(const Store store, Store::Default());
    std::vector<Status> damaged;
    ASSIGN_OR_RETURN(entries, store.List(&damaged));
    for (const Status& entry : damaged) LogWarning("left out: {}", entry.message());
    if (entries.empty()) {
      return Error(
          Code::kNotFound,
          "no model named and none in the store {}: name a .gguf file or a directory, or add one: millrace add FILE --alias NAME",
          store.root());
    }
  }
  std::vector<gateway::ModelOptions> models;
  for (const StoreEntry& entry : entries) {
    gateway::ModelOptions model = options.worker;
    model.path = entry.file;
    model.alias = entry.alias;
    if (entry.temperature) model.sampling.temperature = static_cast<float>(*entry.temperature);
    if (entry.top_p) model.sampling.top_p = static_cast<float>(*entry.top_p);
    models.push_back(std::move(model));
  }
  return models;
}

// NAME=SECRET, or a bare secret that is called "default"; CheckApiKey has seen it.
gateway::ApiKey ParseKey(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) return {"default", text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

// Watches the models come up: progress, one line when they are ready, and an end when none of them can ever be.
class StartWatch {
 public:
  explicit StartWatch(int ready_fd) : ready_fd_(ready_fd) {}

  void OnChange(const gateway::ModelStatus& status) {
    if (started_) return;
    if (status.state == gateway::ModelState::kLoading) {
      if (!progress_ || shown_ != status.alias) progress_ = std::make_unique<ProgressLine>("loading " + status.alias);
      shown_ = status.alias;
      progress_->Show(status.loading_done, status.loading_total);
    }
    if (gateway_ != nullptr) AnnounceIfSettled();
  }

  // A small model may be ready before this is called.
  void Watch(gateway::Gateway* gateway, const std::string& address) {
    gateway_ = gateway;
    url_ = fmt::format("http://{}:{}", address.find(':') == std::string::npos ? address : "[" + address + "]", gateway->port());
    AnnounceIfSettled();
  }

  const Status& failure() const { return failure_; }

 private:
  void AnnounceIfSettled() {
    const auto models = gateway_->Models();
    const auto settled = [](const auto& model) {
      return model.state == gateway::ModelState::kReady || model.state == gateway::ModelState::kFailed;
    };
    if (!std::all_of(models.begin(), models.end(), settled)) return;
    progress_.reset();
    started_ = true;
    Announce(models);
  }

  void Announce(const std::vector<gateway::ModelStatus>& models) {
    bool any = false;
    for (const auto& model : models) {
      if (model.state == gateway::ModelState::kFailed) {
        failure_ = Error(model.code, "model {}: {}", model.alias, model.cause);
        continue;
      }
      any = true;
      LogInfo(
          "model {}: ready on {} ({}), {} threads, {} slots of {} tokens, {:.0f} MB weights, {:.0f} MB KV, {:.1f} MB read per "
          "token",
          model.alias, model.engine, model.isa, model.threads, model.slots, model.context,
          static_cast<double>(model.weight_bytes) / 1e6, static_cast<double>(model.kv_pool_bytes) / 1e6,
          static_cast<double>(model.bytes_per_token) / 1e6);
    }
    if (!any) return gateway_->Drain(nullptr);
    failure_ = Status();
    const std::string line = url_ + "\n";
    if (ready_fd_ < 0) {
      std::printf("listening on %s", line.c_str());
      std::fflush(stdout);
    } else if (write(ready_fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
      LogWarning("the starting program does not listen any more");
    }
    if (ready_fd_ >= 0) close(ready_fd_);
  }

  const int ready_fd_;
  gateway::Gateway* gateway_ = nullptr;
  std::string url_;
  std::unique_ptr<ProgressLine> progress_;
  std::string shown_;  // whose progress that is
  bool started_ = false;
  Status failure_;
};

Status StartAndRun(Options options) {
  ASSIGN_OR_RETURN(options.gateway.models, ChooseModels(options));
  for (const std::string& text : options.keys) options.gateway.keys.push_back(ParseKey(text));
  ASSIGN_OR_RETURN(const EngineChoice engine, ChooseEngine(options.engine));
  options.gateway.worker_program = engine.program;
  options.gateway.build_id = BuildId();
  options.gateway.version = Version();
  options.gateway.drain_timeout_ns = int64_t{options.drain_seconds} * 1'000'000'000;
  auto watch = std::make_shared<StartWatch>(options.ready_fd);
  options.gateway.on_model_change = [watch](const gateway::ModelStatus& status) { watch->OnChange(status); };
  const std::string address = options.gateway.address;
  const uint16_t port = options.gateway.port;

  ASSIGN_OR_RETURN(SignalQueue signals, SignalQueue::Capture({SIGINT, SIGTERM}));
  const auto loop = net::MakeAsioLoop();
  ASSIGN_OR_RETURN(const auto gateway, gateway::Gateway::Create(*loop, std::move(options.gateway)));
  bool draining = false;
  ASSIGN_OR_RETURN(const auto signal_watch, loop->WatchReadable(signals.fd(), [&signals, &gateway, &draining] {
    while (const auto signal = signals.Next()) {
      const char* next = std::exchange(draining, true) ? "ending at once" : "finishing running streams; once more ends at once";
      LogInfo("{}: {}", *signal == SIGINT ? "interrupted" : "asked to end", next);
      gateway->Drain(nullptr);
    }
  }));
  const Status started = gateway->Start();
  if (started.code() == Code::kAlreadyExists) {
    return Error(Code::kAlreadyExists,
                 "{}. Another server may be running there; choose another port with --port, or --port 0 for any",
                 started.message());
  }
  RETURN_IF_ERROR(started);
  if (!engine.reason.empty()) LogInfo("engine {}: {}", engine.engine, engine.reason);
  watch->Watch(gateway.get(), address);
  if (port == 0) LogInfo("port {} chosen", gateway->port());
  loop->Run();
  return watch->failure();
}

LogLevel ParseLevel(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warning") return LogLevel::kWarning;
  return name == "error" ? LogLevel::kError : LogLevel::kInfo;
}

}  // namespace

void AddServe(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("serve", "Serve models over HTTP (OpenAI chat API) until Ctrl-C");
  command->add_option("models", options->models,
                      "Names of the store, .gguf files or directories; without any, every model of the store");
  command->add_option("--host", options->gateway.address, "Address to listen on; one that is not loopback demands --api-key")
      ->check(CheckIpAddress)
      ->capture_default_str();
  command->add_option("--port", options->gateway.port, "Port to listen on; 0 = any free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->add_option("--api-key", options->keys, "NAME=SECRET or SECRET; clients must send it as bearer token")
      ->check(CheckApiKey);
  AddEngineOption(*command, options->engine);
  command->add_option("--context", options->worker.context, "Tokens per conversation; 0 = what the model allows, at most 8192")
      ->check(CheckContext)
      ->capture_default_str();
  command->add_option("--slots", options->worker.slots, "Requests that run at once, per model")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_option("--threads", options->worker.threads, "Threads that compute, per model; 0 = one per physical core")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  command->add_option("--prefill-chunk", options->worker.prefill_chunk, "Most prompt tokens of one step; 0 = 256")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command->add_flag("--reference", options->worker.reference, "Slow float arithmetic that the fast paths are tested against");
  command->add_option("--quantize", options->worker.quantise, "Quantise float weights to so many bits while loading: 4 or 8")
      ->check(CLI::IsMember({4, 8}));
  command->add_option("--isa", options->worker.isa, "Force an instruction set: scalar, avx2, avx512vnni")
      ->check(CLI::IsMember({"scalar", "avx2", "avx512vnni"}));
  command
      ->add_option("--allowed-host", options->gateway.allowed_hosts, "Host names clients may use, beside localhost and addresses")
      ->check(CheckHostName);
  command
      ->add_option("--allowed-origin", options->gateway.allowed_origins,
                   "Browser origins that may call, like https://example.org")
      ->check(CheckOrigin);
  command->add_option("--drain-timeout", options->drain_seconds, "Seconds that running answers get after Ctrl-C")
      ->check(CLI::Range(0, 3600))
      ->capture_default_str();
  command->add_option("--log-level", options->log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  AddNowOption(*command);
  command->add_option("--ready-fd", options->ready_fd,
                      "For programs: write the address to this descriptor once models are ready")
      ->check(CheckOpenDescriptor);  // here, before we open anything ourselves: the number would be one of ours
  command->callback([options, &exit_code] {
    StartLog("millrace", ParseLevel(options->log_level));
    const Status status = StartAndRun(*options);
    exit_code = status.ok() ? kExitOk : Fail(status);
  });
}

}  // namespace millrace::cmd
