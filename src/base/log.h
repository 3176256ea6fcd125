// One line per event on standard error. Control characters in the message are escaped, so bytes of a stranger cannot forge lines.
#pragma once

#include <fmt/core.h>

#include <string_view>
#include <utility>

namespace millrace {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Process name shown in every line; level below which lines are dropped. Call before threads start.
void StartLog(std::string_view process, LogLevel lowest);
void LogLine(LogLevel level, std::string_view message);  // thread-safe

#define MILLRACE_LOG_(name, level)                                    \
  template <typename... Args>                                         \
  void name(fmt::format_string<Args...> format, Args&&... args) {     \
    LogLine(level, fmt::format(format, std::forward<Args>(args)...)); \
  }
MILLRACE_LOG_(LogInfo, LogLevel::kInfo)
MILLRACE_LOG_(LogWarning, LogLevel::kWarning)
MILLRACE_LOG_(LogError, LogLevel::kError)
#undef MILLRACE_LOG_

}  // namespace millrace
