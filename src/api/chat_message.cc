#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "api/prompt_request.h"

namespace millrace::api {
namespace {

constexpr std::array<std::string_view, 6> kRoles = {"system", "developer", "user", "assistant", "tool", "function"};

Complaint ReadPart(const Json& part, const std::string& at, Json& out) {
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
  out = Json(Json::Object{{"type", Json("text")}, {"text", *text}});
  return std::nullopt;
}

Complaint ReadContent(const Json& content, const std::string& role, const std::string& at, Json& out) {
  if (content.is_string() || (content.is_null() && role == "assistant")) {
    out = content;
    return std::nullopt;
  }
  if (!content.is_array()) return Mismatch(at, "a string or an array of text parts", content);
  if (content.items().size() > kMaxParts) {
    return Invalid(at, fmt::format("'{}': at most {} parts, found {}", at, kMaxParts, content.items().size()));
  }
  Json::Array parts(content.items().size());
  for (size_t i = 0; i < parts.size(); ++i) {
    if (auto bad = ReadPart(content.items()[i], fmt::format("{}[{}]", at, i), parts[i])) return bad;
  }
  out = Json(std::move(parts));
  return std::nullopt;
}

bool IsEmpty(const Json& value) { return value.is_null() || (value.is_array() && value.items().empty()); }

Complaint ReadText(const Json& value, const std::string& at, Json& out) {
  if (!value.is_string()) return Mismatch(at, "a string", value);
  out = value;
  return std::nullopt;
}

// `out` stays null for a member that says nothing.
Complaint ReadMember(const std::string& key, const Json& value, const std::string& role, const std::string& at, Json& out) {
  const bool calls = key == "tool_calls" || key == "function_call";
  if (calls || key == "audio" || key == "refusal" || key == "annotations") {
    // Clients send their copy of an earlier reply back, with these fields present and empty.
    if (IsEmpty(value)) return std::nullopt;
    if (!calls) return NotSupported(at, fmt::format("'{}' is not supported", at));
    if (role != "assistant") return Invalid(at, fmt::format("'{}': only messages of the role 'assistant' have it", at));
    return key == "tool_calls" ? ReadToolCalls(value, at, out) : ReadFunctionCall(value, at, out);
  }
  if (value.is_null()) return std::nullopt;
  const bool known = key == "name" || key == "tool_call_id" || key == "reasoning" || key == "reasoning_content";
  if (known) return ReadText(value, at, out);
  return Invalid(at.substr(0, 128), fmt::format("unknown parameter '{}'", at.substr(0, 128)));
}

// Members keep the order of the client, as some templates show messages as they are.
Complaint ReadMessage(const Json& json, const std::string& at, Json& out) {
  if (!json.is_object()) return Mismatch(at, "an object with 'role' and 'content'", json);
  const Json* role = json.Find("role");
  if (role == nullptr || !role->is_string() || std::find(kRoles.begin(), kRoles.end(), role->as_string()) == kRoles.end()) {
    return Mismatch(at + ".role", "one of system, developer, user, assistant, tool, function", role == nullptr ? Json() : *role);
  }
  const Json* given = json.Find("content");
  Json content;
  if (auto bad = ReadContent(given == nullptr ? Json() : *given, role->as_string(), at + ".content", content)) return bad;
  Json::Object members;
  for (const auto& [key, value] : json.members()) {
    if (key == "role") {
      members.emplace_back(key, value);
    } else if (key == "content") {
      members.emplace_back(key, content);
    } else {
      Json member;
      if (auto bad = ReadMember(key, value, role->as_string(), at + "." + key, member)) return bad;
      if (!member.is_null()) members.emplace_back(key, std::move(member));
    }
  }
  const auto has = [&](std::string_view key) {
    return std::any_of(members.begin(), members.end(), [&](const auto& member) { return member.first == key; });
  };
  if (has("tool_calls") && has("function_call")) {
    return Invalid(at, fmt::format("'{}': 'tool_calls' and 'function_call' exclude each other", at));
  }
  if (given == nullptr) members.emplace_back("content", Json());
  out = Json(std::move(members));
  return std::nullopt;
}

}  // namespace

Complaint ReadMessages(const Json& value, Json::Array& out) {
  if (!value.is_array()) return Mismatch("messages", "an array of at least one message", value);
  if (value.items().empty()) return Invalid("messages", "'messages': must not be empty: expected at least one message");
  const size_t count = value.items().size();
  if (count > kMaxMessages)
    return Invalid("messages", fmt::format("'messages': at most {} messages, found {}", kMaxMessages, count));
  out.resize(count);
  for (size_t i = 0; i < count; ++i) {
    if (auto bad = ReadMessage(value.items()[i], fmt::format("messages[{}]", i), out[i])) return bad;
  }
  return std::nullopt;
}

}  // namespace millrace::api
