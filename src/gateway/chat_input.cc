#include "gateway/chat_input.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

namespace millrace::gateway {
namespace {

constexpr std::string_view kEffort = "reasoning_effort";

std::optional<Json::Array> UnlessEmpty(Json::Array values) {
  return values.empty() ? std::nullopt : std::optional(std::move(values));
}

bool AnyHas(const Json::Array& messages, std::initializer_list<std::string_view> keys) {
  return std::any_of(messages.begin(), messages.end(), [&](const Json& message) {
    return std::any_of(keys.begin(), keys.end(), [&](std::string_view key) { return message.Find(key) != nullptr; });
  });
}

// A name that can stand in a header.
bool IsPlain(std::string_view name) {
  return name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
         });
}

// Arguments of names that no variable of the template has.
void NameUnreadArguments(const text::ChatTemplates& chat, ChatPlan& plan) {
  bool odd = false;
  for (const auto& [name, value] : plan.input.arguments) {
    if (chat.Reads(plan.input, name)) continue;
    if (IsPlain(name)) plan.ignored.push_back("chat_template_kwargs." + name);
    odd = odd || !IsPlain(name);
  }
  if (odd) plan.ignored.emplace_back("chat_template_kwargs");
}

bool AnyLoses(const Json::Array& messages, std::initializer_list<std::string_view> roles) {
  return std::any_of(messages.begin(), messages.end(), [&](const Json& message) {
    const Json* role = message.Find("role");
    const Json* content = message.Find("content");
    const bool says = content != nullptr && !content->is_null() && *content != Json("");
    return says && std::any_of(roles.begin(), roles.end(), [&](std::string_view name) { return *role == Json(name); });
  });
}

bool LosesReasoning(const text::ChatTraits& traits, const Json::Array& messages) {
  if (traits.reasoning_content) return false;
  return AnyHas(messages, {"reasoning_content"}) || (!traits.reasoning && AnyHas(messages, {"reasoning"}));
}

void NameWhatIsLeftOut(const text::ChatTemplates& chat, const text::ChatTraits& traits, ChatPlan& plan) {
  const Json::Array& messages = plan.input.messages;
  if (traits.system.dropped && AnyLoses(messages, {"system", "developer"})) plan.ignored.emplace_back("messages.system");
  if (traits.tool.dropped && AnyLoses(messages, {"tool", "function"})) plan.ignored.emplace_back("messages.tool");
  if (!traits.calls && AnyHas(messages, {"tool_calls", "function_call"})) plan.ignored.emplace_back("messages.tool_calls");
  if (LosesReasoning(traits, messages)) plan.ignored.emplace_back("messages.reasoning_content");
  NameUnreadArguments(chat, plan);
}

// Errors that need the model to be seen.
std::optional<api::ApiError> CheckArguments(const api::PromptRequest& prompt, const text::ChatTemplates& chat) {
  for (const auto& [name, value] : prompt.template_arguments) {
    const std::string at = fmt::format("chat_template_kwargs.{}", name.substr(0, 64));
    if (chat.HasSpecialToken(name)) {
      return api::Invalid(at, fmt::format("'{}': this name belongs to a special token of the model", at));
    }
    if (name == kEffort && !prompt.reasoning_effort.empty() && value != Json(prompt.reasoning_effort)) {
      return api::Invalid(kEffort, fmt::format("'{}' and '{}' differ: send one of them", kEffort, at));
    }
  }
  return std::nullopt;
}

}  // namespace

api::Parsed<ChatPlan> PlanChat(api::PromptRequest prompt, const text::ChatTemplates& chat, std::string_view alias,
                               std::string template_name) {
  if (auto bad = CheckArguments(prompt, chat)) return *std::move(bad);
  ChatPlan plan;
  text::ChatInput& input = plan.input;
  input.messages = std::move(prompt.messages);
  input.tools = UnlessEmpty(std::move(prompt.tools));
  input.documents = UnlessEmpty(std::move(prompt.documents));
  input.arguments = std::move(prompt.template_arguments);
  input.add_generation_prompt = prompt.add_generation_prompt;
  input.continue_field = std::move(prompt.continue_field);
  input.template_name = std::move(template_name);

  const auto traits = chat.TraitsFor(input);
  if (!traits.ok()) return api::Invalid("messages", "'messages': " + traits.status().message());
  for (const auto& [param, given] :
       {std::pair("tools", input.tools.has_value()), std::pair("documents", input.documents.has_value())}) {
    if (!given || chat.Reads(input, param)) continue;
    return api::NotSupported(param, fmt::format("'{}': the chat template of the model '{}' does not show them", param, alias));
  }
  if (!prompt.reasoning_effort.empty()) {
    const auto has = [](const auto& argument) { return argument.first == kEffort; };
    if (!chat.Reads(input, kEffort)) {
      plan.ignored.emplace_back(kEffort);
    } else if (std::none_of(input.arguments.begin(), input.arguments.end(), has)) {
      input.arguments.emplace_back(kEffort, Json(std::move(prompt.reasoning_effort)));
    }
  }
  NameWhatIsLeftOut(chat, *traits, plan);
  return plan;
}

api::ApiError RenderError(const Status& status) {
  api::ApiError error = api::FromStatus(status);
  error.param = text::IsAboutContinuation(status) ? "continue_final_message" : "messages";
  return error;
}

}  // namespace millrace::gateway
