#include "gateway/routes.h"

namespace millrace::gateway {

std::vector<net::Route> MakeRoutes(Handlers& handlers) {
  using ExchangePtr = Handlers::ExchangePtr;
  using net::Scope;
  Handlers* const h = &handlers;
  return {
      {"GET", "/health", Scope::kPublic, [h](const ExchangePtr& x) { h->Health(x); }},
      {"GET", "/livez", Scope::kPublic, [h](const ExchangePtr& x) { h->Live(x); }},
      {"GET", "/readyz", Scope::kPublic, [h](const ExchangePtr& x) { h->Ready(x); }},
      {"GET", "/version", Scope::kPublic, [h](const ExchangePtr& x) { h->Version(x); }},
      {"GET", "/v1/models", Scope::kInference, [h](const ExchangePtr& x) { h->ListModels(x); }},
      {"GET", "/v1/models/{id*}", Scope::kInference, [h](const ExchangePtr& x) { h->ShowModel(x); }},
      {"POST", "/v1/chat/completions", Scope::kInference, [h](const ExchangePtr& x) { h->Chat(x); }},
      {"POST", "/tokenize", Scope::kInference, [h](const ExchangePtr& x) { h->Tokenize(x); }},
      {"POST", "/detokenize", Scope::kInference, [h](const ExchangePtr& x) { h->Detokenize(x); }},
      {"POST", "/apply-template", Scope::kInference, [h](const ExchangePtr& x) { h->ApplyTemplate(x); }},
  };
}

}  // namespace millrace::gateway
