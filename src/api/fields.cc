#include "api/fields.h"

#include <fmt/core.h>

#include "base/utf8.h"

namespace millrace::api {
namespace {
constexpr size_t kQuotedBytes = 64;
}

std::string Describe(const Json& value) {
  if (value.is_string()) {
    const std::string& text = value.as_string();
    if (text.size() <= kQuotedBytes) return fmt::format("string '{}'", text);
    // Cutting may split a sequence; the sanitiser then ends the quotation with a replacement character.
    return fmt::format("string '{}…'", Utf8Sanitize(std::string_view(text).substr(0, kQuotedBytes)));
  }
  if (value.is_number() || value.is_bool()) return fmt::format("{} {}", value.type_name(), value.Write());
  return std::string(value.type_name());
}

ApiError Mismatch(std::string_view param, std::string_view expected, const Json& found) {
  return Invalid(param, fmt::format("'{}': expected {}, found {}", param, expected, Describe(found)));
}

Complaint ReadBool(const Json& value, std::string_view param, bool& out) {
  if (!value.is_bool()) return Mismatch(param, "true or false", value);
  out = value.as_bool();
  return std::nullopt;
}

Complaint ReadString(const Json& value, std::string_view param, std::string& out) {
  if (!value.is_string()) return Mismatch(param, "a string", value);
  out = value.as_string();
  return std::nullopt;
}

Complaint ReadInteger(const Json& value, std::string_view param, int64_t low, int64_t high, int64_t& out) {
  const auto number = value.is_number() ? value.as_int64() : Result<int64_t>(Status(Code::kInvalidArgument, "no number"));
  if (!number.ok() || *number < low || *number > high) {
    return Mismatch(param, fmt::format("an integer from {} to {}", low, high), value);
  }
  out = *number;
  return std::nullopt;
}

Complaint ReadNumber(const Json& value, std::string_view param, double low, double high, double& out) {
  if (!value.is_number() || value.as_double() < low || value.as_double() > high) {
    return Mismatch(param, fmt::format("a number from {} to {}", low, high), value);
  }
  out = value.as_double();
  return std::nullopt;
}

Parsed<Json> ParseBody(std::string_view body) {
  auto parsed = Json::Parse(body);
  if (!parsed.ok()) {
    const bool too_large = parsed.status().code() == Code::kResourceExhausted;
    ApiError error = Invalid("", "the request body is not usable as " + parsed.status().message());
    error.status = too_large ? 413 : 400;
    error.code = too_large ? "request_too_large" : "invalid_json";
    return error;
  }
  if (!parsed->is_object()) {
    return Invalid("", fmt::format("the request body must be a JSON object, found {}", Describe(*parsed)));
  }
  return std::move(parsed).value();
}

}  // namespace millrace::api
