#include "gateway/gateway.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/hash.h"
#include "base/log.h"
#include "gateway/api_keys.h"
#include "gateway/dispatcher.h"
#include "gateway/handlers.h"
#include "gateway/process_launcher.h"
#include "gateway/reply.h"
#include "gateway/routes.h"
#include "gateway/timer.h"
#include "net/asio_loop.h"
#include "net/server.h"
#include "os/random.h"

namespace millrace::gateway {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kLastWordsNs = kSecondNs;  // for error events to leave after the drain timeout

net::Refusal RefusalOf(const api::ApiError& error) {
  net::Refusal refusal;
  refusal.status = error.status;
  refusal.message = error.message;
  refusal.body = api::ErrorBody(error);
  for (const auto& [name, value] : api::ErrorHeaders(error)) refusal.headers.push_back({name, value});
  return refusal;
}

api::ApiError ShuttingDown() {
  api::ApiError error = api::FromStatus(Status(Code::kUnavailable, "the server is shutting down"));
  error.retry_after_ms = 5000;
  return error;
}

Status CheckOptions(const GatewayOptions& options) {
  if (options.models.empty()) return Error(Code::kInvalidArgument, "no model is named: expected at least one");
  if (!net::IsIpv4Literal(options.address) && !net::IsIpv6Literal(options.address)) {
    return Error(Code::kInvalidArgument, "address '{}': expected an IPv4 or IPv6 address", options.address);
  }
  if (options.keys.empty() && !net::Address{options.address, options.port}.IsLoopback()) {
    return Error(Code::kInvalidArgument,
                 "address {} can be reached from other machines, and no API key is set: set one, or listen on 127.0.0.1",
                 options.address);
  }
  return {};
}

using Entries = std::vector<std::shared_ptr<const ModelEntry>>;

Result<Entries> OpenModels(const std::vector<ModelOptions>& models) {
  Entries entries;
  for (const ModelOptions& options : models) {
    ASSIGN_OR_RETURN(auto entry, ModelEntry::Open(options));
    const auto same_name = [&](const auto& other) { return other->alias() == entry->alias(); };
    if (const auto twin = std::find_if(entries.begin(), entries.end(), same_name); twin != entries.end()) {
      return Error(Code::kInvalidArgument, "two models are called '{}': {} and {}", entry->alias(), (*twin)->options().path,
                   options.path);
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace

class Gateway::Impl {
 public:
  Impl(net::Loop& loop, GatewayOptions options, Entries entries, ApiKeys keys, std::unique_ptr<WorkerLauncher> launcher)
      : loop_(&loop),
        options_(std::move(options)),
        random_key_(options_.random_key != 0 ? options_.random_key : RandomU64()),
        launcher_(std::move(launcher)),
        dispatcher_(MakeServices(entries)),
        handlers_(loop, dispatcher_, std::move(keys), random_key_),
        router_(MakeRoutes(handlers_)),
        drain_timer_(loop) {
    handlers_.version = options_.version;
    handlers_.build_id = options_.build_id;
    handlers_.system_fingerprint = fmt::format("fp_{:016x}", Fnv1a(options_.build_id));
    handlers_.draining = [this] { return draining_; };
    server_.emplace(loop, router_, MakeServerOptions());
  }

  Status Start() {
    ASSIGN_OR_RETURN(bound_, server_->Listen({options_.address, options_.port}));
    dispatcher_.Start();
    return {};
  }

  uint16_t port() const { return bound_.port; }
  net::Loop& loop() { return *loop_; }

  std::vector<ModelStatus> Models() const {
    std::vector<ModelStatus> out;
    for (const auto& service : dispatcher_.services()) out.push_back(service->Describe());
    return out;
  }

  void Drain(std::function<void()> done) {
    if (done) done_.push_back(std::move(done));
    if (std::exchange(draining_, true)) return EndStreams();
    drain_timer_.ArmAfter(options_.drain_timeout_ns, [this] { EndStreams(); });
    server_->Drain(options_.drain_timeout_ns + kLastWordsNs, [this] { StopWorkers(); });
  }

 private:
  std::vector<std::unique_ptr<ModelService>> MakeServices(const Entries& entries) {
    ServiceOptions service;
    service.build_id = options_.build_id;
    service.supervision = options_.supervision;
    service.created_s = loop_->WallNs() / kSecondNs;
    std::vector<std::unique_ptr<ModelService>> services;
    for (const auto& entry : entries) {
      service.random_key = Fnv1a(entry->alias(), random_key_);
      services.push_back(std::make_unique<ModelService>(*loop_, *launcher_, entry, service, options_.on_model_change));
    }
    return services;
  }

  net::ServerOptions MakeServerOptions() {
    net::ServerOptions server;
    server.limits.connections = std::min(server.limits.connections, net::MaxConnectionsForThisProcess());
    server.policy.host_names = options_.allowed_hosts;
    server.policy.origins = options_.allowed_origins;
    server.hooks.error_body = [](int status, std::string_view message) {
      return net::ErrorText{"application/json", api::ErrorBody(api::FromHttpStatus(status, message))};
    };
    server.hooks.admit = [this](const net::Request& head, const net::Route& route) -> std::optional<net::Refusal> {
      if (route.scope == net::Scope::kPublic) return std::nullopt;
      const auto error = handlers_.keys.Check(head);
      return error ? std::optional<net::Refusal>(RefusalOf(*error)) : std::nullopt;
    };
    server.hooks.draining = [](const net::Request&) { return RefusalOf(ShuttingDown()); };
    return server;
  }

  // The last word of every stream that still runs; the connections close by themselves then.
  void EndStreams() {
    if (stopping_) return;
    dispatcher_.FailAll(ShuttingDown());
    server_->Drain(kLastWordsNs, nullptr);
  }

  void StopWorkers() {
    stopping_ = true;
    drain_timer_.Cancel();
    dispatcher_.Stop([this] {
      LogInfo("stopped");
      // The callbacks may destroy the gateway.
      const auto callbacks = std::exchange(done_, {});
      if (callbacks.empty()) return loop_->Stop();
      for (const auto& done : callbacks) done();
    });
  }

  net::Loop* loop_;
  const GatewayOptions options_;
  const uint64_t random_key_;
  std::unique_ptr<WorkerLauncher> launcher_;
  Dispatcher dispatcher_;
  Handlers handlers_;
  net::Router router_;
  net::Address bound_;
  bool draining_ = false;
  bool stopping_ = false;
  std::vector<std::function<void()>> done_;
  Timer drain_timer_;
  std::optional<net::Server> server_;  // destroyed first: it holds the exchanges that handlers answer
};

Result<std::unique_ptr<Gateway>> Gateway::Create(net::Loop& loop, GatewayOptions options) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(std::string program, FindWorkerProgram(options.worker_program));
  return Create(loop, std::move(options), std::make_unique<ProcessLauncher>(loop, std::move(program)));
}

Result<std::unique_ptr<Gateway>> Gateway::Create(net::Loop& loop, GatewayOptions options,
                                                 std::unique_ptr<WorkerLauncher> launcher) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(ApiKeys keys, ApiKeys::Create(options.keys));
  ASSIGN_OR_RETURN(Entries entries, OpenModels(options.models));
  auto impl = std::make_unique<Impl>(loop, std::move(options), std::move(entries), std::move(keys), std::move(launcher));
  return std::unique_ptr<Gateway>(new Gateway(std::move(impl)));
}

Gateway::Gateway(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Gateway::~Gateway() = default;

Status Gateway::Start() { return impl_->Start(); }

Status Gateway::Run() {
  RETURN_IF_ERROR(Start());
  impl_->loop().Run();
  return {};
}

uint16_t Gateway::port() const { return impl_->port(); }
std::vector<ModelStatus> Gateway::Models() const { return impl_->Models(); }
void Gateway::Drain(std::function<void()> done) { impl_->Drain(std::move(done)); }

}  // namespace millrace::gateway
