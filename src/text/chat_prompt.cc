#include "text/chat_prompt.h"

#include <algorithm>
#include <array>
#include <utility>

#include "jinja/text.h"

namespace millrace::text {
namespace {

// The names under which templates read reasoning; the first is the usual one.
constexpr std::array<std::string_view, 3> kReasoningFields = {"reasoning_content", "thinking", "reasoning"};

// Put behind the text to continue, and looked for in the rendered prompt. Without its space at the end the template has trimmed the text.
constexpr std::string_view kTag = "CONTINUE_FINAL_MESSAGE_TAG ";
// How every error about it begins.
constexpr std::string_view kLastMessage = "the last message ";
constexpr std::string_view kTrimmedTag = kTag.substr(0, kTag.size() - 1);

// Variables that are not arguments.
constexpr std::array<std::string_view, 5> kOwnVariables = {"messages", "tools", "documents", "add_generation_prompt",
                                                           "continue_final_message"};

const Json* FindValue(const Json& object, std::string_view key) {
  const Json* value = object.Find(key);
  return value != nullptr && !value->is_null() ? value : nullptr;
}

// Members that are null are no members, and reasoning stands under each name that templates read.
Json Normalised(const Json& message) {
  const Json* reasoning = nullptr;
  for (const std::string_view field : kReasoningFields) {
    if (reasoning == nullptr) reasoning = FindValue(message, field);
  }
  Json::Object members;
  if (reasoning != nullptr) members.emplace_back("thinking", *reasoning);
  Json out(std::move(members));
  for (const auto& [key, value] : message.members()) {
    if (!value.is_null()) out.Set(key, value);
  }
  if (reasoning != nullptr) out.Set("reasoning_content", *reasoning);
  return out;
}

Result<Json::Array> NormalisedMessages(const Json::Array& messages) {
  if (messages.empty()) return Error(Code::kInvalidArgument, "the conversation is empty: expected at least one message");
  Json::Array out;
  out.reserve(messages.size());
  for (size_t i = 0; i < messages.size(); ++i) {
    if (!messages[i].is_object()) {
      return Error(Code::kInvalidArgument, "messages[{}]: expected an object, found {}", i, messages[i].type_name());
    }
    out.push_back(Normalised(messages[i]));
  }
  return out;
}

Status CheckObjects(const std::optional<Json::Array>& values, std::string_view name) {
  for (size_t i = 0; values && i < values->size(); ++i) {
    if ((*values)[i].is_object()) continue;
    return Error(Code::kInvalidArgument, "{}[{}]: expected an object, found {}", name, i, (*values)[i].type_name());
  }
  return {};
}

// The members of the last message that hold the text to continue.
std::vector<std::string> FieldsToContinue(const Json& message, const std::string& field) {
  if (std::find(kReasoningFields.begin(), kReasoningFields.end(), field) == kReasoningFields.end()) return {field};
  std::vector<std::string> fields;
  for (const std::string_view name : kReasoningFields) {
    const Json* value = message.Find(name);
    if (value != nullptr && *value == *message.Find(field)) fields.emplace_back(name);
  }
  return fields;
}

// The last text among content parts; null without one.
Json* LastText(Json::Array& parts) {
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (!part->is_object()) continue;
    for (auto& [key, value] : part->members()) {
      if (key == "text") return &value;
    }
  }
  return nullptr;
}

// Appends the tag to what is to be continued, and returns what that was.
Result<std::string> Tag(Json& message, const std::string& field, std::string_view source) {
  if (FindValue(message, field) == nullptr) {
    return Error(Code::kInvalidArgument, "the last message has no '{}' to continue", field);
  }
  const std::vector<std::string> fields = FieldsToContinue(message, field);
  if (std::none_of(fields.begin(), fields.end(), [&](const auto& name) { return source.find(name) != std::string_view::npos; })) {
    return Error(Code::kInvalidArgument,
                 "the last message cannot be continued in its '{}', which the chat template does not read", field);
  }
  std::string text;
  for (auto& [key, value] : message.members()) {
    if (std::find(fields.begin(), fields.end(), key) == fields.end()) continue;
    Json* const tagged = value.is_array() ? LastText(value.items()) : &value;
    if (tagged == nullptr || !tagged->is_string()) {
      return Error(Code::kInvalidArgument, "the last message has no text in its '{}' to continue", field);
    }
    text = tagged->as_string();
    *tagged = Json(text + std::string(kTag));
  }
  return text;
}

Result<std::string> CutAtTag(std::string prompt, std::string_view text) {
  const size_t at = jinja::FindLast(prompt, kTrimmedTag);
  const std::string_view wanted = jinja::Strip(text, std::nullopt, jinja::Side::kBoth);
  if (at == std::string::npos || jinja::FindFirst(prompt, wanted) == std::string::npos) {
    return Error(Code::kInvalidArgument, "the last message cannot be continued: the chat template does not show it as it is");
  }
  const bool spaces_kept = std::string_view(prompt).substr(at).starts_with(kTag);
  prompt.resize(at);
  if (!spaces_kept) prompt.resize(jinja::Strip(prompt, std::nullopt, jinja::Side::kRight).size());
  return prompt;
}

Status CheckInput(const ChatInput& input) {
  if (!input.continue_field.empty() && input.add_generation_prompt) {
    return Error(
        Code::kInvalidArgument,
        "the last message can be continued (continue_final_message) or a new one begun (add_generation_prompt), not both");
  }
  for (const auto& [key, value] : input.arguments) {
    if (std::find(kOwnVariables.begin(), kOwnVariables.end(), key) != kOwnVariables.end()) {
      return Error(Code::kInvalidArgument, "'{}' is no name for a template argument", key);
    }
  }
  RETURN_IF_ERROR(CheckObjects(input.tools, "tools"));
  return CheckObjects(input.documents, "documents");
}

Json OrNull(const std::optional<Json::Array>& values) { return values ? Json(*values) : Json(); }

}  // namespace

Result<ChatTemplates> ChatTemplates::Create(std::vector<NamedTemplate> templates, Json::Object special_tokens) {
  if (templates.empty() || templates.size() > kMaxChatTemplates) {
    return Error(Code::kInvalidArgument, "expected 1 to {} chat templates, found {}", kMaxChatTemplates, templates.size());
  }
  ChatTemplates out;
  for (NamedTemplate& each : templates) {
    if (out.Find(each.name) != nullptr) {
      return Error(Code::kInvalidArgument, "two chat templates are called '{}'", each.name);
    }
    auto parsed = jinja::ChatTemplate::Parse(each.source);
    if (!parsed.ok() && each.name != kDefaultTemplate) {
      parsed = parsed.status().Within(fmt::format("chat template '{}'", each.name));
    }
    const ChatTraits traits = parsed.ok() ? TraitsOf(each.source, special_tokens) : ChatTraits{};
    out.entries_.push_back({std::move(each), std::move(parsed), traits});
  }
  const std::vector<Status> errors = out.errors();
  if (errors.size() == out.entries_.size()) return errors.front();
  out.special_tokens_ = std::move(special_tokens);
  return out;
}

const ChatTemplates::Entry* ChatTemplates::Find(std::string_view name) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& each) { return each.text.name == name; });
  return found == entries_.end() ? nullptr : &*found;
}

Result<const ChatTemplates::Entry*> ChatTemplates::Choose(const ChatInput& input) const {
  ASSIGN_OR_RETURN(const Entry* const entry, ChooseAny(input));
  if (!entry->parsed.ok()) return entry->parsed.status();
  return entry;
}

Result<const ChatTemplates::Entry*> ChatTemplates::ChooseAny(const ChatInput& input) const {
  std::string present;
  for (const Entry& each : entries_) present += (present.empty() ? "'" : ", '") + each.text.name + "'";
  if (!input.template_name.empty()) {
    if (const Entry* named = Find(input.template_name); named != nullptr) return named;
    return Error(Code::kNotFound, "no chat template is called '{}': the model has {}", input.template_name, present);
  }
  const Entry* with_tools = input.tools ? Find(kToolTemplate) : nullptr;
  if (with_tools != nullptr) return with_tools;
  if (const Entry* usual = Find(kDefaultTemplate); usual != nullptr) return usual;
  return Error(Code::kNotFound, "the model has no default chat template, only {}", present);
}

Json ChatTemplates::ContextOf(const ChatInput& input, Json::Array messages) const {
  Json context(special_tokens_);
  for (const auto& [key, value] : input.arguments) context.Set(key, value);
  context.Set("messages", std::move(messages));
  context.Set("tools", OrNull(input.tools));
  context.Set("documents", OrNull(input.documents));
  context.Set("add_generation_prompt", input.add_generation_prompt);
  return context;
}

Result<std::string> ChatTemplates::Render(const ChatInput& input) const { return RenderAt(input, jinja::TemplateNow()); }

Result<std::string> ChatTemplates::RenderAt(const ChatInput& input, int64_t unix_seconds) const {
  RETURN_IF_ERROR(CheckInput(input));
  ASSIGN_OR_RETURN(const Entry* const entry, Choose(input));
  ASSIGN_OR_RETURN(Json::Array messages, NormalisedMessages(input.messages));
  if (input.continue_field.empty()) return entry->parsed->RenderAt(ContextOf(input, std::move(messages)), unix_seconds);
  ASSIGN_OR_RETURN(const std::string text, Tag(messages.back(), input.continue_field, entry->text.source));
  ASSIGN_OR_RETURN(std::string prompt, entry->parsed->RenderAt(ContextOf(input, std::move(messages)), unix_seconds));
  return CutAtTag(std::move(prompt), text);
}

Result<ChatInput> ChatTemplates::Fit(ChatInput input) const {
  ASSIGN_OR_RETURN(const Entry* const entry, Choose(input));
  FitMessages(entry->traits, input.messages);
  return input;
}

Result<std::string_view> ChatTemplates::SourceFor(const ChatInput& input) const {
  ASSIGN_OR_RETURN(const Entry* const entry, ChooseAny(input));
  return std::string_view(entry->text.source);
}

Result<ChatTraits> ChatTemplates::TraitsFor(const ChatInput& input) const {
  ASSIGN_OR_RETURN(const Entry* const entry, Choose(input));
  return entry->traits;
}

bool ChatTemplates::Reads(const ChatInput& input, std::string_view variable) const {
  const auto entry = Choose(input);
  return entry.ok() && (*entry)->parsed->Mentions(variable);
}

bool ChatTemplates::HasSpecialToken(std::string_view name) const {
  return std::any_of(special_tokens_.begin(), special_tokens_.end(), [&](const auto& token) { return token.first == name; });
}

std::vector<Status> ChatTemplates::errors() const {
  std::vector<Status> errors;
  for (const Entry& each : entries_) {
    if (!each.parsed.ok()) errors.push_back(each.parsed.status());
  }
  return errors;
}

std::vector<std::string_view> ChatTemplates::names() const {
  std::vector<std::string_view> names;
  names.reserve(entries_.size());
  for (const Entry& each : entries_) names.push_back(each.text.name);
  return names;
}

bool IsAboutContinuation(const Status& status) { return status.message().starts_with(kLastMessage); }

}  // namespace millrace::text
