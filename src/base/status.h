// Status and Result<T>: how every fallible function of the project reports failure. Nothing here throws.
//
// A message says what was expected, what came, and where: "tensor 'blk.0.attn_q.weight': type 99 at offset 4242, expected one of
// …".
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace millrace {

// The whole set of failure kinds. api/http_status.h holds the one table that maps them to HTTP.
enum class Code : uint8_t {
  kOk = 0,
  kInvalidArgument,    // the caller's input is wrong and will be wrong again
  kNotFound,           // the named thing does not exist
  kAlreadyExists,      // the name, port or file is taken
  kDataLoss,           // bytes that we were given (file, ring, stream) contradict themselves
  kUnsupported,        // well-formed, but not implemented by this build
  kResourceExhausted,  // memory, slots or queue are full now
  kUnavailable,        // a peer (worker, client) is gone or not ready; trying again may help
  kDeadlineExceeded,
  kCancelled,
  kInternal,  // our own bug
};

std::string_view CodeName(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  // "not found: model 'x'"; for logs and terminals.
  std::string ToString() const;

  // The same failure seen from further out: prefix + ": " + message.
  Status Within(std::string_view where) const;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// A value or the Status that says why there is none. Reading the value of a failed Result is a bug and ends the process.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Status status) : status_(std::move(status)) { CHECK(!status_.ok(), "a Result without value needs a failed Status"); }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  T& value() & { return CheckedValue(); }
  const T& value() const& {
    CHECK(value_.has_value(), status_.message().c_str());
    return *value_;
  }
  T&& value() && { return std::move(CheckedValue()); }
  T& operator*() & { return CheckedValue(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(CheckedValue()); }
  T* operator->() { return &CheckedValue(); }
  const T* operator->() const { return &value(); }

 private:
  T& CheckedValue() {
    CHECK(value_.has_value(), status_.message().c_str());
    return *value_;
  }

  Status status_;
  std::optional<T> value_;
};

// Error(Code::kNotFound, "no model '{}' in {}", name, folder)
template <typename... Args>
Status Error(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return Status(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace millrace

// RETURN_IF_ERROR(expression of type Status or Result)
#define RETURN_IF_ERROR(expr)                                                                                \
  do {                                                                                                       \
    if (auto millrace_status_ = ::millrace::ToStatus(expr); !millrace_status_.ok()) return millrace_status_; \
  } while (false)

// ASSIGN_OR_RETURN(const auto header, ReadHeader(file));
#define ASSIGN_OR_RETURN(declaration, expr) \
  MILLRACE_ASSIGN_OR_RETURN_(MILLRACE_CONCAT_(millrace_result_, __LINE__), declaration, expr)
#define MILLRACE_ASSIGN_OR_RETURN_(result, declaration, expr) \
  auto result = (expr);                                       \
  if (!result.ok()) return result.status();                   \
  declaration = std::move(result).value()
#define MILLRACE_CONCAT_(a, b) MILLRACE_CONCAT_INNER_(a, b)
#define MILLRACE_CONCAT_INNER_(a, b) a##b

namespace millrace {
inline Status ToStatus(Status status) { return status; }
template <typename T>
Status ToStatus(const Result<T>& result) {
  return result.status();
}
}  // namespace millrace
