#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <string>

namespace millrace {

void StartLog(std::string_view process, LogLevel lowest) {
  auto logger = spdlog::get(std::string(process));
  if (!logger) logger = spdlog::stderr_color_mt(std::string(process));
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %n %^%l%$ %v");
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                          spdlog::level::err};
  logger->set_level(kLevels[static_cast<int>(lowest)]);
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(logger);
}

void LogLine(LogLevel level, std::string_view message) {
  std::string safe;
  safe.reserve(message.size());
  for (const char c : message) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      safe += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      safe += c;
    }
  }
  switch (level) {
    case LogLevel::kDebug:
      spdlog::debug("{}", safe);
      break;
    case LogLevel::kInfo:
      spdlog::info("{}", safe);
      break;
    case LogLevel::kWarning:
      spdlog::warn("{}", safe);
      break;
    case LogLevel::kError:
      spdlog::error("{}", safe);
      break;
  }
}

}  // namespace millrace
