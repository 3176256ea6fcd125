#include "api/prompt_request.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

namespace millrace::api {
namespace {

constexpr size_t kMaxEffortBytes = 32;

constexpr std::array<std::string_view, 9> kParameters = {"messages",
                                                         "tools",
                                                         "tool_choice",
                                                         "documents",
                                                         "add_generation_prompt",
                                                         "continue_final_message",
                                                         "chat_template",
                                                         "reasoning_effort",
                                                         "chat_template_kwargs"};

// Names that the renderer binds itself, or that its callers elsewhere would take for their own: a client must not replace them.
constexpr std::array<std::string_view, 19> kReservedArguments = {"messages",
                                                                 "tools",
                                                                 "documents",
                                                                 "add_generation_prompt",
                                                                 "continue_final_message",
                                                                 "chat_template",
                                                                 "conversation",
                                                                 "tokenize",
                                                                 "return_dict",
                                                                 "return_tensors",
                                                                 "tokenizer_kwargs",
                                                                 "loop",
                                                                 "namespace",
                                                                 "range",
                                                                 "dict",
                                                                 "cycler",
                                                                 "joiner",
                                                                 "raise_exception",
                                                                 "strftime_now"};

Complaint ReadDocuments(const Json& value, Json::Array& out) {
  constexpr std::string_view kParam = "documents";
  if (!value.is_array()) return Mismatch(kParam, "an array of objects", value);
  if (value.items().size() > kMaxDocuments) {
    return Invalid(kParam, fmt::format("'{}': at most {} documents, found {}", kParam, kMaxDocuments, value.items().size()));
  }
  for (size_t i = 0; i < value.items().size(); ++i) {
    if (!value.items()[i].is_object()) return Mismatch(fmt::format("{}[{}]", kParam, i), "an object", value.items()[i]);
  }
  out = value.items();
  return std::nullopt;
}

Complaint ReadArguments(const Json& value, Json::Object& out) {
  constexpr std::string_view kParam = "chat_template_kwargs";
  if (!value.is_object()) return Mismatch(kParam, "an object", value);
  if (value.members().size() > kMaxTemplateArguments) {
    return Invalid(kParam,
                   fmt::format("'{}': at most {} arguments, found {}", kParam, kMaxTemplateArguments, value.members().size()));
  }
  for (const auto& [key, argument] : value.members()) {
    // Special tokens have names of this ending.
    if (key.ends_with("_token") ||
        std::find(kReservedArguments.begin(), kReservedArguments.end(), key) != kReservedArguments.end()) {
      const std::string at = fmt::format("{}.{}", kParam, key.substr(0, 64));
      return Invalid(at, fmt::format("'{}': this name belongs to the server", at));
    }
  }
  out = value.members();
  return std::nullopt;
}

}  // namespace

bool PromptReader::Knows(std::string_view param) {
  return std::find(kParameters.begin(), kParameters.end(), param) != kParameters.end();
}

Complaint PromptReader::Read(std::string_view param, const Json& value) {
  if (param == "messages") return ReadMessages(value, prompt_.messages);
  if (param == "tools") return ReadTools(value, prompt_.tools);
  if (param == "tool_choice") return ReadToolChoice(value);
  if (param == "documents") return ReadDocuments(value, prompt_.documents);
  if (param == "add_generation_prompt") return ReadBool(value, param, add_generation_prompt_.emplace());
  if (param == "continue_final_message") return ReadContinue(value);
  if (param == "chat_template_kwargs") return ReadArguments(value, prompt_.template_arguments);
  if (param == "reasoning_effort") return ReadReasoningEffort(value);
  return NotSupported(param, fmt::format("'{}' is not supported: a template is a program, and comes with the model only", param));
}

Complaint PromptReader::ReadToolChoice(const Json& value) {
  constexpr std::string_view kParam = "tool_choice";
  if (value == Json("auto")) return std::nullopt;
  if (value == Json("none")) {
    tools_off_ = true;
    return std::nullopt;
  }
  if (value.is_object() || value == Json("required")) {
    return NotSupported(kParam, fmt::format("'{}': calls cannot be forced, only 'none' and 'auto' are supported, found {}",
                                            kParam, Describe(value)));
  }
  return Mismatch(kParam, "'none' or 'auto'", value);
}

Complaint PromptReader::ReadContinue(const Json& value) {
  if (value.is_bool()) {
    prompt_.continue_field = value.as_bool() ? "content" : "";
  } else if (value == Json("content") || value == Json("reasoning_content")) {
    prompt_.continue_field = value.as_string();
  } else {
    return Mismatch("continue_final_message", "true, false, 'content' or 'reasoning_content'", value);
  }
  return std::nullopt;
}

Complaint PromptReader::ReadReasoningEffort(const Json& value) {
  // Which efforts there are is the template's to know.
  if (!value.is_string() || value.as_string().empty() || value.as_string().size() > kMaxEffortBytes) {
    return Mismatch("reasoning_effort", fmt::format("a string of 1 to {} bytes", kMaxEffortBytes), value);
  }
  prompt_.reasoning_effort = value.as_string();
  return std::nullopt;
}

Complaint PromptReader::Finish(PromptRequest& out) {
  if (prompt_.messages.empty()) return Invalid("messages", "'messages' is missing: expected an array of at least one message");
  const bool continues = !prompt_.continue_field.empty();
  if (continues && add_generation_prompt_.value_or(false)) {
    return Invalid(
        "continue_final_message",
        "'continue_final_message' continues the last message and 'add_generation_prompt' begins a new one: send one of them");
  }
  prompt_.add_generation_prompt = add_generation_prompt_.value_or(!continues);
  if (tools_off_) prompt_.tools.clear();
  out = std::move(prompt_);
  return std::nullopt;
}

}  // namespace millrace::api
