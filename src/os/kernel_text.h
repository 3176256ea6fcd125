// Reading the small text files by which kernels report numbers: "key: value unit" lines and lists of words.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

// The unsigned number that `text` starts with after spaces and tabs; nothing when there is none or it does not fit.
inline std::optional<uint64_t> LeadingNumber(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return std::nullopt;
  uint64_t value = 0;
  const auto parsed = std::from_chars(text.data() + begin, text.data() + text.size(), value);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

// What follows `key` on the first line that starts with it; nothing when no line does.
inline std::optional<std::string_view> AfterKey(std::string_view text, std::string_view key) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const std::string_view line = text.substr(at, end == std::string_view::npos ? end : end - at);
    if (line.starts_with(key)) return line.substr(key.size());
    if (end == std::string_view::npos) break;
    at = end + 1;
  }
  return std::nullopt;
}

inline std::optional<uint64_t> NumberAfterKey(std::string_view text, std::string_view key) {
  const auto rest = AfterKey(text, key);
  return rest ? LeadingNumber(*rest) : std::nullopt;
}

}  // namespace millrace
