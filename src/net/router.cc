#include "net/router.h"

#include <algorithm>
#include <optional>

#include "base/check.h"

namespace millrace::net {
namespace {

// "/a/b" is {"a", "b"}, "/a/" is {"a", ""}, "/" is {""}.
std::vector<std::string> SplitPath(std::string_view path) {
  std::vector<std::string> segments;
  path.remove_prefix(1);
  for (;;) {
    const size_t slash = path.find('/');
    segments.emplace_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

bool IsName(std::string_view segment) { return segment.starts_with('{') && segment.ends_with('}'); }
bool IsRest(std::string_view segment) { return IsName(segment) && segment.ends_with("*}"); }
std::string NameOf(std::string_view segment) {
  return std::string(segment.substr(1, segment.size() - (IsRest(segment) ? 3 : 2)));
}

// The values when `path` (decoded segments) fits the pattern.
std::optional<PathValues> Fit(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  PathValues values;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (i >= path.size()) return std::nullopt;
    if (IsRest(pattern[i])) {
      std::string rest = path[i];
      for (size_t k = i + 1; k < path.size(); ++k) rest.append("/").append(path[k]);
      if (rest.empty()) return std::nullopt;
      values.emplace_back(NameOf(pattern[i]), std::move(rest));
      return values;
    }
    if (IsName(pattern[i])) {
      if (path[i].empty()) return std::nullopt;
      values.emplace_back(NameOf(pattern[i]), path[i]);
    } else if (pattern[i] != path[i]) {
      return std::nullopt;
    }
  }
  return pattern.size() == path.size() ? std::optional(std::move(values)) : std::nullopt;
}

void AddMethod(std::string_view method, std::string& allow) {
  if (allow.find(method) != std::string::npos) return;
  if (!allow.empty()) allow.append(", ");
  allow.append(method);
}

}  // namespace

std::string_view ScopeName(Scope scope) {
  switch (scope) {
    case Scope::kPublic:
      return "public";
    case Scope::kInference:
      return "inference";
    case Scope::kAdmin:
      return "admin";
  }
  return "unknown";
}

Router::Router(std::vector<Route> routes) : routes_(std::move(routes)) {
  for (const Route& route : routes_) {
    CHECK(route.pattern.starts_with('/'), "a route's pattern begins with '/'");
    CHECK(!route.method.empty() && route.handler != nullptr, "a route has a method and a handler");
    std::vector<std::string> segments = SplitPath(route.pattern);
    for (size_t i = 0; i < segments.size(); ++i) {
      CHECK(!IsName(segments[i]) || !NameOf(segments[i]).empty(), "a {name} in a route's pattern is not empty");
      CHECK(!IsRest(segments[i]) || i + 1 == segments.size(), "{name*} is the last segment of a route's pattern");
    }
    for (size_t other = 0; other < segments_.size(); ++other) {
      CHECK(segments_[other] != segments || routes_[other].method != route.method, "the same route twice");
    }
    segments_.push_back(std::move(segments));
  }
}

Router::Match Router::Find(std::string_view method, std::string_view path) const {
  Match match;
  if (!path.starts_with('/')) return match;
  std::vector<std::string> decoded = SplitPath(path);
  for (std::string& segment : decoded) {
    std::string plain;
    if (!PercentDecode(segment, plain)) return match;
    segment = std::move(plain);
  }
  for (size_t i = 0; i < routes_.size(); ++i) {
    std::optional<PathValues> values = Fit(segments_[i], decoded);
    if (!values) continue;
    const Route& route = routes_[i];
    AddMethod(route.method, match.allow);
    if (route.method == "GET") AddMethod("HEAD", match.allow);
    const bool fits = route.method == method || (route.method == "GET" && method == "HEAD");
    if (fits && match.route == nullptr) {
      match.route = &route;
      match.values = std::move(*values);
    }
  }
  if (!match.allow.empty()) AddMethod("OPTIONS", match.allow);
  return match;
}

}  // namespace millrace::net
