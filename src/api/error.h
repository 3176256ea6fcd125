// Errors as clients see them: HTTP status, OpenAI's {"error": {...}} body, and the headers that steer a client's retries.
// Messages may quote a request's own values back, never an internal path, address or id of another request.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "base/status.h"

namespace millrace::api {

struct ApiError {
  int status = 400;
  std::string message;
  std::string type;              // "invalid_request_error", "authentication_error", "server_error"
  std::string param;             // which parameter; empty = null
  std::string code;              // for programs; empty = null
  int64_t retry_after_ms = -1;   // >= 0: Retry-After and retry-after-ms are sent
  bool retry_pointless = false;  // x-should-retry: false; for a 5xx or 409 that will come again
};

// A checked value or the error to answer with. The counterpart of Result where a Status cannot say enough.
template <typename T>
class [[nodiscard]] Parsed {
 public:
  Parsed(T value) : held_(std::move(value)) {}
  Parsed(ApiError error) : held_(std::move(error)) {}

  bool ok() const { return held_.index() == 0; }
  const ApiError& error() const { return Get<1>(held_); }
  const T& value() const { return Get<0>(held_); }
  T& value() { return Get<0>(held_); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  template <size_t I, typename V>
  static auto& Get(V& held) {
    CHECK(held.index() == I, "Parsed holds the other alternative");
    return *std::get_if<I>(&held);
  }
  std::variant<T, ApiError> held_;
};

// The one table from the failure kinds of this project to HTTP. The message is the status's own, cut after 1,024 bytes.
ApiError FromStatus(const Status& status);

// 400 with the parameter at fault.
ApiError Invalid(std::string_view param, std::string message);
// 400: well-formed, but this server does not do it.
ApiError NotSupported(std::string_view param, std::string message);
// 404 as OpenAI words it.
ApiError ModelNotFound(std::string_view model);
// 400 `context_length_exceeded`. Clients match on "maximum context length is N tokens". `completion_tokens` is what was asked
// for, 0 if nothing was.
// `at_least`: counting stopped there.
ApiError ContextLengthExceeded(uint64_t context, uint64_t prompt_tokens, bool at_least = false);
// 503: nothing wrong with the request, come again.
ApiError Overloaded(std::string message, int64_t retry_after_ms);
// 401.
ApiError Unauthorized(std::string message);
// 500 after the worker died under the same request twice.
ApiError Quarantined();

// What the HTTP layer refuses by itself: bad framing, unknown path or method, limits.
ApiError FromHttpStatus(int status, std::string_view message);

// {"error":{"message":…,"type":…,"param":…,"code":…}}: a whole reply, or the data of a stream's last event.
std::string ErrorBody(const ApiError& error);

// Retry-After, retry-after-ms, x-should-retry, WWW-Authenticate: what applies.
std::vector<std::pair<std::string, std::string>> ErrorHeaders(const ApiError& error);

}  // namespace millrace::api
