// Where a listener binds or a peer sits: an IP literal and a port. Names are never resolved here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace millrace::net {

struct Address {
  std::string host = "127.0.0.1";  // IPv4 or IPv6 literal, without brackets
  uint16_t port = 0;               // 0 = any free one, when binding

  // "127.0.0.1:8080", "[::1]:8080", "localhost:8080" (= 127.0.0.1), "*:8080" (= 0.0.0.0).
  static Result<Address> Parse(std::string_view text);

  std::string ToString() const;  // brackets around IPv6
  bool IsLoopback() const;       // 127/8, ::1 and the mapped form ::ffff:127.x
  bool operator==(const Address&) const = default;
};

// What the text is as an IP literal; brackets are not accepted.
bool IsIpv4Literal(std::string_view text);
bool IsIpv6Literal(std::string_view text);

}  // namespace millrace::net
