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
#include "base/json.h"
#include "base/types.h"

namespace millrace::api {

inline constexpr size_t kMaxMessages = 4096;
inline constexpr size_t kMaxParts = 4096;  // of one message
inline constexpr size_t kMaxStopStrings = 16;
inline constexpr size_t kMaxStopBytes = 256;  // of one stop string
inline constexpr size_t kMaxTemplateArguments = 32;

struct ChatMessage {
  std::string role;     // system, developer, user, assistant, tool or function
  std::string content;  // parts joined
  std::string name;     // empty = absent
  std::string tool_call_id;
  std::string reasoning;  // an earlier answer's reasoning, sent back; for templates that show it
};

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
  std::vector<ChatMessage> messages;  // at least one
  SamplingRequest sampling;
  std::vector<std::string> stop;
  bool stream = false;
  bool include_usage = false;
  bool add_generation_prompt = true;
  Json::Object template_arguments;   // scalars only, none of the names that a template is given anyway
  std::vector<std::string> ignored;  // names out of our own list, in the order of the request
};

// No side effects; bounded by the size of `body`.
Parsed<ChatRequest> ParseChat(std::string_view body);

// The parts of the body that /apply-template shares: messages, add_generation_prompt, chat_template_kwargs.
Parsed<std::vector<ChatMessage>> ParseMessages(const Json& messages);
Parsed<Json::Object> ParseTemplateArguments(const Json& arguments);

}  // namespace millrace::api
