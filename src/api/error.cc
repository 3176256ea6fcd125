#include "api/error.h"

#include <fmt/core.h>

#include <array>

#include "base/json.h"

namespace millrace::api {
namespace {

constexpr std::string_view kInvalidRequest = "invalid_request_error";
constexpr std::string_view kServerError = "server_error";

struct Row {
  Code code;
  int status;
  std::string_view type;
  std::string_view name;   // `code` of the body
  int64_t retry_after_ms;  // -1 = none
  bool retry_pointless;
};

// Every Code but kOk, in its order.
constexpr std::array<Row, 10> kTable = {{
    {Code::kInvalidArgument, 400, kInvalidRequest, "invalid_value", -1, false},
    {Code::kNotFound, 404, kInvalidRequest, "not_found", -1, false},
    {Code::kAlreadyExists, 409, kInvalidRequest, "already_exists", -1, true},
    {Code::kDataLoss, 500, kServerError, "data_loss", -1, true},
    {Code::kUnsupported, 400, kInvalidRequest, "unsupported", -1, false},
    {Code::kResourceExhausted, 503, kServerError, "overloaded", 1000, false},
    {Code::kUnavailable, 503, kServerError, "unavailable", 1000, false},
    {Code::kDeadlineExceeded, 504, kServerError, "deadline_exceeded", -1, true},
    {Code::kCancelled, 499, kInvalidRequest, "cancelled", -1, false},
    {Code::kInternal, 500, kServerError, "internal_error", -1, false},
}};

const Row& RowOf(Code code) {
  for (const Row& row : kTable) {
    if (row.code == code) return row;
  }
  return kTable.back();
}

// Messages may quote what a client or a template wrote; an error is no place to send all of it back.
constexpr size_t kMaxMessageBytes = 1024;
constexpr size_t kMaxNameBytes = 128;

std::string Shortened(std::string_view text, size_t most) {
  if (text.size() <= most) return std::string(text);
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;  // not inside a code point
  return std::string(text.substr(0, most)) + "…";
}

void AppendNullable(std::string_view key, std::string_view value, std::string& out) {
  out += fmt::format(",\"{}\":", key);
  if (value.empty()) {
    out += "null";
  } else {
    AppendJsonString(value, out);
  }
}

}  // namespace

ApiError FromStatus(const Status& status) {
  const Row& row = RowOf(status.code());
  ApiError error;
  error.status = row.status;
  error.message = Shortened(status.message(), kMaxMessageBytes);
  error.type = row.type;
  error.code = row.name;
  error.retry_after_ms = row.retry_after_ms;
  error.retry_pointless = row.retry_pointless;
  return error;
}

ApiError Invalid(std::string_view param, std::string message) {
  ApiError error = FromStatus(Status(Code::kInvalidArgument, std::move(message)));
  error.param = param;
  return error;
}

ApiError NotSupported(std::string_view param, std::string message) {
  ApiError error = FromStatus(Status(Code::kUnsupported, std::move(message)));
  error.param = param;
  error.code = "unsupported_parameter";
  return error;
}

ApiError ModelNotFound(std::string_view model) {
  ApiError error = FromStatus(Error(Code::kNotFound, "The model '{}' does not exist. GET /v1/models lists those that do.",
                                    Shortened(model, kMaxNameBytes)));
  error.param = "model";
  error.code = "model_not_found";
  return error;
}

ApiError ContextLengthExceeded(uint64_t context, uint64_t prompt_tokens, bool at_least) {
  ApiError error = Invalid(
      "messages", fmt::format("This model's maximum context length is {} tokens. However, your messages resulted in "
                              "{}{} tokens, which leaves no room for an answer. Please reduce the length of the messages.",
                              context, at_least ? "at least " : "", prompt_tokens));
  error.code = "context_length_exceeded";
  return error;
}

ApiError FromHttpStatus(int status, std::string_view message) {
  struct Name {
    int status;
    std::string_view code;
  };
  constexpr std::array<Name, 8> kNames = {{{401, "invalid_api_key"},
                                           {403, "forbidden"},
                                           {404, "not_found"},
                                           {405, "method_not_allowed"},
                                           {408, "request_timeout"},
                                           {413, "request_too_large"},
                                           {415, "unsupported_media_type"},
                                           {503, "overloaded"}}};
  ApiError error;
  error.status = status;
  error.message = message;
  error.type = status >= 500 ? kServerError : kInvalidRequest;
  error.code = status >= 500 ? "internal_error" : "bad_request";
  for (const Name& name : kNames) {
    if (name.status == status) error.code = name.code;
  }
  return error;
}

ApiError Overloaded(std::string message, int64_t retry_after_ms) {
  ApiError error = FromStatus(Status(Code::kResourceExhausted, std::move(message)));
  error.retry_after_ms = retry_after_ms;
  return error;
}

ApiError Unauthorized(std::string message) {
  ApiError error;
  error.status = 401;
  error.message = std::move(message);
  error.type = "authentication_error";
  error.code = "invalid_api_key";
  return error;
}

ApiError Quarantined() {
  ApiError error = FromStatus(
      Status(Code::kInternal, "the engine failed twice while it worked on this request; it is not tried again for ten minutes"));
  error.code = "request_quarantined";
  error.retry_pointless = true;
  return error;
}

std::string ErrorBody(const ApiError& error) {
  std::string out = "{\"error\":{\"message\":";
  AppendJsonString(error.message, out);
  AppendNullable("type", error.type, out);
  AppendNullable("param", error.param, out);
  AppendNullable("code", error.code, out);
  out += "}}";
  return out;
}

std::vector<std::pair<std::string, std::string>> ErrorHeaders(const ApiError& error) {
  std::vector<std::pair<std::string, std::string>> headers;
  if (error.retry_after_ms >= 0) {
    headers.emplace_back("Retry-After", fmt::format("{}", (error.retry_after_ms + 999) / 1000));
    headers.emplace_back("retry-after-ms", fmt::format("{}", error.retry_after_ms));
  }
  if (error.retry_pointless) headers.emplace_back("x-should-retry", "false");
  if (error.status == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
  return headers;
}

}  // namespace millrace::api
