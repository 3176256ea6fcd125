#include "api/models.h"

#include "base/json.h"

namespace millrace::api {
namespace {

Json CardJson(const ModelCard& card) {
  Json meta;
  meta.Set("state", card.state);
  meta.Set("name", card.name);
  meta.Set("chat_format", card.chat_format);
  meta.Set("n_ctx", int64_t{card.context});
  meta.Set("n_ctx_train", int64_t{card.trained_context});
  meta.Set("n_vocab", int64_t{card.vocabulary});
  meta.Set("bytes_per_token", card.bytes_per_token == 0 ? Json() : Json(card.bytes_per_token));
  Json json;
  json.Set("id", card.id);
  json.Set("object", "model");
  json.Set("created", card.created);
  json.Set("owned_by", "millrace");
  json.Set("meta", std::move(meta));
  return json;
}

}  // namespace

std::string WriteModel(const ModelCard& card) { return CardJson(card).Write(); }

std::string WriteModelList(const std::vector<ModelCard>& cards) {
  Json::Array data;
  for (const ModelCard& card : cards) data.push_back(CardJson(card));
  Json list;
  list.Set("object", "list");
  list.Set("data", std::move(data));
  return list.Write();
}

}  // namespace millrace::api
