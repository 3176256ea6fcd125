#include "worker/publisher.h"

namespace millrace::worker {
namespace {

ipc::Usage ToMessage(const engine::Usage& usage) {
  return {.prompt_tokens = usage.prompt_tokens,
          .cached_tokens = usage.cached_tokens,
          .completion_tokens = usage.completion_tokens,
          .decode_steps = usage.decode_steps,
          .prefill_ns = usage.prefill_ns,
          .decode_ns = usage.decode_ns,
          .decode_bytes = usage.decode_bytes,
          .mean_batch = usage.mean_batch};
}

}  // namespace

static_assert(engine::kMaxOutputTokens <= ipc::kMaxTokensPerEvent);

Status Publisher::Publish(engine::Engine& engine) {
  blocked_ = false;
  while (!refusals_.empty() && Send(refusals_.front())) refusals_.pop_front();
  if (!blocked_) engine.Publish(*this);
  return ring_->health();
}

bool Publisher::Send(const ipc::ToGateway& message) {
  if (ipc::Push(*ring_, message)) return true;
  blocked_ = true;
  return false;
}

bool Publisher::Take(const engine::Output& output) {
  const auto known = clocks_.find(output.request);
  ipc::HopClocks clocks = known == clocks_.end() ? ipc::HopClocks{} : known->second;
  clocks.scheduled = output.clocks->scheduled;
  clocks.first_token = output.clocks->first_token;
  clocks.last_token = output.clocks->last_token;
  const bool sent = output.error != nullptr ? Send(ipc::Failed{output.request, output.error->code(), output.error->message()})
                                            : SendTokens(output, clocks);
  if (sent && output.finish != FinishReason::kNone) clocks_.erase(output.request);
  return sent;
}

bool Publisher::SendTokens(const engine::Output& output, const ipc::HopClocks& clocks) {
  auto& tokens = std::get<ipc::Tokens>(message_);
  tokens.request = output.request;
  tokens.first_index = output.first_index;
  tokens.tokens.assign(output.tokens.begin(), output.tokens.end());
  tokens.logprobs.resize(output.logprobs.size());
  for (size_t i = 0; i < output.logprobs.size(); ++i) {
    ipc::TokenLogprobs& entry = tokens.logprobs[i];
    entry.logprob = output.logprobs[i];
    entry.top.clear();
    for (const model::TopToken& top : output.top.subspan(i * output.top_count, output.top_count)) {
      if (top.id != kNoToken) entry.top.emplace_back(top.id, top.logprob);
    }
  }
  tokens.finish = output.finish;
  tokens.clocks = clocks;
  // In every event: a stop string ends an answer at the gateway, and what the worker knows by then is all that is ever told.
  tokens.usage = ToMessage(*output.usage);
  return Send(message_);
}

}  // namespace millrace::worker
