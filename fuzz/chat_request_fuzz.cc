// Bodies of the JSON routes: whatever the bytes, an answer is either a request within its documented ranges or an error body that
// is JSON.
#include <cstdint>
#include <string_view>

#include "api/chat_request.h"
#include "api/text_endpoints.h"
#include "base/check.h"
#include "base/json.h"
#include "text/chat_traits.h"

namespace {

using namespace millrace;

void CheckError(const api::ApiError& error) {
  CHECK(error.status == 400 || error.status == 413, "a body can only be a client's error");
  CHECK(!error.message.empty(), "errors say why");
  CHECK(Json::Parse(api::ErrorBody(error)).ok(), "error bodies are JSON");
}

void CheckSampling(const api::SamplingRequest& s) {
  CHECK(!s.temperature || (*s.temperature >= 0 && *s.temperature <= 100), "temperature");
  CHECK(!s.top_p || (*s.top_p > 0 && *s.top_p <= 1), "top_p");
  CHECK(!s.min_p || (*s.min_p >= 0 && *s.min_p <= 1), "min_p");
  CHECK(!s.top_k || *s.top_k >= 0, "top_k");
  CHECK(!s.repetition_penalty || (*s.repetition_penalty > 0 && *s.repetition_penalty <= 10), "repetition_penalty");
  CHECK(s.presence_penalty >= -2 && s.presence_penalty <= 2, "presence_penalty");
  CHECK(s.frequency_penalty >= -2 && s.frequency_penalty <= 2, "frequency_penalty");
  CHECK(s.top_logprobs >= -1 && s.top_logprobs <= kMaxTopLogprobs, "top_logprobs");
  CHECK(s.logit_bias.size() <= static_cast<size_t>(kMaxLogitBias), "logit_bias");
  CHECK(s.stop_tokens.size() <= static_cast<size_t>(kMaxStopTokens), "stop_token_ids");
  CHECK(!s.max_tokens || (*s.max_tokens >= 1 && s.min_tokens <= *s.max_tokens), "max_tokens");
  for (const auto& [id, bias] : s.logit_bias) CHECK(id >= 0 && bias >= -100 && bias <= 100, "logit_bias");
  for (const TokenId id : s.stop_tokens) CHECK(id >= 0, "stop_token_ids");
}

void CheckFitted(const Json& message, const text::ChatTraits::Content& shown) {
  const Json* role = message.Find("role");
  CHECK(role != nullptr && role->is_string() && *role != Json("developer") && *role != Json("function"), "roles are mapped");
  CHECK(message.Find("function_call") == nullptr || message.Find("tool_calls") != nullptr, "older calls are mapped");
  const Json* content = message.Find("content");
  CHECK(content != nullptr, "content is there");
  CHECK(content->is_null() || content->is_string() || (content->is_array() && shown.parts), "content has a form that is shown");
  CHECK(!content->is_null() || message.Find("tool_calls") != nullptr, "null means calls");
}

// What reaches a template is of a few shapes only, and stays of them when it is fitted to whatever a template wants.
void CheckPrompt(const api::PromptRequest& prompt) {
  CHECK(!prompt.messages.empty() && prompt.messages.size() <= api::kMaxMessages, "messages");
  CHECK(prompt.tools.size() <= api::kMaxTools && prompt.documents.size() <= api::kMaxDocuments, "tools and documents");
  CHECK(prompt.template_arguments.size() <= api::kMaxTemplateArguments, "template arguments");
  CHECK(prompt.continue_field.empty() || !prompt.add_generation_prompt, "one message is continued or another begun");
  for (unsigned traits = 0; traits < 16; ++traits) {
    const text::ChatTraits::Content shown = {.text = (traits & 1) != 0, .parts = (traits & 2) != 0};
    Json::Array messages = prompt.messages;
    text::FitMessages({.system = shown,
                       .user = shown,
                       .assistant = shown,
                       .tool = shown,
                       .developer = false,
                       .calls = true,
                       .object_arguments = (traits & 4) != 0,
                       .needs_content = (traits & 8) != 0},
                      messages);
    CHECK(messages.size() == prompt.messages.size(), "one message for each");
    for (const Json& message : messages) CheckFitted(message, shown);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  if (const auto chat = api::ParseChat(body); chat.ok()) {
    CHECK(!chat->model.empty() && chat->stop.size() <= api::kMaxStopStrings, "model and stop strings");
    CheckPrompt(chat->prompt);
    CheckSampling(chat->sampling);
  } else {
    CheckError(chat.error());
  }
  if (const auto tokenize = api::ParseTokenize(body); !tokenize.ok()) CheckError(tokenize.error());
  if (const auto detokenize = api::ParseDetokenize(body); !detokenize.ok()) CheckError(detokenize.error());
  if (const auto apply = api::ParseApplyTemplate(body); !apply.ok()) CheckError(apply.error());
  return 0;
}
