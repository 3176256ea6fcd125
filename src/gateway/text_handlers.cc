// POST /tokenize, /detokenize, /apply-template.
#include <utility>

#include "api/text_endpoints.h"
#include "gateway/chat_input.h"
#include "gateway/handlers.h"
#include "gateway/reply.h"

namespace millrace::gateway {
namespace {

void RespondJson(net::Exchange& exchange, std::string body) { exchange.Respond(200, "application/json", std::move(body)); }

std::string TokensBody(const ModelEntry& model, const std::vector<TokenId>& tokens, bool with_pieces) {
  if (!with_pieces) return api::WriteTokens(tokens);
  std::vector<std::pair<TokenId, std::string_view>> pieces;
  pieces.reserve(tokens.size());
  for (const TokenId token : tokens) pieces.emplace_back(token, model.vocabulary().Text(token));
  return api::WriteTokensWithPieces(pieces);
}

}  // namespace

ModelService* Handlers::ChooseOrRefuse(const ExchangePtr& exchange, const std::string& name) {
  ModelService* service = dispatcher->Choose(name);
  if (service == nullptr) RespondError(*exchange, api::ModelNotFound(name));
  return service;
}

void Handlers::RunText(const ExchangePtr& exchange, size_t text_bytes, std::function<void()> work, std::function<void()> then) {
  if (text_thread.Run(text_bytes, std::move(work), std::move(then))) return;
  RespondError(*exchange, api::Overloaded("too many long texts wait to be tokenised", 1000));
}

void Handlers::Tokenize(const ExchangePtr& exchange) {
  auto parsed = api::ParseTokenize(exchange->request().body);
  if (!parsed.ok()) return RespondError(*exchange, parsed.error());
  const ModelService* service = ChooseOrRefuse(exchange, parsed->model);
  if (service == nullptr) return;
  // Written by the text thread, then read by the loop.
  const auto body = std::make_shared<Result<std::string>>(std::string());
  const size_t bytes = parsed->content.size();
  RunText(
      exchange, bytes,
      [model = service->entry(), request = std::move(parsed.value()), body] {
        const auto tokens = model->Encode(
            request.content,
            {.add_prefix = request.add_special, .add_suffix = request.add_special, .parse_special = request.parse_special});
        *body = tokens.ok() ? Result<std::string>(TokensBody(*model, *tokens, request.with_pieces)) : tokens.status();
      },
      [exchange, body] {
        if (!body->ok()) return RespondError(*exchange, api::FromStatus(body->status()));
        RespondJson(*exchange, **body);
      });
}

void Handlers::Detokenize(const ExchangePtr& exchange) {
  auto parsed = api::ParseDetokenize(exchange->request().body);
  if (!parsed.ok()) return RespondError(*exchange, parsed.error());
  const ModelService* service = ChooseOrRefuse(exchange, parsed->model);
  if (service == nullptr) return;
  const std::vector<TokenId>& tokens = parsed->tokens;
  const text::Vocabulary& vocabulary = service->entry()->vocabulary();
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (vocabulary.Contains(tokens[i])) continue;
    const std::string at = fmt::format("tokens[{}]", i);
    return RespondError(*exchange, api::Invalid(at, fmt::format("'{}': expected a token id below {}, found {}", at,
                                                                vocabulary.size(), tokens[i])));
  }
  const auto body = std::make_shared<std::string>();
  const size_t bytes = tokens.size() * 4;  // about what they stand for
  RunText(
      exchange, bytes,
      [model = service->entry(), request = std::move(parsed.value()), body] {
        *body = api::WriteContent(model->Decode(request.tokens));
      },
      [exchange, body] { RespondJson(*exchange, std::move(*body)); });
}

void Handlers::ApplyTemplate(const ExchangePtr& exchange) {
  auto parsed = api::ParseApplyTemplate(exchange->request().body);
  if (!parsed.ok()) return RespondError(*exchange, parsed.error());
  const ModelService* service = ChooseOrRefuse(exchange, parsed->model);
  if (service == nullptr) return;
  auto plan = PlanChat(std::move(parsed->prompt), service->entry()->chat(), service->entry()->alias());
  if (!plan.ok()) return RespondError(*exchange, plan.error());
  const auto prompt = std::make_shared<Result<std::string>>(std::string());
  RunText(
      exchange, exchange->request().body.size(),
      [model = service->entry(), input = std::move(plan->input), prompt]() mutable { *prompt = model->Render(std::move(input)); },
      [exchange, prompt, ignored = std::move(plan->ignored)] {
        if (!prompt->ok()) return RespondError(*exchange, RenderError(prompt->status()));
        exchange->Respond(200, "application/json", api::WritePrompt(**prompt), IgnoredHeader(ignored));
      });
}

}  // namespace millrace::gateway
