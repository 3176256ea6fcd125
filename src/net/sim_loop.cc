// Everything is an event in one ordered queue: (time, random tie-break, number). What a real system decides by timing is decided
// here by draws from one generator, in the order in which events run, so a run depends on the seed and on the calls alone.
#include "net/sim_loop.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/hash.h"

namespace millrace::net {
namespace {

constexpr size_t kMaxReadBytes = 16 << 10;
constexpr int kFirstWakeFd = 1 << 28;  // far above real descriptors, so that mixing the two up fails
constexpr uint16_t kFirstFreePort = 40000;

enum class Kind : uint8_t { kTimer, kPost, kTask, kTaskDone, kAccept, kTransfer, kDeliver, kWake };

class SimLoopImpl;

// One end of a connection. The SimSocket object owns it; events hold it weakly.
struct Endpoint {
  struct PendingWrite {
    std::string bytes;
    size_t sent = 0;
    Socket::WriteDone done;
  };
  Address peer_address;
  std::weak_ptr<Endpoint> peer;
  std::deque<PendingWrite> writes;
  std::string inbox;  // what the system holds for the reader
  Socket::ReadDone read;
  bool inbox_ended = false;       // the peer's end of stream stands behind the inbox
  bool close_write = false;       // CloseWrite was called ...
  bool close_write_sent = false;  // ... and has reached the peer
  bool broken = false;
  bool closed = false;
  bool transfer_scheduled = false;
  bool deliver_scheduled = false;
  bool blocked = false;  // the peer's inbox was full
};

struct ListenerState {
  Address bound;
  std::deque<std::shared_ptr<Endpoint>> backlog;
  std::shared_ptr<std::function<void(std::unique_ptr<Socket>)>> on_accept;
  bool paused = false;
  bool closed = false;
};

struct WatchState {
  std::function<void()> callback;
  bool ended = false;
};

struct WakeState {
  int fd = 0;
  bool signalled = false;
  bool scheduled = false;
  std::weak_ptr<WatchState> watch;
};

struct ExecutorState {
  struct Job {
    std::function<void()> task;
    std::function<void()> done;
  };
  std::deque<Job> jobs;
  std::deque<std::function<void()>> completions;
};

class SimLoopImpl final : public SimLoop {
 public:
  explicit SimLoopImpl(const SimOptions& options) : options_(options), random_state_(options.seed) {}
  ~SimLoopImpl() override {
    while (!events_.empty()) std::exchange(events_, {}).clear();  // what the events own may call the loop while it goes
  }

  int64_t NowNs() override { return now_ns_; }
  int64_t WallNs() override { return options_.wall_start_ns + now_ns_; }
  TimerId At(int64_t when_ns, std::function<void()> callback) override;
  void CancelTimer(TimerId timer) override;
  void Post(std::function<void()> work) override;
  Result<std::unique_ptr<Listener>> Listen(const Address& address, const ListenOptions& options) override;
  std::unique_ptr<Executor> MakeExecutor(std::string name) override;
  Result<std::unique_ptr<Watch>> WatchReadable(int fd, std::function<void()> callback) override;
  void Run() override;
  void Stop() override { stopped_ = true; }

  Result<std::unique_ptr<Socket>> Connect(const Address& to, const Address& from) override;
  std::unique_ptr<SimWake> MakeWake() override;
  bool Step() override;
  void RunUntilIdle() override;
  void RunFor(int64_t duration_ns) override;
  uint64_t Random() override;
  uint64_t trace_hash() const override { return trace_hash_; }
  size_t events_run() const override { return events_run_; }

  // For the objects of this loop.
  void Schedule(Kind kind, std::function<void()> run);
  void ScheduleTransfer(const std::shared_ptr<Endpoint>& end);
  void ScheduleDeliver(const std::shared_ptr<Endpoint>& end);
  void ScheduleAccept(const std::shared_ptr<ListenerState>& listener);
  void ScheduleWake(const std::shared_ptr<WakeState>& wake);
  void ScheduleTask(const std::shared_ptr<ExecutorState>& executor);
  void Break(const std::shared_ptr<Endpoint>& end);
  void CloseEndpoint(const std::shared_ptr<Endpoint>& end, bool abort);
  void CloseListener(const std::shared_ptr<ListenerState>& listener);
  void ForgetWake(int fd) { wakes_.erase(fd); }

 private:
  struct Key {
    int64_t when_ns;
    uint64_t tie;
    uint64_t number;
    auto operator<=>(const Key&) const = default;
  };
  struct Event {
    Kind kind;
    std::function<void()> run;
  };

  Key Add(int64_t when_ns, Kind kind, std::function<void()> run);
  void Trace(std::string_view bytes) { trace_hash_ = Fnv1a(bytes, trace_hash_); }
  void TraceNumber(uint64_t number);
  size_t Part(size_t available);
  void Transfer(const std::shared_ptr<Endpoint>& end);
  void Deliver(const std::shared_ptr<Endpoint>& end);
  void Accept(const std::shared_ptr<ListenerState>& listener);

  const SimOptions options_;
  uint64_t random_state_;
  int64_t now_ns_ = kStartNs;
  uint64_t next_number_ = 1;
  uint64_t trace_hash_ = kFnvSeed;
  size_t events_run_ = 0;
  size_t waiting_ = 0;  // events that are not timers
  std::map<Key, Event> events_;
  std::unordered_map<TimerId, Key> timers_;
  std::deque<std::function<void()>> posted_;
  std::map<std::pair<std::string, uint16_t>, std::shared_ptr<ListenerState>> listeners_;
  std::map<int, std::weak_ptr<WakeState>> wakes_;
  int next_wake_fd_ = kFirstWakeFd;
  uint16_t next_port_ = kFirstFreePort;
  std::atomic<bool> stopped_ = false;  // Stop is allowed from any thread

  static constexpr int64_t kStartNs = 1'000'000'000;  // not 0: "never" values of callers stay recognisable
};

class SimSocket final : public Socket {
 public:
  SimSocket(SimLoopImpl& loop, std::shared_ptr<Endpoint> end) : loop_(loop), end_(std::move(end)) {}
  ~SimSocket() override { Close(); }

  void Read(ReadDone done) override {
    if (end_->closed) return;
    CHECK(end_->read == nullptr, "one Read at a time");
    end_->read = std::move(done);
    if (!end_->inbox.empty() || end_->inbox_ended || end_->broken) loop_.ScheduleDeliver(end_);
  }
  void Write(std::string bytes, WriteDone done) override {
    if (end_->closed) return;
    CHECK(!end_->close_write, "Write after CloseWrite");
    end_->writes.push_back({std::move(bytes), 0, std::move(done)});
    loop_.ScheduleTransfer(end_);
  }
  void CloseWrite() override {
    if (end_->closed || end_->close_write) return;
    end_->close_write = true;
    loop_.ScheduleTransfer(end_);
  }
  void Close() override { loop_.CloseEndpoint(end_, /*abort=*/false); }
  void Abort() override { loop_.CloseEndpoint(end_, /*abort=*/true); }
  Address peer() const override { return end_->peer_address; }
  size_t unsent_bytes() const override {
    size_t sum = 0;
    for (const Endpoint::PendingWrite& write : end_->writes) sum += write.bytes.size() - write.sent;
    return sum;
  }

 private:
  SimLoopImpl& loop_;
  std::shared_ptr<Endpoint> end_;
};

class SimListener final : public Listener {
 public:
  SimListener(SimLoopImpl& loop, std::shared_ptr<ListenerState> state) : loop_(loop), state_(std::move(state)) {}
  ~SimListener() override { Close(); }
  Address bound() const override { return state_->bound; }
  void Start(std::function<void(std::unique_ptr<Socket>)> on_accept) override {
    CHECK(state_->on_accept == nullptr, "a listener is started once");
    state_->on_accept = std::make_shared<std::function<void(std::unique_ptr<Socket>)>>(std::move(on_accept));
    loop_.ScheduleAccept(state_);
  }
  void Pause() override { state_->paused = true; }
  void Resume() override {
    state_->paused = false;
    loop_.ScheduleAccept(state_);
  }
  void Close() override { loop_.CloseListener(state_); }

 private:
  SimLoopImpl& loop_;
  std::shared_ptr<ListenerState> state_;
};

class SimWatch final : public Watch {
 public:
  explicit SimWatch(std::shared_ptr<WatchState> state) : state_(std::move(state)) {}
  ~SimWatch() override { state_->ended = true; }

 private:
  std::shared_ptr<WatchState> state_;
};

class SimWakeImpl final : public SimWake {
 public:
  SimWakeImpl(SimLoopImpl& loop, std::shared_ptr<WakeState> state) : loop_(loop), state_(std::move(state)) {}
  ~SimWakeImpl() override { loop_.ForgetWake(state_->fd); }
  int fd() const override { return state_->fd; }
  void Signal() override {
    state_->signalled = true;
    loop_.ScheduleWake(state_);
  }

 private:
  SimLoopImpl& loop_;
  std::shared_ptr<WakeState> state_;
};

class SimExecutor final : public Executor {
 public:
  explicit SimExecutor(SimLoopImpl& loop) : loop_(loop), state_(std::make_shared<ExecutorState>()) {}
  void Run(std::function<void()> task, std::function<void()> done) override {
    state_->jobs.push_back({std::move(task), std::move(done)});
    loop_.ScheduleTask(state_);
  }

 private:
  SimLoopImpl& loop_;
  std::shared_ptr<ExecutorState> state_;
};

uint64_t SimLoopImpl::Random() {  // splitmix64
  uint64_t z = (random_state_ += 0x9E3779B97F4A7C15ULL);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

void SimLoopImpl::TraceNumber(uint64_t number) { Trace(std::string_view(reinterpret_cast<const char*>(&number), sizeof number)); }

SimLoopImpl::Key SimLoopImpl::Add(int64_t when_ns, Kind kind, std::function<void()> run) {
  const Key key = {when_ns, Random(), next_number_++};
  events_.emplace(key, Event{kind, std::move(run)});
  if (kind != Kind::kTimer) ++waiting_;
  return key;
}

void SimLoopImpl::Schedule(Kind kind, std::function<void()> run) {
  const auto span = static_cast<uint64_t>(std::max<int64_t>(options_.max_delay_ns, 0)) + 1;
  Add(now_ns_ + static_cast<int64_t>(Random() % span), kind, std::move(run));
}

TimerId SimLoopImpl::At(int64_t when_ns, std::function<void()> callback) {
  const TimerId id = next_number_;  // the number of the event added next
  const Key key = Add(std::max(when_ns, now_ns_), Kind::kTimer, [this, id, run = std::move(callback)] {
    timers_.erase(id);
    run();
  });
  timers_.emplace(id, key);
  return id;
}

void SimLoopImpl::CancelTimer(TimerId timer) {
  const auto found = timers_.find(timer);
  if (found == timers_.end()) return;
  const auto event = events_.extract(found->second);  // destroyed last: what it owns may call the loop
  timers_.erase(found);
}

void SimLoopImpl::Post(std::function<void()> work) {
  posted_.push_back(std::move(work));
  Schedule(Kind::kPost, [this] {
    const std::function<void()> next = std::move(posted_.front());
    posted_.pop_front();
    next();
  });
}

bool SimLoopImpl::Step() {
  if (events_.empty()) return false;
  const auto event = events_.extract(events_.begin());
  now_ns_ = std::max(now_ns_, event.key().when_ns);
  if (event.mapped().kind != Kind::kTimer) --waiting_;
  ++events_run_;
  TraceNumber(static_cast<uint64_t>(now_ns_));
  TraceNumber(static_cast<uint64_t>(event.mapped().kind));
  event.mapped().run();
  return true;
}

void SimLoopImpl::RunUntilIdle() {
  while (waiting_ > 0) Step();
}

void SimLoopImpl::RunFor(int64_t duration_ns) {
  const int64_t end_ns = now_ns_ + duration_ns;
  while (!events_.empty() && events_.begin()->first.when_ns <= end_ns) Step();
  now_ns_ = end_ns;
}

void SimLoopImpl::Run() {
  stopped_ = false;
  while (!stopped_ && Step()) {
  }
}

// How much of `available` (> 0) one transfer moves: often all, sometimes a few bytes, else anything between.
size_t SimLoopImpl::Part(size_t available) {
  if (!options_.partial_io) return available;
  switch (Random() % 4) {
    case 0:
      return 1 + Random() % std::min<size_t>(available, 8);
    case 1:
      return 1 + Random() % available;
    default:
      return available;
  }
}

void SimLoopImpl::ScheduleTransfer(const std::shared_ptr<Endpoint>& end) {
  if (end->transfer_scheduled || end->blocked) return;
  end->transfer_scheduled = true;
  Schedule(Kind::kTransfer, [this, weak = std::weak_ptr(end)] {
    if (const auto self = weak.lock()) Transfer(self);
  });
}

// Moves one part of the oldest write into the peer's inbox, or the end of stream behind the last one.
void SimLoopImpl::Transfer(const std::shared_ptr<Endpoint>& end) {
  end->transfer_scheduled = false;
  if (end->closed) return;
  const std::shared_ptr<Endpoint> peer = end->peer.lock();
  if (end->broken || (!end->writes.empty() && (peer == nullptr || peer->closed))) return Break(end);
  if (end->writes.empty()) {
    if (!end->close_write || end->close_write_sent) return;
    end->close_write_sent = true;
    if (peer == nullptr || peer->closed) return;
    peer->inbox_ended = true;
    return ScheduleDeliver(peer);
  }
  if (options_.reset_probability > 0 && static_cast<double>(Random() >> 11) * 0x1p-53 < options_.reset_probability) {
    Break(peer);
    return Break(end);
  }
  Endpoint::PendingWrite& write = end->writes.front();
  const size_t room = options_.pipe_bytes - std::min(options_.pipe_bytes, peer->inbox.size());
  const size_t left = write.bytes.size() - write.sent;
  if (room == 0 && left > 0) {
    end->blocked = true;  // the next delivery to the peer goes on
    return;
  }
  const size_t part = left == 0 ? 0 : Part(std::min(room, left));
  const std::string_view moved = std::string_view(write.bytes).substr(write.sent, part);
  Trace(moved);
  peer->inbox.append(moved);
  write.sent += part;
  ScheduleDeliver(peer);
  if (write.sent < write.bytes.size()) return ScheduleTransfer(end);
  const Socket::WriteDone done = std::move(write.done);
  end->writes.pop_front();
  if (!end->writes.empty() || end->close_write) ScheduleTransfer(end);
  if (done) done(Status());
}

void SimLoopImpl::ScheduleDeliver(const std::shared_ptr<Endpoint>& end) {
  if (end->deliver_scheduled || end->read == nullptr) return;
  end->deliver_scheduled = true;
  Schedule(Kind::kDeliver, [this, weak = std::weak_ptr(end)] {
    if (const auto self = weak.lock()) Deliver(self);
  });
}

void SimLoopImpl::Deliver(const std::shared_ptr<Endpoint>& end) {
  end->deliver_scheduled = false;
  if (end->closed || end->read == nullptr) return;
  if (end->broken) {
    return std::exchange(end->read, nullptr)(Error(Code::kUnavailable, "connection reset by the peer"));
  }
  if (end->inbox.empty()) {
    if (end->inbox_ended) std::exchange(end->read, nullptr)(std::string_view());
    return;
  }
  const size_t part = Part(std::min(end->inbox.size(), kMaxReadBytes));
  const std::string bytes = end->inbox.substr(0, part);
  end->inbox.erase(0, part);
  if (const auto peer = end->peer.lock(); peer != nullptr && peer->blocked) {
    peer->blocked = false;
    ScheduleTransfer(peer);
  }
  std::exchange(end->read, nullptr)(std::string_view(bytes));
}

// The connection is dead for this end: every outstanding callback fails, each in an event of its own.
void SimLoopImpl::Break(const std::shared_ptr<Endpoint>& end) {
  if (end->closed) return;
  end->broken = true;
  end->blocked = false;
  end->inbox.clear();
  ScheduleDeliver(end);
  if (end->writes.empty()) return;
  const Socket::WriteDone done = std::move(end->writes.front().done);
  end->writes.pop_front();
  if (!end->writes.empty()) ScheduleTransfer(end);
  if (done)
    Schedule(Kind::kTransfer, [weak = std::weak_ptr(end), done] {
      const auto self = weak.lock();
      if (self != nullptr && !self->closed) done(Error(Code::kUnavailable, "connection reset by the peer"));
    });
}

void SimLoopImpl::CloseEndpoint(const std::shared_ptr<Endpoint>& end, bool abort) {
  if (end->closed) return;
  end->closed = true;
  const auto writes = std::move(end->writes);  // destroyed last: callbacks own things
  const auto read = std::move(end->read);
  end->writes.clear();
  end->read = nullptr;
  const std::shared_ptr<Endpoint> peer = end->peer.lock();
  if (peer == nullptr || peer->closed || end->broken) return;
  // As TCP does: input that nobody read, or output that was dropped, ends in a reset.
  if (abort || !end->inbox.empty() || !writes.empty()) return Break(peer);
  peer->inbox_ended = true;
  if (peer->blocked) {
    peer->blocked = false;
    ScheduleTransfer(peer);
  }
  ScheduleDeliver(peer);
}

Result<std::unique_ptr<Listener>> SimLoopImpl::Listen(const Address& address, const ListenOptions&) {
  if (!IsIpv4Literal(address.host) && !IsIpv6Literal(address.host)) {
    return Error(Code::kInvalidArgument, "listen on '{}': expected an IP address", address.host);
  }
  auto state = std::make_shared<ListenerState>();
  state->bound = address;
  if (address.port == 0) state->bound.port = next_port_++;
  const auto [entry, added] = listeners_.emplace(std::pair(state->bound.host, state->bound.port), state);
  if (!added) return Error(Code::kAlreadyExists, "listen on {}: the port is taken", state->bound.ToString());
  return std::unique_ptr<Listener>(std::make_unique<SimListener>(*this, std::move(state)));
}

Result<std::unique_ptr<Socket>> SimLoopImpl::Connect(const Address& to, const Address& from) {
  auto found = listeners_.find({to.host, to.port});
  if (found == listeners_.end()) found = listeners_.find({"0.0.0.0", to.port});
  if (found == listeners_.end()) return Error(Code::kUnavailable, "connect to {}: nobody listens there", to.ToString());
  auto client = std::make_shared<Endpoint>();
  auto server = std::make_shared<Endpoint>();
  client->peer = server;
  client->peer_address = to;
  server->peer = client;
  server->peer_address = from;
  found->second->backlog.push_back(server);
  ScheduleAccept(found->second);
  return std::unique_ptr<Socket>(std::make_unique<SimSocket>(*this, std::move(client)));
}

void SimLoopImpl::ScheduleAccept(const std::shared_ptr<ListenerState>& listener) {
  if (listener->closed || listener->paused || listener->on_accept == nullptr || listener->backlog.empty()) return;
  Schedule(Kind::kAccept, [this, weak = std::weak_ptr(listener)] {
    if (const auto self = weak.lock()) Accept(self);
  });
}

void SimLoopImpl::Accept(const std::shared_ptr<ListenerState>& listener) {
  if (listener->closed || listener->paused || listener->backlog.empty()) return;
  auto socket = std::make_unique<SimSocket>(*this, std::move(listener->backlog.front()));
  listener->backlog.pop_front();
  ScheduleAccept(listener);
  const auto callback = listener->on_accept;  // keeps it alive while it runs
  (*callback)(std::move(socket));
}

void SimLoopImpl::CloseListener(const std::shared_ptr<ListenerState>& listener) {
  if (listener->closed) return;
  listener->closed = true;
  listeners_.erase({listener->bound.host, listener->bound.port});
  for (const std::shared_ptr<Endpoint>& waiting : std::exchange(listener->backlog, {})) CloseEndpoint(waiting, /*abort=*/true);
}

std::unique_ptr<SimWake> SimLoopImpl::MakeWake() {
  auto state = std::make_shared<WakeState>();
  state->fd = next_wake_fd_++;
  wakes_.emplace(state->fd, state);
  return std::make_unique<SimWakeImpl>(*this, std::move(state));
}

Result<std::unique_ptr<Watch>> SimLoopImpl::WatchReadable(int fd, std::function<void()> callback) {
  const auto found = wakes_.find(fd);
  const std::shared_ptr<WakeState> wake = found == wakes_.end() ? nullptr : found->second.lock();
  if (wake == nullptr) {
    return Error(Code::kInvalidArgument, "watch descriptor {}: the simulated loop watches only those of MakeWake", fd);
  }
  auto watch = std::make_shared<WatchState>();
  watch->callback = std::move(callback);
  wake->watch = watch;
  if (wake->signalled) ScheduleWake(wake);
  return std::unique_ptr<Watch>(std::make_unique<SimWatch>(std::move(watch)));
}

void SimLoopImpl::ScheduleWake(const std::shared_ptr<WakeState>& wake) {
  if (wake->scheduled) return;
  wake->scheduled = true;
  Schedule(Kind::kWake, [weak = std::weak_ptr(wake)] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->scheduled = false;
    const auto watch = self->watch.lock();
    if (watch == nullptr || watch->ended) return;  // stays signalled for the next watch
    self->signalled = false;
    watch->callback();
  });
}

std::unique_ptr<Executor> SimLoopImpl::MakeExecutor(std::string) { return std::make_unique<SimExecutor>(*this); }

void SimLoopImpl::ScheduleTask(const std::shared_ptr<ExecutorState>& executor) {
  Schedule(Kind::kTask, [this, weak = std::weak_ptr(executor)] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    ExecutorState::Job job = std::move(self->jobs.front());
    self->jobs.pop_front();
    job.task();
    self->completions.push_back(std::move(job.done));
    Schedule(Kind::kTaskDone, [weak] {
      const auto state = weak.lock();
      if (state == nullptr) return;
      const std::function<void()> done = std::move(state->completions.front());
      state->completions.pop_front();
      if (done) done();
    });
  });
}

}  // namespace

std::unique_ptr<SimLoop> SimLoop::Make(const SimOptions& options) { return std::make_unique<SimLoopImpl>(options); }

}  // namespace millrace::net
