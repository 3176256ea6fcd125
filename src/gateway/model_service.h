// ModelService: one model as requests see it: its supervised worker, the requests in the worker's hands, and those that wait.
//
// At most `slots` requests are with the worker; up to `max_waiting` more wait here, first come, first served; the rest are refused at
// once. Every admitted request ends exactly once: by the worker, by a stop string, by the client's going, or by an error when the worker
// dies. Waiting requests survive a worker's death. Loop thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/error.h"
#include "gateway/model_entry.h"
#include "gateway/options.h"
#include "gateway/quarantine.h"
#include "gateway/random.h"
#include "gateway/stream.h"
#include "gateway/supervisor.h"
#include "text/stop_matcher.h"

namespace millrace::gateway {

// A request that was checked and tokenised.
struct Admission {
  ipc::Submit submit;
  StreamSpec spec;  // same request id as `submit`
  text::StopMatcher stops;
  // Begins the answer; called once, and only when the request is admitted.
  std::function<std::unique_ptr<Reply>()> accept;
};

struct ServiceOptions {
  std::string build_id;
  SupervisionLimits supervision;
  uint64_t random_key = 0;
  int64_t created_s = 0;  // wall clock, for /v1/models
};

class ModelService final : private Supervisor::Listener {
 public:
  // The references outlive the service. `on_change` may be empty.
  ModelService(net::Loop& loop, WorkerLauncher& launcher, std::shared_ptr<const ModelEntry> entry, const ServiceOptions& options,
               std::function<void(const ModelStatus&)> on_change);

  void Start() { supervisor_.Start(); }

  // Why any request would be refused now; nothing when it would not.
  std::optional<api::ApiError> Refusal() const;

  // Takes the request, or says why not; then `accept` was not called.
  std::optional<api::ApiError> Admit(Admission admission);

  // Ends every admitted request with `error`.
  void FailAll(const api::ApiError& error);

  // Ends the worker; `done` runs in a later turn. What is still admitted fails.
  void Stop(std::function<void()> done);

  const std::shared_ptr<const ModelEntry>& entry() const { return entry_; }
  uint32_t context() const;  // tokens of prompt and answer together
  ModelStatus Describe() const;
  int64_t created_s() const { return options_.created_s; }
  size_t running() const { return running_.size(); }
  size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    ipc::Submit submit;
    std::shared_ptr<Stream> stream;
  };

  Status OnTokens(const ipc::Tokens& tokens) override;
  Status OnFailed(const ipc::Failed& failed) override;
  void OnDrained() override;
  void OnLost(const std::string& cause, const std::vector<RequestId>& blamed) override;
  void OnStateChange() override;
  bool HasWork() const override { return !running_.empty(); }

  static WorkerPlan PlanOf(const ModelEntry& entry, const ServiceOptions& options);
  bool Submit(ipc::Submit& submit, Stream* stream);
  void Cancel(RequestId request);
  void ClientGone(RequestId request);
  void SubmitWaiting();
  void FailWaiting(const api::ApiError& error);
  Status CheckKnown(RequestId request) const;
  int64_t Jittered(int64_t ms) const;

  net::Loop* loop_;
  std::shared_ptr<const ModelEntry> entry_;
  ServiceOptions options_;
  std::function<void(const ModelStatus&)> on_change_;
  mutable Random random_;
  Quarantine quarantine_;
  // Shared with the call that delivers tokens: sending may discover that the client is gone, which takes the stream out of the map.
  std::map<RequestId, std::shared_ptr<Stream>> running_;
  std::deque<Waiting> waiting_;
  std::vector<RequestId> late_cancels_;  // the ring had no room
  RequestId highest_submitted_ = 0;
  // Tells callbacks that outlive us in the loop's queue that we are gone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Supervisor supervisor_;  // last: its callbacks use the members above
};

}  // namespace millrace::gateway
