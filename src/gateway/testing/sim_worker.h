// Workers that live inside a simulated loop: they speak the real protocol over real rings, and can be told, or left to a seed, to die,
// stall, answer late or lie. One sequence's answer is a pure function of its prompt, so a test knows what every client must see.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gateway/worker_link.h"
#include "net/sim_loop.h"

namespace millrace::gateway::testing {

// Probabilities per step unless said otherwise.
struct SimFaults {
  double die = 0;                // exit in the middle of a step, its requests blamed
  double stall = 0;              // for ever: no heartbeat, no answers
  double late = 0;               // one step takes seconds, with a heartbeat
  double garbage = 0;            // a record that breaks the protocol
  double die_while_loading = 0;  // per incarnation
  double mute = 0;               // per incarnation: never says hello
  double cannot_start = 0;       // per incarnation
};

struct SimWorkerOptions {
  uint32_t slots = 4;
  uint32_t context = 4096;
  std::string build_id = "build";
  uint64_t vocabulary_fingerprint = 0;
  uint32_t vocabulary_size = 0;
  std::vector<TokenId> end_of_sequence;
  int64_t load_ns = 20'000'000;
  int64_t step_ns = 1'000'000;
  SimFaults faults;
  double roof_gb_s = 10;
  // The whole answer to a prompt, as tokens; the worker adds the end by itself.
  std::function<std::vector<TokenId>(const std::vector<TokenId>& prompt)> answer;
  // Called with every submission that arrives.
  std::function<void(const ipc::Submit&)> on_submit;
};

class SimWorker;

// Shared with the test: what runs now, and orders to it.
class SimLauncher final : public WorkerLauncher {
 public:
  SimLauncher(net::SimLoop& loop, SimWorkerOptions options) : loop_(&loop), options_(std::move(options)) {}
  Result<std::unique_ptr<WorkerLink>> Launch(const ipc::Attach& attach, std::span<const int> model_fds,
                                             WorkerEvents events) override;

  SimWorkerOptions& options() { return options_; }  // of later incarnations, except `faults` and `step_ns`, which count at once
  SimWorker* current() { return current_; }         // null while none runs
  int launches() const { return launches_; }
  size_t cancels() const { return cancels_; }

 private:
  friend class SimWorker;
  net::SimLoop* loop_;
  SimWorkerOptions options_;
  SimWorker* current_ = nullptr;
  int launches_ = 0;
  size_t cancels_ = 0;
};

// One incarnation. For tests: orders.
class SimWorker : public WorkerLink {
 public:
  virtual void Die() = 0;    // now, as if killed
  virtual void Stall() = 0;  // from now on
  virtual void PushRaw(const ipc::ToGateway& message) = 0;
  virtual void PushGarbage() = 0;
  virtual size_t sequences() const = 0;

 protected:
  static void Unregister(SimLauncher& launcher, const SimWorker* worker) {
    if (launcher.current_ == worker) launcher.current_ = nullptr;
  }
  static void CountCancel(SimLauncher& launcher) { ++launcher.cancels_; }
};

}  // namespace millrace::gateway::testing
