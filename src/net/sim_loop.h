// A deterministic event loop: simulated clock, in-memory sockets, everything that a real system may reorder, delay, cut into
// pieces or break decided by one seed. The same seed and the same calls give the same run, callback by callback (see trace_hash).
//
// Single-threaded: Post and Executor tasks run on the caller's thread too. Time moves only while Step, RunUntilIdle, RunFor or
// Run runs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "net/loop.h"

namespace millrace::net {

struct SimOptions {
  uint64_t seed = 1;
  int64_t max_delay_ns = 200'000;  // every wake-up, transfer and posted piece of work takes 0 to this long
  bool partial_io = true;          // reads and transfers move a random part of what is there
  size_t pipe_bytes = 64 << 10;    // what the "system" buffers in each direction of a connection
  double reset_probability = 0.0;  // per transfer: the connection breaks for both sides
  int64_t wall_start_ns = 1'700'000'000'000'000'000;
};

// Stands for an event counter or a pidfd of the real world.
class SimWake {
 public:
  virtual ~SimWake() = default;
  virtual int fd() const = 0;  // for WatchReadable of the same loop; no other use
  virtual void Signal() = 0;   // the watch fires at least once afterwards; signals coalesce; nothing to drain
};

class SimLoop : public Loop {
 public:
  static std::unique_ptr<SimLoop> Make(const SimOptions& options = {});

  // The client's end of a new connection to a listener of this loop; kUnavailable when nobody listens there. `from` is what the
  // server sees as the peer.
  virtual Result<std::unique_ptr<Socket>> Connect(const Address& to, const Address& from = {"127.0.0.1", 50000}) = 0;
  virtual std::unique_ptr<SimWake> MakeWake() = 0;  // must not outlive the loop

  virtual bool Step() = 0;          // runs the next event, moving the clock to it; false when there is none
  virtual void RunUntilIdle() = 0;  // until only timers are left; never waits for a timer, but runs those that fall due
  virtual void RunFor(
      int64_t duration_ns) = 0;  // all events and timers of the next duration_ns, then the clock stands at its end

  virtual uint64_t Random() = 0;            // from the seed: for the faults that a test adds
  virtual uint64_t trace_hash() const = 0;  // over kind, time and bytes of every event so far
  virtual size_t events_run() const = 0;
};

}  // namespace millrace::net
