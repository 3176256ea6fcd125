// The event loop that the gateway lives on, as an interface: clock, timers, posted work, sockets, watched descriptors, threads
// beside the loop. asio_loop.h is the real one, sim_loop.h a deterministic simulation; nothing above this folder can tell which
// one runs.
//
// Rules, the same for both and checked by one conformance suite:
//   - Everything is called from the loop's thread, except Post and Stop (any thread) and the tasks of an Executor (its thread).
//   - A callback never runs inside the call that registered it.
//   - Destroying or closing an object drops its callbacks: none of them runs afterwards. An object may be destroyed inside one
//     of its own callbacks. Objects must be destroyed before their loop.
//   - The interface is frozen: docs/adr/0004-net-loop.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "net/address.h"

namespace millrace::net {

using TimerId = uint64_t;  // never reused within a loop
inline constexpr TimerId kNoTimer = 0;

// A stream connection.
class Socket {
 public:
  // The bytes (valid only inside the callback), a size of 0 at end of stream, or kUnavailable when the connection broke.
  using ReadDone = std::function<void(Result<std::string_view>)>;
  using WriteDone = std::function<void(Status)>;

  virtual ~Socket() = default;

  // One outstanding at a time. After end of stream or an error no further Read is allowed.
  virtual void Read(ReadDone done) = 0;
  // Writes are sent in the order of the calls; `done` runs when all bytes of this call were handed to the system, or with
  // kUnavailable.
  virtual void Write(std::string bytes, WriteDone done) = 0;
  // Half-close: the peer sees end of stream after everything written so far. No Write afterwards.
  virtual void CloseWrite() = 0;
  // Drops everything unsent and all callbacks. Idempotent; every other call but peer() is then ignored.
  virtual void Close() = 0;
  // Close that the peer sees as a broken connection, never as a proper end of stream.
  virtual void Abort() = 0;

  virtual Address peer() const = 0;
  // Bytes given to Write that the system has not taken yet. Falls as the peer reads.
  virtual size_t unsent_bytes() const = 0;
};

class Listener {
 public:
  virtual ~Listener() = default;
  virtual Address bound() const = 0;  // with the port that was chosen
  // Connections wait in the system's backlog until Start. Once.
  virtual void Start(std::function<void(std::unique_ptr<Socket>)> on_accept) = 0;
  virtual void Pause() = 0;  // leave new connections in the backlog
  virtual void Resume() = 0;
  virtual void Close() = 0;  // refuse new connections
};

// One thread beside the loop, for work that would block it (rendering, tokenising). Tasks run in order.
class Executor {
 public:
  // Waits for the running task; tasks not yet begun and all completions are dropped.
  virtual ~Executor() = default;
  // `task` runs off the loop, then `done` (may be empty) on it.
  virtual void Run(std::function<void()> task, std::function<void()> done) = 0;
};

// Destroying it ends the watch.
class Watch {
 public:
  virtual ~Watch() = default;
};

struct ListenOptions {
  int backlog = 512;
  bool reuse_address = true;
};

class Loop {
 public:
  virtual ~Loop() = default;

  virtual int64_t NowNs() = 0;   // monotonic; comparable with millrace::MonotonicNs() on the real loop
  virtual int64_t WallNs() = 0;  // since 1970-01-01 UTC, for the Date header and "created" fields

  // Runs `callback` once when NowNs() >= when_ns, never earlier. Times in the past mean the next turn.
  virtual TimerId At(int64_t when_ns, std::function<void()> callback) = 0;
  // No effect on kNoTimer and on timers that ran. After it returns the callback does not run.
  virtual void CancelTimer(TimerId timer) = 0;
  // From any thread. Work posted by one thread runs in its order.
  virtual void Post(std::function<void()> work) = 0;

  // kAlreadyExists when the port is taken, kInvalidArgument when the address is not of this machine.
  virtual Result<std::unique_ptr<Listener>> Listen(const Address& address, const ListenOptions& options) = 0;
  // `name` is the thread's name in the system's tools, at most 15 bytes of it.
  virtual std::unique_ptr<Executor> MakeExecutor(std::string name) = 0;
  // Calls back while `fd` is readable (event counter, pidfd, pipe): the callback must drain it or end the watch. The descriptor
  // stays the caller's and may be closed at any time; end the watch as well then.
  virtual Result<std::unique_ptr<Watch>> WatchReadable(int fd, std::function<void()> callback) = 0;

  virtual void Run() = 0;   // until Stop
  virtual void Stop() = 0;  // from any thread; the callback in progress ends first. A stopped loop may Run again.
};

}  // namespace millrace::net
