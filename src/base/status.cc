#include "base/status.h"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace millrace {

std::string_view CodeName(Code code) {
  static constexpr std::array<std::string_view, 11> kNames = {
      "ok",          "invalid argument",  "not found", "already exists", "data loss", "unsupported", "resource exhausted",
      "unavailable", "deadline exceeded", "cancelled", "internal error"};
  return kNames[static_cast<size_t>(code)];
}

std::string Status::ToString() const { return ok() ? std::string("ok") : fmt::format("{}: {}", CodeName(code_), message_); }

Status Status::Within(std::string_view where) const {
  return ok() ? *this : Status(code_, fmt::format("{}: {}", where, message_));
}

void CheckFailed(const char* file, int line, const char* condition, const char* reason) {
  std::fprintf(stderr, "%s:%d: check failed: %s: %s\n", file, line, condition, reason);
  std::abort();
}

}  // namespace millrace
