// The explicit table of routes. Matching is on whole path segments, percent-decoded one by one, so an encoded slash never splits
// one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/http_request.h"

namespace millrace::net {

class Exchange;
using Handler = std::function<void(std::shared_ptr<Exchange>)>;

// Who may call a route. There is no default: a route without a scope does not compile.
enum class Scope {
  kPublic,  // no key; stays answered while the server drains
  kInference,
  kAdmin,
};
std::string_view ScopeName(Scope scope);  // "public", "inference", "admin"

struct Route {
  Route(std::string route_method, std::string route_pattern, Scope route_scope, Handler route_handler,
        size_t route_body_bytes = 0)
      : method(std::move(route_method)),
        pattern(std::move(route_pattern)),
        scope(route_scope),
        handler(std::move(route_handler)),
        body_bytes(route_body_bytes) {}

  std::string method;   // "GET" also answers HEAD
  std::string pattern;  // "/v1/models/{id}"; a last segment "{id*}" takes the rest of the path with its slashes
  Scope scope;
  Handler handler;
  size_t body_bytes;  // largest body; 0 = ParseLimits::body_bytes of the server
};

// The values of a pattern's {names}, decoded.
using PathValues = std::vector<std::pair<std::string, std::string>>;

class Router {
 public:
  struct Match {
    const Route* route = nullptr;  // null: 404 when `allow` is empty, else 405
    PathValues values;
    std::string allow;  // "GET, HEAD, OPTIONS": what the path offers; also for OPTIONS and 405
  };

  // CHECK: patterns begin with '/', names are not empty, no two routes are the same.
  explicit Router(std::vector<Route> routes);

  // Earlier routes win; a literal segment is not preferred by itself.
  Match Find(std::string_view method, std::string_view path) const;

  const std::vector<Route>& routes() const { return routes_; }  // for tests over every registered route

 private:
  std::vector<Route> routes_;
  std::vector<std::vector<std::string>> segments_;  // per route
};

}  // namespace millrace::net
