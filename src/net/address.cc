#include "net/address.h"

#include <arpa/inet.h>

#include <charconv>

namespace millrace::net {
namespace {

Status BadAddress(std::string_view text, std::string_view expected) {
  return Error(Code::kInvalidArgument, "address '{}': expected {}", text, expected);
}

}  // namespace

bool IsIpv4Literal(std::string_view text) {
  in_addr parsed{};
  return text.size() < INET_ADDRSTRLEN && inet_pton(AF_INET, std::string(text).c_str(), &parsed) == 1;
}

bool IsIpv6Literal(std::string_view text) {
  in6_addr parsed{};
  return text.size() < INET6_ADDRSTRLEN && text.find('\0') == std::string_view::npos &&
         inet_pton(AF_INET6, std::string(text).c_str(), &parsed) == 1;
}

Result<Address> Address::Parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return BadAddress(text, "HOST:PORT");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  Address address;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
    return BadAddress(text, "a port from 0 to 65535 after the colon");
  }
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (!IsIpv6Literal(host)) return BadAddress(text, "an IPv6 address inside the brackets");
  } else if (host == "localhost") {
    host = "127.0.0.1";
  } else if (host == "*") {
    host = "0.0.0.0";
  } else if (!IsIpv4Literal(host)) {
    return BadAddress(text, "an IP address (IPv6 in brackets), 'localhost' or '*' before the colon");
  }
  address.host = host;
  return address;
}

std::string Address::ToString() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

bool Address::IsLoopback() const {
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
  }
  return IsIpv4Literal(host) && host.starts_with("127.");
}

}  // namespace millrace::net
