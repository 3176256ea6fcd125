#include "worker/mailbox.h"

#include <limits>
#include <utility>
#include <variant>

#include "base/checked.h"
#include "base/clock.h"

namespace millrace::worker {

Status CheckHonoured(const ipc::Submit& submit) {
  const auto refuse = [](const char* field) {
    return Error(Code::kUnsupported, "{}: this worker does not honour it yet", field);
  };
  if (submit.supersede_group != 0) return refuse("supersede_group");
  if (submit.cache_salt != 0) return refuse("cache_salt");
  if (submit.adapter != -1) return refuse("adapter");
  if (submit.emitted_tokens != 0) return refuse("emitted_tokens");
  if (submit.choices != 1) return refuse("choices");
  if (submit.output != ipc::SubmitOutput::kTokens) return refuse("output");
  if (!submit.forced.empty()) return refuse("forced");
  return {};
}

Status Mailbox::Drain() {
  while (publisher_->refusals() < kMaxRefusals) {
    ASSIGN_OR_RETURN(const bool popped, ring_->TryPop(record_));
    if (!popped) return {};
    Result<std::optional<ipc::ToWorker>> message = reader_.Feed(record_);
    RETURN_IF_ERROR(message.status());
    if (message->has_value()) RETURN_IF_ERROR(Handle(**message));
  }
  return {};
}

Status Mailbox::Handle(ipc::ToWorker& message) {
  if (auto* submit = std::get_if<ipc::Submit>(&message)) return HandleSubmit(*submit);
  if (const auto* cancel = std::get_if<ipc::Cancel>(&message)) {
    engine_->Cancel(cancel->request);
    return {};
  }
  const int64_t drain_ns = std::get<ipc::Shutdown>(message).drain_ns;
  end_ns_ = CheckedAdd(MonotonicNs(), drain_ns).value_or(std::numeric_limits<int64_t>::max());
  return {};
}

Status Mailbox::HandleSubmit(ipc::Submit& submit) {
  submit.clocks.drained = MonotonicNs();
  Status status = CheckHonoured(submit);
  if (status.ok() && end_ns_) status = Error(Code::kUnavailable, "the worker is about to end");
  if (status.ok()) {
    engine::Request request;
    request.id = submit.request;
    request.priority = submit.priority;
    request.deadline_ns = submit.deadline_ns;
    request.sampling = std::move(submit.sampling);
    request.prompt = std::move(submit.prompt);
    status = engine_->Submit(std::move(request));
  }
  // A refusal would end the request that has this id already, so this is no matter between us and the new one.
  if (status.code() == Code::kAlreadyExists)
    return Error(Code::kDataLoss, "the gateway used a request id twice: {}", status.message());
  if (status.ok()) {
    publisher_->Accepted(submit.request, submit.clocks);
  } else {
    publisher_->Refuse(submit.request, status);
  }
  return {};
}

}  // namespace millrace::worker
