#include "cmd/validators.h"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>

#include "cmd/http_client.h"
#include "net/address.h"
#include "net/request_policy.h"

namespace millrace::cmd {

namespace {

std::optional<int64_t> Integer(const std::string& text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

}  // namespace

std::string CheckFinite(const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (!text.empty() && *end == '\0' && std::isfinite(number)) return {};
  return fmt::format("expected a number, found '{}'", text);
}

std::string CheckIpAddress(const std::string& text) {
  if (net::IsIpv4Literal(text) || net::IsIpv6Literal(text)) return {};
  return fmt::format("expected an IPv4 or IPv6 address, like 127.0.0.1, found '{}'", text);
}

std::string CheckContext(const std::string& text) {
  constexpr int64_t kLeast = 32;
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  const auto number = Integer(text);
  if (number && (*number == 0 || (*number >= kLeast && *number <= kMost))) return {};
  return fmt::format("expected 0 or {} to {} tokens, found '{}'", kLeast, kMost, text);
}

std::string CheckApiKey(const std::string& text) {
  constexpr size_t kShortest = 8;
  const size_t equals = text.find('=');
  const size_t secret = equals == std::string::npos ? text.size() : text.size() - equals - 1;
  if (equals != 0 && secret >= kShortest) return {};
  return fmt::format("expected NAME=SECRET or SECRET, with a secret of at least {} characters", kShortest);
}

std::string CheckHostName(const std::string& text) {
  if (net::IsHostName(text)) return {};
  return fmt::format("expected the name of a host without scheme and port, like llm.example.org, found '{}'", text);
}

std::string CheckOrigin(const std::string& text) {
  if (net::IsOrigin(text)) return {};
  return fmt::format(
      "expected an origin as browsers send it: scheme://host[:port] in lower case, without a path and without the port that is "
      "usual "
      "for the scheme, like https://example.org, found '{}'",
      text);
}

std::string CheckServer(const std::string& text) {
  const std::string url = ServerUrl(text);
  const size_t host = url.find("://") + 3;
  const bool known = url.starts_with("http://") || url.starts_with("https://");
  if (known && host < url.size() && url.find_first_of("/?#@ \t\\", host) == std::string::npos) return {};
  return fmt::format("expected the address of a server, like http://127.0.0.1:11440, found '{}'", text);
}

std::string CheckSha256(const std::string& text) {
  const bool hexadecimal = std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
  if (hexadecimal && text.size() == 64) return {};
  return fmt::format("malformed: a SHA-256 has 64 hexadecimal digits, found {} characters{}", text.size(),
                     hexadecimal ? "" : " that are not all hexadecimal");
}

std::string CheckOpenDescriptor(const std::string& text) {
  const auto number = Integer(text);
  if (number && *number >= 0 && *number <= std::numeric_limits<int>::max() && fcntl(static_cast<int>(*number), F_GETFD) >= 0) {
    return {};
  }
  return fmt::format("descriptor '{}' is not open", text);
}

}  // namespace millrace::cmd
