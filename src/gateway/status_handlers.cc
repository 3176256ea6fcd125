// GET /health, /livez, /readyz, /version, /v1/models.
#include "api/models.h"
#include "base/json.h"
#include "gateway/handlers.h"
#include "gateway/model_state.h"
#include "gateway/reply.h"
#include "ipc/messages.h"

namespace millrace::gateway {
namespace {

// Without `details` no more than a stranger may know.
Json StatusJson(const ModelStatus& status, bool details) {
  Json json;
  json.Set("id", status.alias);
  json.Set("state", ModelStateName(status.state));
  if (!details) return json;
  if (!status.cause.empty()) json.Set("cause", status.cause);
  if (status.state == ModelState::kLoading) {
    json.Set("loading_done", int64_t{status.loading_done});
    json.Set("loading_total", int64_t{status.loading_total});
  }
  json.Set("incarnations", int64_t{status.incarnations});
  json.Set("pid", int64_t{status.pid});
  json.Set("context", int64_t{status.context});
  json.Set("slots", int64_t{status.slots});
  json.Set("running", int64_t{status.running});
  json.Set("waiting", int64_t{status.waiting});
  if (status.engine.empty()) return json;
  json.Set("engine", status.engine);
  json.Set("isa", status.isa);
  json.Set("threads", int64_t{status.threads});
  json.Set("weight_bytes", status.weight_bytes);
  json.Set("kv_pool_bytes", status.kv_pool_bytes);
  json.Set("bytes_per_token", status.bytes_per_token);
  json.Set("roof_gb_s", status.roof_gb_s > 0 ? Json(status.roof_gb_s) : Json());
  return json;
}

api::ModelCard CardOf(const ModelService& service) {
  const ModelStatus status = service.Describe();
  api::ModelCard card;
  card.id = status.alias;
  card.created = service.created_s();
  card.state = ModelStateName(status.state);
  card.name = service.entry()->config().name;
  card.chat_format = service.entry()->chat_format();
  card.context = status.context;
  card.trained_context = service.entry()->config().context_length;
  card.vocabulary = static_cast<uint32_t>(service.entry()->vocabulary().size());
  card.bytes_per_token = status.bytes_per_token;
  return card;
}

}  // namespace

void Handlers::Health(const ExchangePtr& exchange) const {
  const bool details = !keys.Check(exchange->request()).has_value();
  Json::Array models;
  for (const auto& service : dispatcher->services()) models.push_back(StatusJson(service->Describe(), details));
  Json body;
  body.Set("status", "ok");
  body.Set("models", std::move(models));
  exchange->Respond(200, "application/json", body.Write());
}

void Handlers::Live(const ExchangePtr& exchange) const { exchange->Respond(200, "text/plain", "ok\n"); }

void Handlers::Ready(const ExchangePtr& exchange) const {
  if (draining()) return exchange->Respond(503, "text/plain", "draining\n");
  if (!dispatcher->AnyReady()) return exchange->Respond(503, "text/plain", "no model is ready\n");
  exchange->Respond(200, "text/plain", "ready\n");
}

void Handlers::Version(const ExchangePtr& exchange) const {
  Json body;
  body.Set("name", "millrace");
  body.Set("version", version);
  body.Set("build", build_id);
  body.Set("protocol", int64_t{ipc::kProtocolVersion});
  exchange->Respond(200, "application/json", body.Write());
}

void Handlers::ListModels(const ExchangePtr& exchange) const {
  std::vector<api::ModelCard> cards;
  for (const auto& service : dispatcher->services()) cards.push_back(CardOf(*service));
  exchange->Respond(200, "application/json", api::WriteModelList(cards));
}

void Handlers::ShowModel(const ExchangePtr& exchange) const {
  const std::string id(exchange->value("id"));
  const ModelService* service = id.empty() ? nullptr : dispatcher->Choose(id);
  if (service == nullptr) return RespondError(*exchange, api::ModelNotFound(id));
  exchange->Respond(200, "application/json", api::WriteModel(CardOf(*service)));
}

}  // namespace millrace::gateway
