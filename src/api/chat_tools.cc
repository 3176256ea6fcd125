#include <fmt/core.h>

#include <algorithm>

#include "api/prompt_request.h"

namespace millrace::api {
namespace {

// A member that may be absent or null.
const Json* Present(const Json& object, std::string_view key) {
  const Json* value = object.Find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

Complaint ReadName(const Json& object, const std::string& at, std::string_view key, std::string& out) {
  const Json* name = object.Find(key);
  const bool fits =
      name != nullptr && name->is_string() && !name->as_string().empty() && name->as_string().size() <= kMaxToolNameBytes;
  if (!fits) {
    return Mismatch(fmt::format("{}.{}", at, key), fmt::format("a string of 1 to {} bytes", kMaxToolNameBytes),
                    name == nullptr ? Json() : *name);
  }
  out = name->as_string();
  return std::nullopt;
}

// "function" is the only type there is; in a call it may go without saying.
Complaint CheckType(const Json& object, const std::string& at, bool required) {
  const Json* type = Present(object, "type");
  if (type == nullptr && !required) return std::nullopt;
  const std::string param = at + ".type";
  if (type == nullptr || !type->is_string()) return Mismatch(param, "'function'", type == nullptr ? Json() : *type);
  if (type->as_string() == "function") return std::nullopt;
  return NotSupported(param, fmt::format("'{}': only 'function' is supported, found {}", param, Describe(*type)));
}

Complaint CheckKeys(const Json& object, const std::string& at, std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : object.members()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    return Invalid(at, fmt::format("'{}': unknown field '{}'", at, key.substr(0, 64)));
  }
  return std::nullopt;
}

Complaint CheckTool(const Json& tool, const std::string& at) {
  if (!tool.is_object()) return Mismatch(at, "an object with 'type' and 'function'", tool);
  if (auto bad = CheckType(tool, at, true)) return bad;
  const Json* function = tool.Find("function");
  const std::string where = at + ".function";
  if (function == nullptr || !function->is_object()) {
    return Mismatch(where, "an object with 'name'", function == nullptr ? Json() : *function);
  }
  std::string name;
  if (auto bad = ReadName(*function, where, "name", name)) return bad;
  const Json* description = Present(*function, "description");
  if (description != nullptr && !description->is_string()) return Mismatch(where + ".description", "a string", *description);
  const Json* parameters = Present(*function, "parameters");
  if (parameters != nullptr && !parameters->is_object()) {
    return Mismatch(where + ".parameters", "an object: a JSON schema", *parameters);
  }
  return std::nullopt;
}

// Name and arguments, as every template expects them.
Complaint ReadCalledFunction(const Json& function, const std::string& at, Json& out) {
  if (!function.is_object()) return Mismatch(at, "an object with 'name' and 'arguments'", function);
  if (auto bad = CheckKeys(function, at, {"name", "arguments"})) return bad;
  std::string name;
  if (auto bad = ReadName(function, at, "name", name)) return bad;
  const Json* arguments = Present(function, "arguments");
  if (arguments != nullptr && !arguments->is_string() && !arguments->is_object()) {
    return Mismatch(at + ".arguments", "a string that holds a JSON object, or the object", *arguments);
  }
  out = Json(Json::Object{{"name", Json(std::move(name))}, {"arguments", arguments == nullptr ? Json("") : *arguments}});
  return std::nullopt;
}

Complaint ReadToolCall(const Json& call, const std::string& at, Json& out) {
  if (!call.is_object()) return Mismatch(at, "an object with 'id', 'type' and 'function'", call);
  // Clients that gathered a streamed reply send its index back.
  if (auto bad = CheckKeys(call, at, {"id", "type", "function", "index"})) return bad;
  if (auto bad = CheckType(call, at, false)) return bad;
  std::string id;
  if (Present(call, "id") != nullptr) {
    if (auto bad = ReadName(call, at, "id", id)) return bad;
  }
  const Json* called = call.Find("function");
  Json function;
  if (auto bad = ReadCalledFunction(called == nullptr ? Json() : *called, at + ".function", function)) return bad;
  Json::Object members;
  if (!id.empty()) members.emplace_back("id", Json(std::move(id)));
  members.emplace_back("type", Json("function"));
  members.emplace_back("function", std::move(function));
  out = Json(std::move(members));
  return std::nullopt;
}

}  // namespace

Complaint ReadTools(const Json& value, Json::Array& out) {
  constexpr std::string_view kParam = "tools";
  if (!value.is_array()) return Mismatch(kParam, "an array of tools", value);
  if (value.items().size() > kMaxTools) {
    return Invalid(kParam, fmt::format("'{}': at most {} tools, found {}", kParam, kMaxTools, value.items().size()));
  }
  for (size_t i = 0; i < value.items().size(); ++i) {
    if (auto bad = CheckTool(value.items()[i], fmt::format("{}[{}]", kParam, i))) return bad;
  }
  if (const size_t bytes = value.Write().size(); bytes > kMaxToolBytes) {
    return Invalid(kParam, fmt::format("'{}': {} bytes of JSON, expected at most {}", kParam, bytes, kMaxToolBytes));
  }
  out = value.items();
  return std::nullopt;
}

Complaint ReadToolCalls(const Json& value, const std::string& at, Json& out) {
  if (!value.is_array()) return Mismatch(at, "an array of calls", value);
  if (value.items().size() > kMaxToolCalls) {
    return Invalid(at, fmt::format("'{}': at most {} calls, found {}", at, kMaxToolCalls, value.items().size()));
  }
  Json::Array calls(value.items().size());
  for (size_t i = 0; i < calls.size(); ++i) {
    if (auto bad = ReadToolCall(value.items()[i], fmt::format("{}[{}]", at, i), calls[i])) return bad;
  }
  out = Json(std::move(calls));
  return std::nullopt;
}

Complaint ReadFunctionCall(const Json& value, const std::string& at, Json& out) { return ReadCalledFunction(value, at, out); }

}  // namespace millrace::api
