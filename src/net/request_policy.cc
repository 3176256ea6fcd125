#include "net/request_policy.h"

#include <algorithm>

#include "net/address.h"
#include "net/detail/text_classes.h"

namespace millrace::net {
namespace {

Refusal Refuse(int status, std::string message) { return {status, std::move(message), {}, {}}; }

// The name of "name", "name:port", "[v6]" or "[v6]:port"; nothing when malformed. Brackets stay.
std::optional<std::string_view> HostName(std::string_view value) {
  size_t end = 0;
  if (value.starts_with('[')) {
    end = value.find(']');
    if (end == std::string_view::npos || !IsIpv6Literal(value.substr(1, end - 1))) return std::nullopt;
    ++end;
  } else {
    end = std::min(value.find(':'), value.size());
    const std::string_view name = value.substr(0, end);
    if (name.empty() || name.size() > 253 || name.front() == '.') return std::nullopt;
    if (!std::ranges::all_of(name, [](char c) { return detail::IsAlnum(c) || c == '-' || c == '.' || c == '_'; })) {
      return std::nullopt;
    }
  }
  const std::string_view port = value.substr(end);
  if (!port.empty() &&
      (port.size() > 6 || port.size() < 2 || port[0] != ':' || !std::ranges::all_of(port.substr(1), detail::IsDigit))) {
    return std::nullopt;
  }
  return value.substr(0, end);
}

bool EndsWithIgnoreCase(std::string_view text, std::string_view end) {
  return text.size() > end.size() && EqualsIgnoreCase(text.substr(text.size() - end.size()), end);
}

bool ChangesState(std::string_view method) { return method != "GET" && method != "HEAD" && method != "OPTIONS"; }

bool IsJsonType(std::string_view value) {
  return EqualsIgnoreCase(detail::TrimBlanks(value.substr(0, value.find(';'))), "application/json");
}

// An Origin that names the host the request was sent to: the browser shows our own page.
bool IsSameHost(std::string_view origin, const Request& request) {
  const std::string* host = request.headers.Find("host");
  const size_t scheme = origin.find("://");
  if (host == nullptr || scheme == std::string_view::npos) return false;
  return EqualsIgnoreCase(origin.substr(scheme + 3), *host);
}

}  // namespace

bool IsHostName(std::string_view text) { return !text.starts_with('[') && HostName(text) == text; }

bool IsOrigin(std::string_view text) {
  const size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos || scheme_end == 0) return false;
  const auto is_lower = [](char c) { return !detail::IsAlnum(c) || detail::IsDigit(c) || (c >= 'a' && c <= 'z'); };
  if (!std::ranges::all_of(text, is_lower)) return false;
  const std::string_view scheme = text.substr(0, scheme_end);
  const auto in_scheme = [](char c) { return detail::IsAlnum(c) || c == '+' || c == '-' || c == '.'; };
  if (detail::IsDigit(scheme[0]) || !std::ranges::all_of(scheme, in_scheme)) return false;
  const std::string_view host = text.substr(scheme_end + 3);
  const bool port_implied = (scheme == "http" && host.ends_with(":80")) || (scheme == "https" && host.ends_with(":443"));
  return !port_implied && HostName(host).has_value();
}

bool IsAllowedOrigin(std::string_view origin, const RequestPolicy& policy) {
  return std::ranges::find(policy.origins, origin) != policy.origins.end();
}

std::optional<Refusal> CheckHost(const Request& request, const RequestPolicy& policy) {
  if (request.headers.Count("host") != 1) return Refuse(400, "exactly one Host header is required");
  const std::optional<std::string_view> host = HostName(*request.headers.Find("host"));
  if (!host) return Refuse(400, "malformed Host header");
  std::string_view name = *host;
  if (name.starts_with('[') || IsIpv4Literal(name)) return std::nullopt;
  if (name.ends_with('.')) name.remove_suffix(1);
  if (EqualsIgnoreCase(name, "localhost") || EndsWithIgnoreCase(name, ".localhost") || EndsWithIgnoreCase(name, ".local")) {
    return std::nullopt;
  }
  if (std::ranges::any_of(policy.host_names, [&](const std::string& known) { return EqualsIgnoreCase(known, name); })) {
    return std::nullopt;
  }
  return Refuse(403, "this server does not answer to the name in the Host header; add it to the allowed host names");
}

std::optional<Refusal> CheckOrigin(const Request& request, const RequestPolicy& policy) {
  const std::string* origin = request.headers.Find("origin");
  const std::string* site = request.headers.Find("sec-fetch-site");
  if (request.headers.Count("origin") > 1) return Refuse(400, "repeated Origin header");
  const bool configured = origin != nullptr && IsAllowedOrigin(*origin, policy);
  const bool cross_site = site != nullptr && EqualsIgnoreCase(*site, "cross-site");
  if (cross_site && !configured) return Refuse(403, "cross-site requests are refused");
  if (!ChangesState(request.method)) return std::nullopt;
  if (origin != nullptr && !configured && !IsSameHost(*origin, request)) {
    return Refuse(403, "requests from this origin are refused; add it to the allowed origins");
  }
  const std::string* type = request.headers.Find("content-type");
  if (request.headers.Count("content-type") > 1) return Refuse(400, "repeated Content-Type header");
  if (type != nullptr ? !IsJsonType(*type) : (origin != nullptr || cross_site)) {
    return Refuse(415, "Content-Type must be application/json");
  }
  return std::nullopt;
}

}  // namespace millrace::net
