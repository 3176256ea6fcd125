#include "jinja/text.h"

#include <algorithm>

#include "base/unicode_ranges.h"
#include "base/utf8.h"

namespace millrace::jinja {
namespace {

bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// The first character; text is not empty. Bytes that are no UTF-8 never get here, but must not loop.
CodePoint First(std::string_view text) {
  const unsigned char lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) return {lead, 1};
  return Utf8Decode(text).value_or(CodePoint{0xFFFD, 1});
}

CodePoint Last(std::string_view text) {
  size_t start = text.size() - 1;
  while (start > 0 && IsContinuation(text[start])) --start;
  return First(text.substr(start));
}

template <typename Visit>
void ForEach(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const CodePoint point = First(text);
    visit(point.value);
    text.remove_prefix(point.length);
  }
}

bool IsLineEnd(char32_t code) {
  return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 || code == 0x2028 || code == 0x2029;
}

bool IsCased(char32_t code) {
  if (IsUpper(code) || IsLower(code)) return true;
  std::string mapped;
  AppendLower(code, mapped);
  return First(mapped).value != code;  // the title-case digraphs
}

constexpr char32_t kSigma = 0x3A3;
constexpr char32_t kFinalSigma = 0x3C2;

// `before` and `after` surround the character; sigma at the end of a word has a form of its own.
void AppendLowerInWord(char32_t code, std::string_view before, std::string_view after, std::string& out) {
  if (code != kSigma) return AppendLower(code, out);
  const bool ends = !before.empty() && IsCased(Last(before).value) && (after.empty() || !IsCased(First(after).value));
  if (ends) {
    Utf8Append(kFinalSigma, out);
  } else {
    AppendLower(code, out);
  }
}

}  // namespace

size_t CountCodePoints(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char byte) { return !IsContinuation(byte); }));
}

size_t ByteOffset(std::string_view text, size_t index) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (!IsContinuation(text[i]) && index-- == 0) return i;
  }
  return text.size();
}

bool IsSpace(char32_t code) {
  if (code <= 0x20) return code == 0x20 || (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x1F);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
         code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

std::string_view Strip(std::string_view text, std::optional<std::string_view> chars, Side side) {
  std::u32string set;
  if (chars) ForEach(*chars, [&](char32_t code) { set += code; });
  std::sort(set.begin(), set.end());
  const auto goes = [&](char32_t code) { return chars ? std::binary_search(set.begin(), set.end(), code) : IsSpace(code); };
  while (side != Side::kRight && !text.empty() && goes(First(text).value)) text.remove_prefix(First(text).length);
  while (side != Side::kLeft && !text.empty() && goes(Last(text).value)) text.remove_suffix(Last(text).length);
  return text;
}

namespace {

std::vector<std::string_view> SplitSpaces(std::string_view text, size_t limit) {
  std::vector<std::string_view> parts;
  text = Strip(text, std::nullopt, Side::kLeft);
  while (!text.empty()) {
    if (parts.size() == limit) {
      parts.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size() && !IsSpace(First(text.substr(end)).value)) end += First(text.substr(end)).length;
    parts.push_back(text.substr(0, end));
    text = Strip(text.substr(end), std::nullopt, Side::kLeft);
  }
  return parts;
}

std::vector<std::string_view> SplitSpacesFromRight(std::string_view text, size_t limit) {
  std::vector<std::string_view> parts;
  text = Strip(text, std::nullopt, Side::kRight);
  while (!text.empty()) {
    if (parts.size() == limit) {
      parts.push_back(text);
      break;
    }
    size_t start = text.size();
    while (start > 0 && !IsSpace(Last(text.substr(0, start)).value)) start -= Last(text.substr(0, start)).length;
    parts.push_back(text.substr(start));
    text = Strip(text.substr(0, start), std::nullopt, Side::kRight);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

}  // namespace

std::vector<std::string_view> Split(std::string_view text, std::optional<std::string_view> separator, size_t limit) {
  if (!separator) return SplitSpaces(text, limit);
  std::vector<std::string_view> parts;
  while (parts.size() < limit) {
    const size_t at = FindFirst(text, *separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + separator->size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> SplitFromRight(std::string_view text, std::optional<std::string_view> separator, size_t limit) {
  if (!separator) return SplitSpacesFromRight(text, limit);
  std::vector<std::string_view> parts;
  while (parts.size() < limit) {
    const size_t at = FindLast(text, *separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(at + separator->size()));
    text = text.substr(0, at);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t start = 0;
  for (size_t i = 0; i < text.size();) {
    const CodePoint point = First(text.substr(i));
    const size_t line_end = i;
    i += point.length;
    if (!IsLineEnd(point.value)) continue;
    if (point.value == '\r' && i < text.size() && text[i] == '\n') ++i;
    lines.push_back(text.substr(start, (keep_ends ? i : line_end) - start));
    start = i;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

namespace {

constexpr size_t kShortPattern = 16;  // here even the worst case of a plain search is harmless

// Knuth, Morris and Pratt, over any random-access order of bytes. Returns how many bytes precede the occurrence.
template <typename Iterator>
size_t SearchLong(Iterator text, size_t text_size, Iterator pattern, size_t pattern_size) {
  std::vector<uint32_t> border(pattern_size, 0);  // length of the longest proper border of each prefix
  for (size_t i = 1, matched = 0; i < pattern_size; ++i) {
    while (matched > 0 && pattern[static_cast<ptrdiff_t>(i)] != pattern[static_cast<ptrdiff_t>(matched)]) {
      matched = border[matched - 1];
    }
    if (pattern[static_cast<ptrdiff_t>(i)] == pattern[static_cast<ptrdiff_t>(matched)]) ++matched;
    border[i] = static_cast<uint32_t>(matched);
  }
  for (size_t i = 0, matched = 0; i < text_size; ++i) {
    while (matched > 0 && text[static_cast<ptrdiff_t>(i)] != pattern[static_cast<ptrdiff_t>(matched)]) {
      matched = border[matched - 1];
    }
    if (text[static_cast<ptrdiff_t>(i)] == pattern[static_cast<ptrdiff_t>(matched)]) ++matched;
    if (matched == pattern_size) return i + 1 - pattern_size;
  }
  return std::string_view::npos;
}

}  // namespace

size_t FindFirst(std::string_view text, std::string_view pattern, size_t from) {
  if (pattern.size() <= kShortPattern) return text.find(pattern, from);
  text.remove_prefix(std::min(from, text.size()));
  if (pattern.size() > text.size()) return std::string_view::npos;
  const size_t at = SearchLong(text.begin(), text.size(), pattern.begin(), pattern.size());
  return at == std::string_view::npos ? at : from + at;
}

size_t FindLast(std::string_view text, std::string_view pattern) {
  if (pattern.size() <= kShortPattern) return text.rfind(pattern);
  if (pattern.size() > text.size()) return std::string_view::npos;
  const size_t at = SearchLong(text.rbegin(), text.size(), pattern.rbegin(), pattern.size());
  return at == std::string_view::npos ? at : text.size() - pattern.size() - at;
}

size_t CountOccurrences(std::string_view text, std::string_view pattern) {
  if (pattern.empty()) return CountCodePoints(text) + 1;
  size_t count = 0;
  for (size_t at = FindFirst(text, pattern); at != std::string_view::npos; at = FindFirst(text, pattern, at + pattern.size())) {
    ++count;
  }
  return count;
}

std::string Replace(std::string_view text, std::string_view pattern, std::string_view with, size_t limit) {
  std::string out;
  if (pattern.empty()) {
    for (; limit > 0; --limit) {
      out += with;
      if (text.empty()) return out;
      const size_t length = First(text).length;
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
    return out.append(text);
  }
  for (size_t at = FindFirst(text, pattern); limit > 0 && at != std::string_view::npos; at = FindFirst(text, pattern), --limit) {
    out.append(text.substr(0, at)).append(with);
    text.remove_prefix(at + pattern.size());
  }
  return out.append(text);
}

std::string Upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  ForEach(text, [&](char32_t code) { AppendUpper(code, out); });
  return out;
}

std::string Lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const CodePoint point = First(text.substr(i));
    AppendLowerInWord(point.value, text.substr(0, i), text.substr(i + point.length), out);
    i += point.length;
  }
  return out;
}

std::string Capitalize(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const CodePoint point = First(text.substr(i));
    if (i == 0) {
      AppendTitle(point.value, out);
    } else {
      AppendLowerInWord(point.value, text.substr(0, i), text.substr(i + point.length), out);
    }
    i += point.length;
  }
  return out;
}

std::string SwapCase(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const CodePoint point = First(text.substr(i));
    if (IsUpper(point.value)) {
      AppendLowerInWord(point.value, text.substr(0, i), text.substr(i + point.length), out);
    } else if (IsLower(point.value)) {
      AppendUpper(point.value, out);
    } else {
      Utf8Append(point.value, out);
    }
    i += point.length;
  }
  return out;
}

std::string TitleWords(std::string_view text) {
  std::string out;
  bool in_word = false;
  for (size_t i = 0; i < text.size();) {
    const CodePoint point = First(text.substr(i));
    if (in_word) {
      AppendLowerInWord(point.value, text.substr(0, i), text.substr(i + point.length), out);
    } else {
      AppendTitle(point.value, out);
    }
    in_word = IsCased(point.value);
    i += point.length;
  }
  return out;
}

std::string TitleFilter(std::string_view text) {
  constexpr std::string_view kOpening = "-({[<";
  const auto separates = [&](char32_t code) {
    return IsSpace(code) || (code < 0x80 && kOpening.find(static_cast<char>(code)) != std::string_view::npos);
  };
  std::string out;
  while (!text.empty()) {
    const bool gap = separates(First(text).value);
    size_t end = 0;
    while (end < text.size() && separates(First(text.substr(end)).value) == gap) end += First(text.substr(end)).length;
    const std::string_view run = text.substr(0, end);
    const size_t head = First(run).length;
    out += Upper(run.substr(0, head));
    out += Lower(run.substr(head));
    text.remove_prefix(end);
  }
  return out;
}

std::string EscapeHtml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
        break;
    }
  }
  return out;
}

bool IsAllLower(std::string_view text) {
  bool cased = false, other = false;
  ForEach(text, [&](char32_t code) {
    cased |= IsLower(code);
    other |= !IsLower(code) && IsCased(code);
  });
  return cased && !other;
}

bool IsAllUpper(std::string_view text) {
  bool cased = false, other = false;
  ForEach(text, [&](char32_t code) {
    cased |= IsUpper(code);
    other |= !IsUpper(code) && IsCased(code);
  });
  return cased && !other;
}

bool IsTitleCased(std::string_view text) {
  bool cased = false, in_word = false, wrong = false;
  ForEach(text, [&](char32_t code) {
    const bool is_cased = IsCased(code);
    if (is_cased) {
      cased = true;
      wrong |= in_word ? !IsLower(code) : IsLower(code);
    }
    in_word = is_cased;
  });
  return cased && !wrong;
}

bool AllCharacters(std::string_view text, bool (*holds)(char32_t)) {
  bool all = !text.empty();
  ForEach(text, [&](char32_t code) { all = all && holds(code); });
  return all;
}

}  // namespace millrace::jinja
