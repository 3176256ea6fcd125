#include "text/rewritten_text.h"

#include <algorithm>

#include "base/utf8.h"

namespace millrace::text {

void RewrittenText::Append(std::string_view bytes) {
  if (overflowed_ || bytes.size() > limit_ - result_.text.size()) {
    overflowed_ = true;
    return;
  }
  result_.text.append(bytes);
}

void RewrittenText::Keep(size_t begin, size_t end) {
  const size_t before = result_.text.size();
  Append(std::string_view(from_.text).substr(begin, end - begin));
  if (begin < from_.from_first && !overflowed_) result_.from_first = before + std::min(end, from_.from_first) - begin;
}

void RewrittenText::Cut(size_t size) {
  result_.text.resize(std::min(size, result_.text.size()));
  result_.from_first = std::min(result_.from_first, result_.text.size());
}

void RewrittenText::PassCodePoint() {
  if (passed_ < from_.text.size()) passed_ += Utf8SequenceLength(std::string_view(from_.text).substr(passed_));
}

void RewrittenText::Change(char32_t code, int change) {
  if (overflowed_) return;
  const size_t before = result_.text.size();
  Utf8Append(code, result_.text);
  if (result_.text.size() > limit_) {
    result_.text.resize(before);
    overflowed_ = true;
    return;
  }
  if (passed_ > from_.from_first) return;
  const bool from_first = change > 0 ? passed_ == 0 || passed_ - 1 < from_.from_first : passed_ < from_.from_first;
  if (from_first) result_.from_first = result_.text.size();
  for (int i = change; i <= 0 && passed_ <= from_.from_first; ++i) PassCodePoint();
}

void RewrittenText::KeepNext(std::string_view code_points) {
  while (!code_points.empty() && passed_ <= from_.from_first) {
    const size_t length = Utf8SequenceLength(code_points);
    const size_t before = passed_;
    Append(code_points.substr(0, length));
    if (before < from_.from_first) result_.from_first = result_.text.size();
    PassCodePoint();
    if (passed_ == before) break;  // the text is over
    code_points.remove_prefix(length);
  }
  Append(code_points);
}

}  // namespace millrace::text
