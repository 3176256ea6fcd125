// GET /v1/models and /v1/models/{id}.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::api {

struct ModelCard {
  std::string id;
  int64_t created = 0;      // when this server opened it; seconds since 1970
  std::string state;        // "ready", "loading", …
  std::string name;         // what the file calls itself
  std::string chat_format;  // "model": its own templates; else what stands in for them
  uint32_t context = 0;     // tokens of prompt and answer together
  uint32_t trained_context = 0;
  uint32_t vocabulary = 0;
  uint64_t bytes_per_token = 0;  // 0 = not known yet
};

std::string WriteModel(const ModelCard& card);
std::string WriteModelList(const std::vector<ModelCard>& cards);

}  // namespace millrace::api
