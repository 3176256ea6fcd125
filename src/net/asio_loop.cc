// Boost.Asio under the interface of loop.h. Each object that the caller holds is a thin owner of a shared state; handlers keep
// the state alive and look at its `closed` flag, so that destroying the object drops its callbacks whatever the system still
// completes.
#include "net/asio_loop.h"

// One thread runs the handlers, and Asio's queue has a mutex for those who post: its extra fences order nothing here, and the thread
// sanitizer cannot follow them.
#define BOOST_ASIO_DISABLE_FENCED_BLOCK 1

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "os/thread.h"

namespace millrace::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kReadBufferBytes = 64 << 10;
constexpr int kPeerTimeoutMs = 30'000;           // unacknowledged for so long: the peer is gone
constexpr int kUnsentInKernelBytes = 128 << 10;  // beyond it bytes wait with us, where unsent_bytes() sees them
constexpr auto kAcceptRetry = std::chrono::milliseconds(100);

Status PeerError(const error_code& error) { return Error(Code::kUnavailable, "connection broke: {}", error.message()); }

bool WouldBlock(const error_code& error) { return error == asio::error::would_block || error == asio::error::try_again; }

// Asio opens descriptors without the flag; a worker process must not inherit connections.
void CloseOnExec(int fd) { fcntl(fd, F_SETFD, FD_CLOEXEC); }

template <int kLevel, int kName>
void SetOption(tcp::socket& socket, int value) {
  error_code ignored;
  socket.set_option(asio::detail::socket_option::integer<kLevel, kName>(value), ignored);
}

void Configure(tcp::socket& socket) {
  error_code ignored;
  CloseOnExec(socket.native_handle());
  socket.non_blocking(true, ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
#ifdef TCP_USER_TIMEOUT
  SetOption<IPPROTO_TCP, TCP_USER_TIMEOUT>(socket, kPeerTimeoutMs);
#endif
#ifdef TCP_NOTSENT_LOWAT
  SetOption<IPPROTO_TCP, TCP_NOTSENT_LOWAT>(socket, kUnsentInKernelBytes);
#endif
}

// Shared by all sockets of a loop: bytes are handed to the callback before the next read can happen.
using ReadBuffer = std::array<char, kReadBufferBytes>;

struct SocketState : std::enable_shared_from_this<SocketState> {
  SocketState(tcp::socket from, ReadBuffer& shared_buffer) : socket(std::move(from)), buffer(shared_buffer) {}

  void WaitReadable();
  void OnReadable(const error_code& error);
  void WaitWritable();
  void Flush();
  void FailWrites(const error_code& error);
  void Complete(Socket::WriteDone done, Status status);
  void Close(bool abort);

  struct PendingWrite {
    std::string bytes;
    size_t sent = 0;
    Socket::WriteDone done;
  };
  tcp::socket socket;
  ReadBuffer& buffer;
  Address peer;
  Socket::ReadDone read;
  std::deque<PendingWrite> writes;
  size_t unsent = 0;
  std::optional<error_code> write_error;
  bool waiting_writable = false;
  bool close_write = false;
  bool closed = false;
};

void SocketState::WaitReadable() {
  socket.async_wait(tcp::socket::wait_read, [self = shared_from_this()](const error_code& error) { self->OnReadable(error); });
}

void SocketState::OnReadable(const error_code& wait_error) {
  if (closed || read == nullptr) return;
  error_code error = wait_error;
  size_t size = 0;
  if (!error) size = socket.read_some(asio::buffer(buffer), error);
  if (WouldBlock(error)) return WaitReadable();
  const Socket::ReadDone done = std::exchange(read, nullptr);
  if (error == asio::error::eof) return done(std::string_view());
  if (error) return done(PeerError(error));
  done(std::string_view(buffer.data(), size));
}

void SocketState::WaitWritable() {
  if (waiting_writable) return;
  waiting_writable = true;
  socket.async_wait(tcp::socket::wait_write, [self = shared_from_this()](const error_code& error) {
    self->waiting_writable = false;
    if (self->closed) return;
    if (error) return self->FailWrites(error);
    self->Flush();
  });
}

// Sends at once what the system takes; completions are posted, never called from here.
void SocketState::Flush() {
  while (!writes.empty()) {
    PendingWrite& write = writes.front();
    error_code error;
    const size_t size =
        write.bytes.size() == write.sent
            ? 0
            : socket.write_some(asio::buffer(write.bytes.data() + write.sent, write.bytes.size() - write.sent), error);
    if (WouldBlock(error)) return WaitWritable();
    if (error) return FailWrites(error);
    write.sent += size;
    unsent -= size;
    if (write.sent < write.bytes.size()) continue;
    Complete(std::move(write.done), Status());
    writes.pop_front();
  }
  if (close_write) {
    error_code ignored;
    socket.shutdown(tcp::socket::shutdown_send, ignored);
  }
}

void SocketState::FailWrites(const error_code& error) {
  write_error = error;
  unsent = 0;
  for (PendingWrite& write : std::exchange(writes, {})) Complete(std::move(write.done), PeerError(error));
}

void SocketState::Complete(Socket::WriteDone done, Status status) {
  if (!done) return;
  asio::post(socket.get_executor(), [self = shared_from_this(), done = std::move(done), status = std::move(status)]() mutable {
    if (!self->closed) done(std::move(status));
  });
}

void SocketState::Close(bool abort) {
  if (closed) return;
  closed = true;
  const auto dropped_read = std::exchange(read, nullptr);  // destroyed last: callbacks own things
  const auto dropped_writes = std::exchange(writes, {});
  error_code ignored;
  // Output that was dropped must not look like a proper end either.
  if (abort || unsent > 0) socket.set_option(asio::socket_base::linger(true, 0), ignored);
  unsent = 0;
  socket.close(ignored);
}

class AsioSocket final : public Socket {
 public:
  explicit AsioSocket(std::shared_ptr<SocketState> state) : state_(std::move(state)) {}
  ~AsioSocket() override { state_->Close(/*abort=*/false); }

  void Read(ReadDone done) override {
    if (state_->closed) return;
    CHECK(state_->read == nullptr, "one Read at a time");
    state_->read = std::move(done);
    state_->WaitReadable();
  }
  void Write(std::string bytes, WriteDone done) override {
    if (state_->closed) return;
    CHECK(!state_->close_write, "Write after CloseWrite");
    if (state_->write_error) return state_->Complete(std::move(done), PeerError(*state_->write_error));
    state_->unsent += bytes.size();
    state_->writes.push_back({std::move(bytes), 0, std::move(done)});
    if (!state_->waiting_writable) state_->Flush();
  }
  void CloseWrite() override {
    if (state_->closed || state_->close_write) return;
    state_->close_write = true;
    if (state_->writes.empty()) state_->Flush();
  }
  void Close() override { state_->Close(/*abort=*/false); }
  void Abort() override { state_->Close(/*abort=*/true); }
  Address peer() const override { return state_->peer; }
  size_t unsent_bytes() const override { return state_->unsent; }

 private:
  std::shared_ptr<SocketState> state_;
};

Address ToAddress(const tcp::endpoint& endpoint) { return {endpoint.address().to_string(), endpoint.port()}; }

struct ListenerState : std::enable_shared_from_this<ListenerState> {
  ListenerState(asio::io_context& io, ReadBuffer& shared_buffer) : acceptor(io), retry(io), buffer(shared_buffer) {}

  void Accept();
  void OnAccept(const error_code& error, tcp::socket socket);

  tcp::acceptor acceptor;
  asio::steady_timer retry;
  ReadBuffer& buffer;
  Address bound;
  std::shared_ptr<std::function<void(std::unique_ptr<Socket>)>> on_accept;
  bool accepting = false;
  bool paused = false;
  bool closed = false;
};

void ListenerState::Accept() {
  if (closed || paused || accepting || on_accept == nullptr) return;
  accepting = true;
  acceptor.async_accept([self = shared_from_this()](const error_code& error, tcp::socket socket) {
    self->accepting = false;
    self->OnAccept(error, std::move(socket));
  });
}

void ListenerState::OnAccept(const error_code& error, tcp::socket socket) {
  if (closed) return;
  if (error == asio::error::operation_aborted || error == asio::error::connection_aborted) return Accept();
  if (error) {  // out of descriptors or memory: the backlog holds the connections until some are free again
    retry.expires_after(kAcceptRetry);
    retry.async_wait([self = shared_from_this()](const error_code& cancelled) {
      if (!cancelled) self->Accept();
    });
    return;
  }
  Configure(socket);
  error_code gone;
  const tcp::endpoint remote = socket.remote_endpoint(gone);
  if (!gone) {
    auto state = std::make_shared<SocketState>(std::move(socket), buffer);
    state->peer = ToAddress(remote);
    const auto callback = on_accept;  // keeps it alive while it runs
    (*callback)(std::make_unique<AsioSocket>(std::move(state)));
  }
  Accept();
}

class AsioListener final : public Listener {
 public:
  explicit AsioListener(std::shared_ptr<ListenerState> state) : state_(std::move(state)) {}
  ~AsioListener() override { Close(); }
  Address bound() const override { return state_->bound; }
  void Start(std::function<void(std::unique_ptr<Socket>)> on_accept) override {
    CHECK(state_->on_accept == nullptr, "a listener is started once");
    state_->on_accept = std::make_shared<std::function<void(std::unique_ptr<Socket>)>>(std::move(on_accept));
    state_->Accept();
  }
  void Pause() override {
    state_->paused = true;
    error_code ignored;
    if (state_->accepting) state_->acceptor.cancel(ignored);
  }
  void Resume() override {
    state_->paused = false;
    state_->Accept();
  }
  void Close() override {
    if (state_->closed) return;
    state_->closed = true;
    error_code ignored;
    state_->acceptor.close(ignored);
    state_->retry.cancel();
  }

 private:
  std::shared_ptr<ListenerState> state_;
};

// A duplicate of the descriptor is watched, so that the caller's may be closed in any order.
struct WatchState : std::enable_shared_from_this<WatchState> {
  WatchState(asio::io_context& io, int duplicate, std::function<void()> on_readable)
      : descriptor(io, duplicate), callback(std::move(on_readable)) {}

  void Wait() {
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](const error_code& error) {
      if (error || self->ended) return;
      self->callback();
      if (!self->ended) self->Wait();
    });
  }

  asio::posix::stream_descriptor descriptor;
  std::function<void()> callback;
  bool ended = false;
};

class AsioWatch final : public Watch {
 public:
  explicit AsioWatch(std::shared_ptr<WatchState> state) : state_(std::move(state)) {}
  ~AsioWatch() override {
    state_->ended = true;
    error_code ignored;
    state_->descriptor.close(ignored);
  }

 private:
  std::shared_ptr<WatchState> state_;
};

class ThreadExecutor final : public Executor {
 public:
  ThreadExecutor(asio::io_context& io, const std::string& name) : io_(io), alive_(std::make_shared<bool>(true)) {
    thread_ = std::thread([this, name] {
      SetThreadName(name);
      Work();
    });
  }
  ~ThreadExecutor() override {
    *alive_ = false;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      jobs_.clear();
    }
    changed_.notify_one();
    thread_.join();
  }
  void Run(std::function<void()> task, std::function<void()> done) override {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back({std::move(task), std::move(done)});
    }
    changed_.notify_one();
  }

 private:
  struct Job {
    std::function<void()> task;
    std::function<void()> done;
  };

  void Work() {
    for (;;) {
      Job job;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
        if (stopping_) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      job.task();
      // The task's captures end on this thread, the completion's on the loop; `alive_` is read and written on the loop only.
      job.task = nullptr;
      asio::post(io_, [alive = alive_, done = std::move(job.done)] {
        if (*alive && done) done();
      });
    }
  }

  asio::io_context& io_;
  std::shared_ptr<bool> alive_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;   // guarded by mutex_
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

class AsioLoopImpl final : public AsioLoop {
 public:
  int64_t NowNs() override { return MonotonicNs(); }
  int64_t WallNs() override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  }

  TimerId At(int64_t when_ns, std::function<void()> callback) override {
    const TimerId id = ++last_timer_;
    auto& timer = timers_.try_emplace(id, Timer{asio::steady_timer(io_), std::move(callback)}).first->second;
    timer.timer.expires_at(std::chrono::steady_clock::time_point(std::chrono::nanoseconds(when_ns)));
    timer.timer.async_wait([this, id](const error_code&) {
      const auto found = timers_.find(id);
      if (found == timers_.end()) return;  // cancelled
      const auto node = timers_.extract(found);
      node.mapped().callback();
    });
    return id;
  }
  void CancelTimer(TimerId timer) override { const auto node = timers_.extract(timer); }
  void Post(std::function<void()> work) override { asio::post(io_, std::move(work)); }

  Result<std::unique_ptr<Listener>> Listen(const Address& address, const ListenOptions& options) override;
  std::unique_ptr<Executor> MakeExecutor(std::string name) override { return std::make_unique<ThreadExecutor>(io_, name); }
  Result<std::unique_ptr<Watch>> WatchReadable(int fd, std::function<void()> callback) override;
  Result<std::unique_ptr<Socket>> Connect(const Address& to) override;

  void Run() override {
    io_.restart();
    const auto work = asio::make_work_guard(io_);
    io_.run();
  }
  void Stop() override { io_.stop(); }

 private:
  struct Timer {
    asio::steady_timer timer;
    std::function<void()> callback;
  };

  ReadBuffer buffer_;
  TimerId last_timer_ = 0;
  asio::io_context io_;  // destroyed after the timers, before the buffer: its handlers hold both
  std::unordered_map<TimerId, Timer> timers_;
};

Result<std::unique_ptr<Listener>> AsioLoopImpl::Listen(const Address& address, const ListenOptions& options) {
  error_code error;
  const auto ip = asio::ip::make_address(address.host, error);
  if (error) return Error(Code::kInvalidArgument, "listen on '{}': expected an IP address", address.host);
  const tcp::endpoint endpoint(ip, address.port);
  auto state = std::make_shared<ListenerState>(io_, buffer_);
  state->acceptor.open(endpoint.protocol(), error);
  if (!error) {
    CloseOnExec(state->acceptor.native_handle());
    error_code ignored;
    state->acceptor.set_option(asio::socket_base::reuse_address(options.reuse_address), ignored);
    if (ip.is_v6()) state->acceptor.set_option(asio::ip::v6_only(true), ignored);
    state->acceptor.bind(endpoint, error);
  }
  if (!error) state->acceptor.listen(options.backlog, error);
  if (error == asio::error::address_in_use) {
    return Error(Code::kAlreadyExists, "listen on {}: the port is taken", address.ToString());
  }
  if (error) return Error(Code::kInvalidArgument, "listen on {}: {}", address.ToString(), error.message());
  state->bound = ToAddress(state->acceptor.local_endpoint(error));
  return std::unique_ptr<Listener>(std::make_unique<AsioListener>(std::move(state)));
}

Result<std::unique_ptr<Socket>> AsioLoopImpl::Connect(const Address& to) {
  error_code error;
  const tcp::endpoint endpoint(asio::ip::make_address(to.host, error), to.port);
  if (error) return Error(Code::kInvalidArgument, "connect to '{}': expected an IP address", to.host);
  tcp::socket socket(io_);
  socket.connect(endpoint, error);
  if (error) return Error(Code::kUnavailable, "connect to {}: {}", to.ToString(), error.message());
  Configure(socket);
  auto state = std::make_shared<SocketState>(std::move(socket), buffer_);
  state->peer = to;
  return std::unique_ptr<Socket>(std::make_unique<AsioSocket>(std::move(state)));
}

Result<std::unique_ptr<Watch>> AsioLoopImpl::WatchReadable(int fd, std::function<void()> callback) try {
  const int duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (duplicate < 0) return Error(Code::kInvalidArgument, "watch descriptor {}: not open", fd);
  std::shared_ptr<WatchState> state;
  try {
    state = std::make_shared<WatchState>(io_, duplicate, std::move(callback));
  } catch (...) {
    close(duplicate);
    throw;
  }
  state->Wait();
  return std::unique_ptr<Watch>(std::make_unique<AsioWatch>(std::move(state)));
} catch (const boost::system::system_error& error) {  // a regular file, for instance, cannot be watched
  return Error(Code::kInvalidArgument, "watch descriptor {}: {}", fd, error.code().message());
}

}  // namespace

std::unique_ptr<AsioLoop> MakeAsioLoop() { return std::make_unique<AsioLoopImpl>(); }

int MaxConnectionsForThisProcess() {
  constexpr rlim_t kMost = 4096;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
  return static_cast<int>(std::clamp<rlim_t>(limit.rlim_cur / 2, 1, kMost));
}

}  // namespace millrace::net
