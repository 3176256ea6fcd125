#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "api/chat_request.h"
#include "api/fields.h"

namespace millrace::api {
namespace {

constexpr std::array<std::string_view, 6> kRoles = {"system", "developer", "user", "assistant", "tool", "function"};

// Names that the renderer itself binds: a client must not replace them.
constexpr std::array<std::string_view, 12> kReservedArguments = {"messages",  "tools",     "documents", "add_generation_prompt",
                                                                 "bos_token", "eos_token", "unk_token", "pad_token",
                                                                 "loop",      "namespace", "range",     "raise_exception"};

Complaint ReadPart(const Json& part, const std::string& at, std::string& content) {
  if (!part.is_object()) return Mismatch(at, "an object with 'type' and 'text'", part);
  const Json* type = part.Find("type");
  if (type == nullptr || !type->is_string()) return Mismatch(at + ".type", "a string", type == nullptr ? Json() : *type);
  if (type->as_string() != "text") {
    return NotSupported(at + ".type",
                        fmt::format("'{}.type': only parts of type 'text' are supported, found {}", at, Describe(*type)));
  }
  const Json* text = part.Find("text");
  if (text == nullptr || !text->is_string()) return Mismatch(at + ".text", "a string", text == nullptr ? Json() : *text);
  for (const auto& [key, value] : part.members()) {
    // cache_control marks a prefix for the sender's cache and leaves the text alone.
    if (key != "type" && key != "text" && key != "cache_control") {
      return Invalid(at, fmt::format("'{}': unknown field '{}'", at, key.substr(0, 64)));
    }
  }
  content += text->as_string();
  return std::nullopt;
}

Complaint ReadContent(const Json& content, const std::string& at, ChatMessage& message) {
  if (content.is_string()) {
    message.content = content.as_string();
    return std::nullopt;
  }
  if (content.is_null() && message.role == "assistant") return std::nullopt;
  if (!content.is_array()) return Mismatch(at, "a string or an array of text parts", content);
  if (content.items().size() > kMaxParts) {
    return Invalid(at, fmt::format("'{}': at most {} parts, found {}", at, kMaxParts, content.items().size()));
  }
  for (size_t i = 0; i < content.items().size(); ++i) {
    if (auto bad = ReadPart(content.items()[i], fmt::format("{}[{}]", at, i), message.content)) return bad;
  }
  return std::nullopt;
}

bool IsEmpty(const Json& value) { return value.is_null() || (value.is_array() && value.items().empty()); }

Complaint ReadMessageField(const std::string& key, const Json& value, const std::string& at, ChatMessage& message) {
  if (key == "role" || key == "content") return std::nullopt;  // read first, in this order
  if (key == "tool_calls" || key == "function_call" || key == "audio" || key == "refusal" || key == "annotations") {
    // Clients send their copy of an earlier reply back, with these fields present and empty.
    if (IsEmpty(value) || key == "annotations") return std::nullopt;
    return NotSupported(at, fmt::format("'{}' is not supported", at));
  }
  if (value.is_null()) return std::nullopt;
  if (key == "name") return ReadString(value, at, message.name);
  if (key == "tool_call_id") return ReadString(value, at, message.tool_call_id);
  if (key == "reasoning" || key == "reasoning_content") return ReadString(value, at, message.reasoning);
  return Invalid(at.substr(0, 128), fmt::format("unknown parameter '{}'", at.substr(0, 128)));
}

Complaint ReadMessage(const Json& json, const std::string& at, ChatMessage& message) {
  if (!json.is_object()) return Mismatch(at, "an object with 'role' and 'content'", json);
  const Json* role = json.Find("role");
  if (role == nullptr || !role->is_string() || std::find(kRoles.begin(), kRoles.end(), role->as_string()) == kRoles.end()) {
    return Mismatch(at + ".role", "one of system, developer, user, assistant, tool, function", role == nullptr ? Json() : *role);
  }
  message.role = role->as_string();
  const Json* content = json.Find("content");
  if (auto bad = ReadContent(content == nullptr ? Json() : *content, at + ".content", message)) return bad;
  for (const auto& [key, value] : json.members()) {
    if (auto bad = ReadMessageField(key, value, at + "." + key, message)) return bad;
  }
  return std::nullopt;
}

}  // namespace

Parsed<std::vector<ChatMessage>> ParseMessages(const Json& messages) {
  if (!messages.is_array()) return Mismatch("messages", "an array of at least one message", messages);
  if (messages.items().empty()) return Invalid("messages", "'messages': must not be empty: expected at least one message");
  const size_t count = messages.items().size();
  if (count > kMaxMessages)
    return Invalid("messages", fmt::format("'messages': at most {} messages, found {}", kMaxMessages, count));
  std::vector<ChatMessage> out(count);
  for (size_t i = 0; i < count; ++i) {
    if (auto bad = ReadMessage(messages.items()[i], fmt::format("messages[{}]", i), out[i])) return *std::move(bad);
  }
  return out;
}

Parsed<Json::Object> ParseTemplateArguments(const Json& arguments) {
  constexpr std::string_view kParam = "chat_template_kwargs";
  if (!arguments.is_object()) return Mismatch(kParam, "an object", arguments);
  if (arguments.members().size() > kMaxTemplateArguments) {
    return Invalid(
        kParam, fmt::format("'{}': at most {} arguments, found {}", kParam, kMaxTemplateArguments, arguments.members().size()));
  }
  for (const auto& [key, value] : arguments.members()) {
    const std::string at = fmt::format("{}.{}", kParam, key.substr(0, 64));
    if (std::find(kReservedArguments.begin(), kReservedArguments.end(), key) != kReservedArguments.end()) {
      return Invalid(at, fmt::format("'{}': this name belongs to the server", at));
    }
    if (value.is_array() || value.is_object()) return Mismatch(at, "a string, a number, true, false or null", value);
  }
  return arguments.members();
}

}  // namespace millrace::api
