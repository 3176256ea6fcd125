// The body of POST /v1/chat/completions, checked to the last field. Every parameter is honoured exactly, or refused with 400 that
// names it, or changes nothing that the client could miss and is reported as ignored. There is no fourth way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/error.h"
#include "api/prompt_request.h"
#include "base/types.h"

namespace millrace::api {

inline constexpr size_t kMaxStopStrings = 16;
inline constexpr size_t kMaxStopBytes = 256;  // of one stop string

// Sampling as the client wrote it; what is absent is filled from the model's defaults.
struct SamplingRequest {
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> repetition_penalty;
  std::optional<int32_t> top_k;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  std::optional<uint64_t> seed;
  std::vector<std::pair<TokenId, float>> logit_bias;  // ids not yet held against a vocabulary
  std::vector<TokenId> stop_tokens;                   // likewise
  std::optional<uint32_t> max_tokens;
  uint32_t min_tokens = 0;
  bool ignore_eos = false;
  int32_t top_logprobs = -1;  // as SamplingParams
};

struct ChatRequest {
  std::string model;
  PromptRequest prompt;
  SamplingRequest sampling;
  std::vector<std::string> stop;
  bool stream = false;
  bool include_usage = false;
  std::vector<std::string> ignored;  // names out of our own list, in the order of the request
};

// No side effects; bounded by the size of `body`.
Parsed<ChatRequest> ParseChat(std::string_view body);

}  // namespace millrace::api
