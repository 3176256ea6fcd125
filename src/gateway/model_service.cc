#include "gateway/model_service.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "ipc/segment.h"
#include "weights/shown_text.h"

namespace millrace::gateway {
namespace {

constexpr int64_t kRetryMs = 1000;

api::ApiError WorkerLost(const std::string& cause) {
  return api::FromStatus(Error(Code::kUnavailable, "the model's worker is gone ({}); the request can be sent again", cause));
}

// An alias that came from a path may be anything. Ill-formed bytes grow to three.
std::string NameForLogs(const std::string& alias) {
  const bool fits = weights::IsPlainName(alias) && alias.size() <= ipc::kMaxAttachName;
  return fits ? alias : weights::ShownText(alias, ipc::kMaxAttachName / 3 - 1);
}

}  // namespace

ModelService::ModelService(net::Loop& loop, WorkerLauncher& launcher, std::shared_ptr<const ModelEntry> entry,
                           const ServiceOptions& options, std::function<void(const ModelStatus&)> on_change)
    : loop_(&loop),
      entry_(std::move(entry)),
      options_(options),
      on_change_(std::move(on_change)),
      random_(options.random_key),
      supervisor_(loop, launcher, *this, PlanOf(*entry_, options), options.supervision, options.random_key + 1) {}

WorkerPlan ModelService::PlanOf(const ModelEntry& entry, const ServiceOptions& options) {
  const ModelOptions& model = entry.options();
  WorkerPlan plan;
  plan.attach.context = entry.context();
  plan.attach.slots = model.slots;
  plan.attach.threads = model.threads;
  plan.attach.prefill_chunk = model.prefill_chunk;
  plan.attach.kv_type = static_cast<uint8_t>(model.reference ? model::KvType::kF32 : model::KvType::kF16);
  plan.attach.reference = model.reference;
  plan.attach.isa = model.isa;
  plan.attach.model_name = NameForLogs(entry.alias());
  plan.attach.quantise = static_cast<uint8_t>(model.quantise);
  plan.attach.files.assign(entry.files().names().begin(), entry.files().names().end());
  plan.model_fds = entry.files().fds();
  plan.build_id = options.build_id;
  plan.vocabulary_fingerprint = entry.vocabulary().fingerprint();
  plan.vocabulary_size = static_cast<uint32_t>(entry.vocabulary().size());
  return plan;
}

uint32_t ModelService::context() const {
  const uint32_t workers = supervisor_.hello().context;
  return workers == 0 ? entry_->context() : std::min(workers, entry_->context());
}

// Clients that were refused together should not come back together.
int64_t ModelService::Jittered(int64_t ms) const {
  return ms + static_cast<int64_t>(static_cast<double>(ms) * 0.4 * (random_.NextUnit() - 0.5));
}

std::optional<api::ApiError> ModelService::Refusal() const {
  const ModelState state = supervisor_.state();
  if (state == ModelState::kReady) {
    const bool slot_free = waiting_.empty() && running_.size() < supervisor_.hello().slots;
    if (slot_free || waiting_.size() < entry_->options().max_waiting) return std::nullopt;
    return api::Overloaded(
        fmt::format("the model '{}' is busy: {} requests run and {} wait", entry_->alias(), running_.size(), waiting_.size()),
        Jittered(kRetryMs));
  }
  api::ApiError error = api::FromStatus(
      Error(Code::kUnavailable, "the model '{}' is not ready: {}", entry_->alias(),
            state == ModelState::kFailed || state == ModelState::kBackoff ? supervisor_.cause() : std::string("it is loading")));
  error.code = state == ModelState::kFailed ? "model_failed" : "model_not_ready";
  if (state == ModelState::kFailed) {
    error.retry_after_ms = -1;
    error.retry_pointless = true;
  } else {
    const int64_t until_start = std::max<int64_t>(supervisor_.next_start_ns() - loop_->NowNs(), 0) / 1'000'000;
    error.retry_after_ms = Jittered(kRetryMs + until_start);
  }
  return error;
}

bool ModelService::Submit(ipc::Submit& submit, Stream* stream) {
  const int64_t now = loop_->NowNs();
  submit.clocks.submitted = now;
  if (!supervisor_.Push(submit)) return false;
  if (stream != nullptr) stream->StampSubmitted(now);
  highest_submitted_ = std::max(highest_submitted_, submit.request);
  return true;
}

std::optional<api::ApiError> ModelService::Admit(Admission admission) {
  if (auto refusal = Refusal()) return refusal;
  if (quarantine_.Holds(admission.spec.fingerprint, loop_->NowNs())) return api::Quarantined();
  const RequestId id = admission.submit.request;
  const bool run_now = waiting_.empty() && running_.size() < supervisor_.hello().slots;
  if (run_now) {
    if (!Submit(admission.submit, nullptr)) {
      return api::Overloaded("the ring to the model's worker is full", Jittered(kRetryMs));
    }
    admission.spec.clocks = admission.submit.clocks;
  }
  const auto stream = std::make_shared<Stream>(entry_, std::move(admission.spec), std::move(admission.stops), admission.accept());
  if (run_now) {
    running_.emplace(id, stream);
  } else {
    waiting_.push_back({std::move(admission.submit), stream});
  }
  stream->reply().OnClientGone([this, id, alive = std::weak_ptr<bool>(alive_)](const Status&) {
    if (!alive.expired()) ClientGone(id);
  });
  return std::nullopt;
}

// Ids are given out in order, so one above all that were submitted was never in this worker's ring.
Status ModelService::CheckKnown(RequestId request) const {
  if (request <= highest_submitted_) return {};
  return Error(Code::kDataLoss, "an answer to request {}, but only {} were submitted", request, highest_submitted_);
}

Status ModelService::OnTokens(const ipc::Tokens& tokens) {
  const auto at = running_.find(tokens.request);
  if (at == running_.end()) return CheckKnown(tokens.request);  // cancelled meanwhile
  const std::shared_ptr<Stream> stream = at->second;
  if (!tokens.tokens.empty()) quarantine_.Clear(stream->fingerprint());
  ASSIGN_OR_RETURN(const Stream::Next next, stream->OnTokens(tokens, supervisor_.roof_gb_s(), loop_->NowNs()));
  if (next == Stream::Next::kMore) return {};
  const bool was_running = running_.erase(tokens.request) > 0;
  if (next == Stream::Next::kEndedHere && was_running) Cancel(tokens.request);
  return {};
}

Status ModelService::OnFailed(const ipc::Failed& failed) {
  const auto at = running_.find(failed.request);
  if (at == running_.end()) return CheckKnown(failed.request);
  const std::shared_ptr<Stream> stream = at->second;
  running_.erase(at);
  stream->Fail(api::FromStatus(Status(failed.code, failed.message)));
  return {};
}

void ModelService::OnDrained() {
  if (!late_cancels_.empty()) {
    for (const RequestId request : std::exchange(late_cancels_, {})) Cancel(request);
  }
  SubmitWaiting();
}

void ModelService::SubmitWaiting() {
  while (!waiting_.empty() && running_.size() < supervisor_.hello().slots) {
    Waiting& next = waiting_.front();
    if (!Submit(next.submit, next.stream.get())) return;  // tried again when the worker has taken something
    running_.emplace(next.submit.request, std::move(next.stream));
    waiting_.pop_front();
  }
}

void ModelService::Cancel(RequestId request) {
  if (!supervisor_.Push(ipc::Cancel{request}) && supervisor_.state() == ModelState::kReady) late_cancels_.push_back(request);
}

void ModelService::ClientGone(RequestId request) {
  if (running_.erase(request) > 0) {
    Cancel(request);
    SubmitWaiting();
    return;
  }
  std::erase_if(waiting_, [request](const Waiting& waiting) { return waiting.submit.request == request; });
}

void ModelService::OnLost(const std::string& cause, const std::vector<RequestId>& blamed) {
  late_cancels_.clear();
  for (const RequestId request : blamed) {
    if (const auto at = running_.find(request); at != running_.end()) {
      quarantine_.Charge(at->second->fingerprint(), loop_->NowNs());
    }
  }
  const api::ApiError error = WorkerLost(cause);
  for (auto& [request, stream] : std::exchange(running_, {})) stream->Fail(error);
}

void ModelService::OnStateChange() {
  // Whoever waits for the next worker must not wait for one that is not to come.
  if (supervisor_.state() == ModelState::kFailed) FailWaiting(WorkerLost(supervisor_.cause()));
  if (on_change_) on_change_(Describe());
}

void ModelService::FailWaiting(const api::ApiError& error) {
  for (Waiting& waiting : std::exchange(waiting_, {})) waiting.stream->Fail(error);
}

void ModelService::FailAll(const api::ApiError& error) {
  for (auto& [request, stream] : std::exchange(running_, {})) {
    stream->Fail(error);
    Cancel(request);
  }
  FailWaiting(error);
}

void ModelService::Stop(std::function<void()> done) {
  FailAll(api::FromStatus(Status(Code::kUnavailable, "the server is shutting down")));
  supervisor_.Stop(std::move(done));
}

ModelStatus ModelService::Describe() const {
  ModelStatus status;
  const ipc::Hello& hello = supervisor_.hello();
  status.alias = entry_->alias();
  status.state = supervisor_.state();
  status.cause = supervisor_.cause();
  if (status.state == ModelState::kFailed) status.code = supervisor_.end_code();
  status.loading_done = supervisor_.loading().done;
  status.loading_total = supervisor_.loading().total;
  status.incarnations = supervisor_.incarnations();
  status.pid = supervisor_.pid();
  status.context = context();
  status.slots = hello.slots != 0 ? hello.slots : entry_->options().slots;
  status.running = static_cast<uint32_t>(running_.size());
  status.waiting = static_cast<uint32_t>(waiting_.size());
  status.engine = hello.engine;
  status.isa = hello.isa;
  status.threads = hello.threads;
  status.weight_bytes = hello.weight_bytes;
  status.kv_pool_bytes = hello.kv_pool_bytes;
  status.bytes_per_token = hello.bytes_per_token;
  status.roof_gb_s = supervisor_.roof_gb_s();
  return status;
}

}  // namespace millrace::gateway
