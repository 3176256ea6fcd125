#include "cmd/moment.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <optional>

#include "jinja/chat_template.h"

namespace millrace::cmd {

namespace {

constexpr int64_t kFirst = -62'135'596'800;  // 0001-01-01T00:00:00Z
constexpr int64_t kLast = 253'402'300'799;   // 9999-12-31T23:59:59Z

std::optional<int64_t> Integer(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

// Exactly the digits where `form` has zeros, and its own characters elsewhere.
bool HasForm(std::string_view text, std::string_view form) {
  if (text.size() != form.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (form[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != form[i]) return false;
  }
  return true;
}

std::optional<int64_t> Iso8601(std::string_view text) {
  const bool with_time = HasForm(text, "0000-00-00T00:00:00Z");
  if (!with_time && !HasForm(text, "0000-00-00")) return std::nullopt;
  const auto part = [&](size_t at, size_t size) { return static_cast<unsigned>(Integer(text.substr(at, size)).value_or(0)); };
  const std::chrono::year_month_day day(std::chrono::year(static_cast<int>(part(0, 4))), std::chrono::month(part(5, 2)),
                                        std::chrono::day(part(8, 2)));
  if (!day.ok()) return std::nullopt;
  int64_t seconds = std::chrono::sys_days(day).time_since_epoch().count() * int64_t{86'400};
  if (!with_time) return seconds;
  const unsigned hour = part(11, 2), minute = part(14, 2), second = part(17, 2);
  if (hour > 23 || minute > 59 || second > 59) return std::nullopt;
  return seconds + hour * 3600 + minute * 60 + second;
}

}  // namespace

Result<int64_t> ParseMoment(std::string_view text) {
  std::optional<int64_t> moment = Integer(text);
  if (!moment) moment = Iso8601(text);
  if (moment && *moment >= kFirst && *moment <= kLast) return *moment;
  return Error(Code::kInvalidArgument, "expected Unix seconds or a time like 2023-11-14T22:13:20Z, found '{}'", text);
}

void AddNowOption(CLI::App& command) {
  command
      .add_option_function<std::string>(
          "--now",
          [](const std::string& text) {
            if (const auto moment = ParseMoment(text); moment.ok()) jinja::FreezeTemplateClock(*moment);
          },
          "Freeze the clock that chat templates read: Unix seconds, or like 2023-11-14T22:13:20Z")
      ->check([](const std::string& text) {
        const auto moment = ParseMoment(text);
        return moment.ok() ? std::string() : moment.status().message();
      });
}

}  // namespace millrace::cmd
