// The character classes of RFC 9110 and RFC 3986 that the HTTP edge needs, without locale.
#pragma once

#include <algorithm>
#include <string_view>

namespace millrace::net::detail {

constexpr char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
constexpr bool IsAlpha(char c) { return ToLower(c) >= 'a' && ToLower(c) <= 'z'; }
constexpr bool IsAlnum(char c) { return IsDigit(c) || IsAlpha(c); }
constexpr bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// 0 to 15, or -1.
constexpr int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  const char lower = ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

constexpr bool IsTokenChar(char c) { return IsAlnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos; }
constexpr bool IsToken(std::string_view text) { return !text.empty() && std::ranges::all_of(text, IsTokenChar); }

// Inside a header value: visible characters, blanks and bytes above 0x7F (opaque), no other control character.
constexpr bool IsValueChar(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return c == '\t' || (byte >= 0x20 && byte != 0x7F);
}

// Path characters of a URI: unreserved, sub-delims, ':' '@' '/' and '%' (whose digits are checked apart).
constexpr bool IsPathChar(char c) {
  return IsAlnum(c) || std::string_view("-._~!$&'()*+,;=:@/%").find(c) != std::string_view::npos;
}
// A query also has '?', and the brackets, braces and bar that clients send unescaped there.
constexpr bool IsQueryChar(char c) { return IsPathChar(c) || std::string_view("?[]{}|").find(c) != std::string_view::npos; }

constexpr std::string_view TrimBlanks(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace millrace::net::detail
