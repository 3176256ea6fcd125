// Supervisor: keeps one model's worker alive. Starts it, checks who it is, reads its ring, notices its death or hang at once, starts
// the next one after a growing pause, and gives up on a crash loop.
//
//   kStarting ─▶ kLoading ─▶ kReady        (Hello checked)
//       └───────────┴───────────┴─▶ kBackoff ─▶ kStarting …      kFailed: crash loop or misfit      kStopped: asked to
//
// Everything that a worker writes is untrusted: whatever breaks the protocol kills it. Loop thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "gateway/options.h"
#include "gateway/random.h"
#include "gateway/timer.h"
#include "gateway/worker_link.h"
#include "ipc/messages.h"

namespace millrace::gateway {

// What every worker of one model is started with, and what it must say of itself.
struct WorkerPlan {
  ipc::Attach attach;          // the incarnation is filled in
  std::vector<int> model_fds;  // of attach.files; outlive the supervisor
  std::string build_id;
  uint64_t vocabulary_fingerprint = 0;
  uint32_t vocabulary_size = 0;
};

class Supervisor {
 public:
  // What a worker's life means to its requests.
  class Listener {
   public:
    virtual ~Listener() = default;
    // A failed Status says how the worker broke the protocol.
    virtual Status OnTokens(const ipc::Tokens& tokens) = 0;
    virtual Status OnFailed(const ipc::Failed& failed) = 0;
    // The ring was read empty for now: the worker may have taken something from its own ring as well.
    virtual void OnDrained() = 0;
    // The worker is dead and everything it managed to say was delivered. `blamed`: the requests of the step that it died in.
    virtual void OnLost(const std::string& cause, const std::vector<RequestId>& blamed) = 0;
    virtual void OnStateChange() = 0;
    // Requests are in the worker's hands: silence is a hang.
    virtual bool HasWork() const = 0;
  };

  // The references outlive the supervisor.
  Supervisor(net::Loop& loop, WorkerLauncher& launcher, Listener& listener, WorkerPlan plan, const SupervisionLimits& limits,
             uint64_t random_key);
  ~Supervisor() = default;
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  void Start();

  // False: no worker is ready, or its ring is full now.
  bool Push(const ipc::ToWorker& message);

  // Orders the worker to end, kills it when it does not; `done` runs when it is gone (at the earliest in a later turn).
  void Stop(std::function<void()> done);

  ModelState state() const { return state_; }
  const std::string& cause() const { return cause_; }
  Code end_code() const { return end_code_; }
  const ipc::Hello& hello() const { return hello_; }  // of the last ready worker
  const ipc::Loading& loading() const { return loading_; }
  double roof_gb_s() const { return roof_gb_s_; }
  uint32_t incarnations() const { return incarnations_; }
  int pid() const { return link_ == nullptr ? -1 : link_->pid(); }
  // When a next worker is due, for Retry-After; 0 unless in kBackoff.
  int64_t next_start_ns() const { return state_ == ModelState::kBackoff ? next_start_ns_ : 0; }

 private:
  void Launch();
  void SetState(ModelState state, std::string cause);
  void ReadRing(int64_t budget);  // at most so many records now
  Status Handle(const ipc::ToGateway& message);
  Status CheckHello(const ipc::Hello& hello) const;
  void OnHello(const ipc::Hello& hello);
  void ExpectProgress();
  int64_t Patience() const;
  void WatchHeartbeat();
  void End(std::string cause);  // kills the worker; `cause` then replaces the exit status in what people read
  void GiveUp(std::string cause);
  void OnExit(const std::string& exit_status);
  void AfterDeath(const std::string& cause);
  bool CannotChange() const;
  bool IsCrashLoop();

  net::Loop* loop_;
  WorkerLauncher* launcher_;
  Listener* listener_;
  const WorkerPlan plan_;
  const SupervisionLimits limits_;
  Random random_;

  ModelState state_ = ModelState::kStarting;
  std::string cause_;
  std::unique_ptr<WorkerLink> link_;
  std::unique_ptr<ipc::Record> record_;
  ipc::Hello hello_;
  ipc::Loading loading_;
  double roof_gb_s_ = 0;
  uint32_t incarnations_ = 0;
  int64_t next_start_ns_ = 0;

  // Of the current incarnation.
  std::string end_cause_;               // why we ended it; empty: it died by itself
  Code end_code_ = Code::kUnavailable;  // what the worker itself gave as reason
  bool exited_ = false;                 // the process is gone; its last words may still be read
  bool reading_ = false;                // false once it broke the protocol
  bool gave_up_ = false;                // no further start
  bool progressed_ = false;             // emitted a token
  int64_t ready_since_ns_ = 0;
  uint64_t last_heartbeat_ = 0;
  int64_t last_beat_ns_ = 0;

  uint32_t backoffs_ = 0;           // since it was healthy
  std::deque<int64_t> bad_deaths_;  // without progress, within the window
  std::function<void()> stopped_;
  Timer start_timer_, silence_timer_, heartbeat_timer_, stop_timer_, read_timer_;
};

}  // namespace millrace::gateway
