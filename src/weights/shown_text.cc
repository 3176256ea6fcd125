#include "weights/shown_text.h"

#include "base/utf8.h"

namespace millrace::weights {

namespace {

// Bytes of the control character at the start of well-formed `text`; 0 when there is none. C1 controls are C2 80 to C2 9F.
size_t ControlLength(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x20 || first == 0x7F) return 1;
  if (first == 0xC2 && text.size() > 1 && static_cast<unsigned char>(text[1]) < 0xA0) return 2;
  return 0;
}

}  // namespace

std::string ShownText(std::string_view text, size_t max_bytes) {
  const bool cut = text.size() > max_bytes;
  size_t end = cut ? max_bytes : text.size();
  while (cut && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80) --end;  // not inside a sequence
  const std::string clean = Utf8Sanitize(text.substr(0, end));
  std::string shown;
  shown.reserve(clean.size() + 3);
  for (size_t i = 0; i < clean.size();) {
    const size_t control = ControlLength(std::string_view(clean).substr(i));
    shown += control > 0 ? '?' : clean[i];
    i += control > 0 ? control : 1;
  }
  return cut ? shown + "…" : shown;
}

bool IsPlainName(std::string_view text) {
  if (text.empty() || !Utf8IsValid(text)) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (ControlLength(text.substr(i)) > 0) return false;
  }
  return true;
}

}  // namespace millrace::weights
