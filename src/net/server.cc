#include "net/server.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "net/detail/connection.h"

namespace millrace::net {

struct Server::Impl {
  Impl(Loop& event_loop, const Router& router, ServerOptions options)
      : loop(event_loop), core(std::make_shared<ServerCore>(event_loop, router, std::move(options))) {
    core->id_prefix = static_cast<uint64_t>(loop.WallNs()) / 1'000'000;
    core->on_closed = [this](Connection& connection) { OnClosed(connection); };
    core->on_progress = [this] { CheckDrainedSoon(); };
  }
  ~Impl();

  void OnAccept(std::unique_ptr<Socket> socket);
  void OnClosed(Connection& connection);
  void CheckDrainedSoon();
  void CheckDrained();
  void CloseAll();
  void FinishDrain();
  int& CountOf(const Address& peer) { return per_address[peer.host]; }

  Loop& loop;
  const std::shared_ptr<ServerCore> core;
  std::vector<std::unique_ptr<Listener>> listeners;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections;
  std::unordered_map<std::string, int> per_address;  // never more entries than connections
  bool closing = false;
  TimerId drain_timer = kNoTimer;
  TimerId check_timer = kNoTimer;  // a timer and not Post: it can be cancelled when the server goes
  std::vector<std::function<void()>> drain_done;
};

Server::Impl::~Impl() {
  core->on_progress = nullptr;
  loop.CancelTimer(drain_timer);
  loop.CancelTimer(check_timer);
  listeners.clear();
  CloseAll();
  core->on_closed = nullptr;
}

void Server::Impl::OnAccept(std::unique_ptr<Socket> socket) {
  ++core->stats.accepted;
  ++core->stats.connections;
  const ServerLimits& limits = core->options.limits;
  const auto connection = std::make_shared<Connection>(core, std::move(socket));
  connections.emplace(connection.get(), connection);
  const int from_here = ++CountOf(connection->peer());
  if (!core->crowded && static_cast<int>(connections.size()) >= limits.connections) {
    core->crowded = true;
    for (const auto& listener : listeners) listener->Pause();
  }
  if (from_here > limits.connections_per_address && !connection->peer().IsLoopback()) {
    return connection->StartRefused(503, "too many connections from this address");
  }
  connection->Start();
}

void Server::Impl::OnClosed(Connection& connection) {
  --core->stats.connections;
  if (--CountOf(connection.peer()) == 0) per_address.erase(connection.peer().host);
  if (!closing) connections.erase(&connection);
  if (core->crowded && !closing && static_cast<int>(connections.size()) < core->options.limits.connections) {
    core->crowded = false;
    for (const auto& listener : listeners) listener->Resume();
  }
  CheckDrainedSoon();
}

void Server::Impl::CloseAll() {
  closing = true;
  for (const auto& entry : connections) entry.second->Close();
  const auto gone = std::exchange(connections, {});
  closing = false;
}

// In a turn of its own: the caller may be deep inside a connection that is about to go on.
void Server::Impl::CheckDrainedSoon() {
  if (!core->draining || check_timer != kNoTimer || drain_done.empty()) return;
  check_timer = loop.At(loop.NowNs(), [this] {
    check_timer = kNoTimer;
    CheckDrained();
  });
}

void Server::Impl::CheckDrained() {
  const bool busy = std::ranges::any_of(connections, [](const auto& entry) { return entry.second->busy(); });
  if (!busy) FinishDrain();
}

void Server::Impl::FinishDrain() {
  loop.CancelTimer(std::exchange(drain_timer, kNoTimer));
  loop.CancelTimer(std::exchange(check_timer, kNoTimer));
  const auto callbacks = std::exchange(drain_done, {});
  listeners.clear();
  for (const auto& entry : connections) entry.second->CutOff(Error(Code::kUnavailable, "the server is shutting down"));
  CloseAll();
  for (const auto& done : callbacks) {
    if (done) done();  // may destroy the server; the list is ours
  }
}

Server::Server(Loop& loop, const Router& router, ServerOptions options)
    : impl_(std::make_unique<Impl>(loop, router, std::move(options))) {}
Server::~Server() = default;

Result<Address> Server::Listen(const Address& address, const ListenOptions& options) {
  ASSIGN_OR_RETURN(auto listener, impl_->loop.Listen(address, options));
  const Address bound = listener->bound();
  listener->Start([impl = impl_.get()](std::unique_ptr<Socket> socket) { impl->OnAccept(std::move(socket)); });
  if (impl_->core->crowded) listener->Pause();
  impl_->listeners.push_back(std::move(listener));
  return bound;
}

void Server::Drain(int64_t timeout_ns, std::function<void()> done) {
  impl_->core->draining = true;
  impl_->drain_done.push_back(std::move(done));
  impl_->loop.CancelTimer(impl_->drain_timer);
  impl_->drain_timer = impl_->loop.At(impl_->loop.NowNs() + timeout_ns, [impl = impl_.get()] {
    impl->drain_timer = kNoTimer;
    impl->FinishDrain();
  });
  impl_->CheckDrainedSoon();
}

bool Server::draining() const { return impl_->core->draining; }
ServerStats Server::stats() const { return impl_->core->stats; }

}  // namespace millrace::net
