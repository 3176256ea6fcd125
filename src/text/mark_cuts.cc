#include "text/mark_cuts.h"

#include <cstring>

#include "text/code_point_table.h"

namespace millrace::text {
namespace {

uint32_t LastCodePoint(std::string_view text) { return DecodeAt(text, BeginBefore(text, text.size())).value; }

// Where the next "▁" behind `at` begins that has another code point in front; the size of `text` when there is none.
size_t NextMark(std::string_view text, size_t at) {
  while (text.substr(at).starts_with(kMark)) at += kMark.size();
  while (at < text.size()) {
    const void* found = std::memchr(text.data() + at, kMark.front(), text.size() - at);
    if (found == nullptr) break;
    at = static_cast<size_t>(static_cast<const char*>(found) - text.data());
    if (text.substr(at).starts_with(kMark)) return at;
    ++at;
  }
  return text.size();
}

}  // namespace

void MarkCuts::BarIn(std::string_view token) {
  for (size_t at = NextMark(token, 0); at < token.size(); at = NextMark(token, at)) {
    const uint32_t before = LastCodePoint(token.substr(0, at));
    if (barred_.empty()) barred_.resize(kLastCodePoint + 1);
    barred_[before] = true;
  }
}

size_t MarkCuts::FirstPart(std::string_view text) const {
  if (!allowed_) return text.size();
  size_t at = NextMark(text, 0);
  while (at < text.size() && IsBarredAfter(text.substr(0, at))) at = NextMark(text, at);
  return at;
}

bool MarkCuts::IsBarredAfter(std::string_view text) const { return !barred_.empty() && barred_[LastCodePoint(text)]; }

}  // namespace millrace::text
