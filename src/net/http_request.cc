#include "net/http_request.h"

#include <algorithm>

#include "net/detail/text_classes.h"

namespace millrace::net {

const std::string* Headers::Find(std::string_view name) const {
  const auto found = std::ranges::find_if(fields_, [&](const Field& field) { return EqualsIgnoreCase(field.name, name); });
  return found == fields_.end() ? nullptr : &found->value;
}

size_t Headers::Count(std::string_view name) const {
  return static_cast<size_t>(
      std::ranges::count_if(fields_, [&](const Field& field) { return EqualsIgnoreCase(field.name, name); }));
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return detail::ToLower(x) == detail::ToLower(y); });
}

bool PercentDecode(std::string_view text, std::string& out) {
  out.clear();
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return false;
    const int high = detail::HexDigit(text[i + 1]);
    const int low = detail::HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return false;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

}  // namespace millrace::net
