// Who may talk to us from where: the checks that stop DNS rebinding and requests which a browser was tricked into. Pure functions
// of a parsed request; the server applies them to every route before the body is read.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_request.h"

namespace millrace::net {

struct Refusal {
  int status = 400;
  std::string message;                  // for the error body's hook
  std::vector<Headers::Field> headers;  // extra response headers
  std::string body;                     // when not empty: sent as it is, as application/json, and the hook is not asked
};

struct RequestPolicy {
  std::vector<std::string> host_names;  // besides IP literals, localhost, *.localhost and *.local; without port, any case
  std::vector<std::string> origins;     // allowed "scheme://host[:port]", exact
};

// What can stand in `host_names`: a name without port.
bool IsHostName(std::string_view text);

// What can stand in `origins`, as a browser serialises it: lower case, no path, no port that the scheme implies.
bool IsOrigin(std::string_view text);

// Exactly one Host value: IP literal, localhost, *.localhost, *.local or a configured name, with an optional
// port. Missing, empty, repeated, with userinfo or otherwise malformed: 400; well-formed but not allowed: 403.
std::optional<Refusal> CheckHost(const Request& request, const RequestPolicy& policy);

// Browser rules. Sec-Fetch-Site cross-site, or a state-changing method with an Origin that is neither configured nor this very
// host: 403. A body that does not say application/json: 415, but a request without any Content-Type is accepted unless an Origin
// or a cross-site Sec-Fetch-Site header shows that a browser sent it.
std::optional<Refusal> CheckOrigin(const Request& request, const RequestPolicy& policy);

// True when this Origin is configured: the response may carry CORS headers for it.
bool IsAllowedOrigin(std::string_view origin, const RequestPolicy& policy);

}  // namespace millrace::net
