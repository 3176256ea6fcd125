// POST /v1/chat/completions: hops 3 to 6 of docs/request-path.md, each a function that leads to the next.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "api/chat_request.h"
#include "base/hash.h"
#include "gateway/chat_input.h"
#include "gateway/handlers.h"
#include "gateway/reply.h"
#include "ipc/segment.h"

namespace millrace::gateway {
namespace {

// Counting stops at so many times the context: enough for a helpful message, and a bound on work that ends in a refusal.
constexpr size_t kCountedContexts = 4;

// Shared by the steps of one request, some of which run on the text thread, one after another.
struct ChatWork {
  Handlers* handlers = nullptr;
  std::shared_ptr<net::Exchange> exchange;
  ModelService* service = nullptr;
  std::shared_ptr<const ModelEntry> model;
  api::ChatRequest request;
  text::ChatInput input;  // its prompt
  std::optional<text::StopMatcher> stops;
  ipc::HopClocks clocks;
  std::optional<Result<std::string>> prompt;
  std::optional<Result<std::vector<TokenId>>> tokens;
};
using ChatWorkPtr = std::shared_ptr<ChatWork>;  // the steps are callbacks, and the last one lets go

std::optional<api::ApiError> CheckAgainstVocabulary(const api::SamplingRequest& sampling, const text::Vocabulary& vocabulary) {
  const auto unknown = [&](std::string_view param, TokenId id) {
    return api::Invalid(param, fmt::format("'{}': expected token ids below {}, found {}", param, vocabulary.size(), id));
  };
  for (const auto& [id, bias] : sampling.logit_bias) {
    if (!vocabulary.Contains(id)) return unknown("logit_bias", id);
  }
  for (const TokenId id : sampling.stop_tokens) {
    if (!vocabulary.Contains(id)) return unknown("stop_token_ids", id);
  }
  return std::nullopt;
}

// What the request says, else what the model's options say, else the defaults of the interface.
SamplingParams SamplingOf(const api::SamplingRequest& request, const SamplingDefaults& defaults) {
  SamplingParams params;
  params.temperature = request.temperature.value_or(defaults.temperature.value_or(params.temperature));
  params.top_p = request.top_p.value_or(defaults.top_p.value_or(params.top_p));
  params.min_p = request.min_p.value_or(defaults.min_p.value_or(params.min_p));
  params.top_k = request.top_k.value_or(defaults.top_k.value_or(params.top_k));
  params.repetition_penalty =
      request.repetition_penalty.value_or(defaults.repetition_penalty.value_or(params.repetition_penalty));
  params.presence_penalty = request.presence_penalty;
  params.frequency_penalty = request.frequency_penalty;
  params.logit_bias = request.logit_bias;
  params.stop_tokens = request.stop_tokens;
  params.min_tokens = request.min_tokens;
  params.ignore_eos = request.ignore_eos;
  params.top_logprobs = request.top_logprobs;
  return params;
}

ipc::Submit SubmitOf(ChatWork& work, std::vector<TokenId> prompt) {
  Handlers& handlers = *work.handlers;
  ipc::Submit submit;
  submit.request = handlers.dispatcher->NextRequest();
  submit.tenant = handlers.keys.Tenant(work.exchange->request());
  submit.sampling = SamplingOf(work.request.sampling, work.model->options().sampling);
  // Below 2^53, so that every client can read it back and send it again.
  submit.sampling.seed = work.request.sampling.seed.value_or(handlers.random.Next() >> 11);
  const auto room = work.service->context() - static_cast<uint32_t>(prompt.size());
  submit.sampling.max_tokens = std::min(work.request.sampling.max_tokens.value_or(room), room);
  submit.sampling.min_tokens = std::min(submit.sampling.min_tokens, submit.sampling.max_tokens);
  submit.prompt = std::move(prompt);
  submit.clocks = work.clocks;
  return submit;
}

StreamSpec SpecOf(const ChatWork& work, const ipc::Submit& submit) {
  StreamSpec spec;
  spec.request = submit.request;
  spec.fingerprint = Fnv1a(std::as_bytes(std::span(submit.prompt)));
  spec.prompt_tokens = static_cast<uint32_t>(submit.prompt.size());
  spec.max_tokens = submit.sampling.max_tokens;
  spec.top_logprobs = submit.sampling.top_logprobs;
  spec.seed = submit.sampling.seed;
  spec.ignored = work.request.ignored;
  spec.clocks = work.clocks;
  return spec;
}

ReplyOptions ReplyOptionsOf(const ChatWork& work) {
  Handlers& handlers = *work.handlers;
  ReplyOptions options;
  options.head.id = fmt::format("chatcmpl-{:016x}{:016x}", handlers.random.Next(), handlers.random.Next());
  options.head.created = handlers.loop->WallNs() / 1'000'000'000;
  options.head.model = work.model->alias();
  options.head.system_fingerprint = handlers.system_fingerprint;
  options.logprobs = work.request.sampling.top_logprobs >= 0;
  options.include_usage = work.request.include_usage;
  options.ignored = work.request.ignored;
  return options;
}

std::optional<api::ApiError> CheckPrompt(const ChatWork& work) {
  const uint64_t context = work.service->context();
  // The only refusal of the tokenizer: more tokens than it was asked to count.
  if (!work.tokens->ok()) return api::ContextLengthExceeded(context, kCountedContexts * context, true);
  const size_t count = (*work.tokens)->size();
  if (count == 0) return api::Invalid("messages", "'messages': the model's template makes no tokens of them");
  if (count >= context) return api::ContextLengthExceeded(context, count);
  if (ipc::SubmitRingBytes(count) > ipc::kDownCapacity) {
    return api::Invalid("messages", fmt::format("'messages': {} tokens are more than one request can carry", count));
  }
  return std::nullopt;
}

// Hop 6: TokenIds and parameters become a submission for the worker.
void AdmitChat(ChatWork& work) {
  work.clocks.tokenised = work.handlers->loop->NowNs();
  if (work.exchange->client_gone()) return;
  if (const auto error = CheckPrompt(work)) return RespondError(*work.exchange, *error);
  Admission admission{SubmitOf(work, *std::move(*work.tokens)), {}, *std::move(work.stops), nullptr};
  admission.spec = SpecOf(work, admission.submit);
  admission.accept = [&work]() -> std::unique_ptr<Reply> {
    if (work.request.stream) return MakeStreamedReply(work.exchange, ReplyOptionsOf(work));
    return MakeWholeReply(work.exchange, ReplyOptionsOf(work));
  };
  if (const auto error = work.service->Admit(std::move(admission))) RespondError(*work.exchange, *error);
}

// Hop 5: the prompt's text becomes tokens.
void TokenizePrompt(const ChatWorkPtr& work) {
  work->clocks.rendered = work->handlers->loop->NowNs();
  if (work->exchange->client_gone()) return;
  if (!work->prompt->ok()) {
    return RespondError(*work->exchange, RenderError(work->prompt->status()));
  }
  const size_t most = kCountedContexts * work->service->context();
  work->handlers->RunText(
      work->exchange, (*work->prompt)->size(),
      [work, most] {
        work->tokens = work->model->Encode(**work->prompt, {.add_prefix = true, .parse_special = true, .max_tokens = most});
      },
      [work] { AdmitChat(*work); });
}

// Hop 4: messages become the text of a prompt.
void RenderPrompt(const ChatWorkPtr& work) {
  work->handlers->RunText(
      work->exchange, work->exchange->request().body.size(),
      [work] { work->prompt = work->model->Render(std::move(work->input)); }, [work] { TokenizePrompt(work); });
}

}  // namespace

void Handlers::Chat(const ExchangePtr& exchange) {
  const auto work = std::make_shared<ChatWork>();
  work->handlers = this;
  work->exchange = exchange;
  work->clocks.received = loop->NowNs();
  auto parsed = api::ParseChat(exchange->request().body);
  if (!parsed.ok()) return RespondError(*exchange, parsed.error());
  work->clocks.parsed = loop->NowNs();
  work->request = std::move(parsed.value());
  work->service = ChooseOrRefuse(exchange, work->request.model);
  if (work->service == nullptr) return;
  work->model = work->service->entry();
  if (const auto error = CheckAgainstVocabulary(work->request.sampling, work->model->vocabulary())) {
    return RespondError(*exchange, *error);
  }
  auto plan = PlanChat(std::move(work->request.prompt), work->model->chat(), work->model->alias());
  if (!plan.ok()) return RespondError(*exchange, plan.error());
  work->input = std::move(plan->input);
  work->request.ignored.insert(work->request.ignored.end(), plan->ignored.begin(), plan->ignored.end());
  auto stops = text::StopMatcher::Create(work->request.stop);
  if (!stops.ok()) return RespondError(*exchange, api::Invalid("stop", stops.status().message()));
  work->stops = *std::move(stops);
  // An overloaded server refuses before it spends anything on the text.
  if (const auto error = work->service->Refusal()) return RespondError(*exchange, *error);
  RenderPrompt(work);
}

}  // namespace millrace::gateway
