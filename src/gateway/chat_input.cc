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
void NameUnreadArguments(const ModelEntry& model, ChatPlan& plan) {
  bool odd = false;
  for (const auto& [name, value] : plan.input.arguments) {
    if (name == kEffort || model.chat().Reads(plan.input, name)) continue;
    if (IsPlain(name)) plan.ignored.push_back("chat_template_kwargs." + name);
    odd = odd || !IsPlain(name);
  }
  if (odd) plan.ignored.emplace_back("chat_template_kwargs");
}

void NameWhatIsLeftOut(const ModelEntry& model, const text::ChatTraits& traits, std::string_view source, ChatPlan& plan) {
  if (!traits.calls && AnyHas(plan.input.messages, {"tool_calls", "function_call"})) {
    plan.ignored.emplace_back("messages.tool_calls");
  }
  const auto reads = [&](std::string_view name) { return source.find(name) != std::string_view::npos; };
  if (!reads("reasoning") && !reads("thinking") && AnyHas(plan.input.messages, {"reasoning", "reasoning_content"})) {
    plan.ignored.emplace_back("messages.reasoning_content");
  }
  NameUnreadArguments(model, plan);
}

}  // namespace

api::Parsed<ChatPlan> PlanChat(api::PromptRequest prompt, const ModelEntry& model) {
  ChatPlan plan;
  text::ChatInput& input = plan.input;
  input.messages = std::move(prompt.messages);
  input.tools = UnlessEmpty(std::move(prompt.tools));
  input.documents = UnlessEmpty(std::move(prompt.documents));
  input.arguments = std::move(prompt.template_arguments);
  input.add_generation_prompt = prompt.add_generation_prompt;
  input.continue_field = std::move(prompt.continue_field);

  const auto source = model.chat().SourceFor(input);
  const auto traits = model.chat().TraitsFor(input);
  if (!source.ok() || !traits.ok()) return api::Invalid("messages", "'messages': " + source.status().message());
  for (const auto& [param, given] :
       {std::pair("tools", input.tools.has_value()), std::pair("documents", input.documents.has_value())}) {
    if (!given || model.chat().Reads(input, param)) continue;
    return api::NotSupported(param,
                             fmt::format("'{}': the chat template of the model '{}' does not show them", param, model.alias()));
  }
  if (!prompt.reasoning_effort.empty()) {
    const auto has = [](const auto& argument) { return argument.first == kEffort; };
    if (!model.chat().Reads(input, kEffort)) {
      plan.ignored.emplace_back(kEffort);
    } else if (std::none_of(input.arguments.begin(), input.arguments.end(), has)) {
      input.arguments.emplace_back(kEffort, Json(std::move(prompt.reasoning_effort)));
    }
  }
  NameWhatIsLeftOut(model, *traits, *source, plan);
  return plan;
}

}  // namespace millrace::gateway
