#include "text/unicode_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "base/utf8.h"
#include "text/normalizer_classes.h"

namespace millrace::text {

namespace {

constexpr char32_t kCodePoints = 0x110000;
constexpr int kMaxDecomposition = 32;      // code points; the longest one, of U+FDFA, has 18
constexpr size_t kManyItems = 4096;        // decomposed at once, where the text lets them be parted
constexpr size_t kShortRun = 32;           // marks; longer runs are sorted by counting
constexpr char32_t kFirstOpenCode = 0x80;  // no form changes ASCII

bool Composes(UnicodeForm::Form form) { return form == UnicodeForm::Form::kNfc || form == UnicodeForm::Form::kNfkc; }
bool IsCompatible(UnicodeForm::Form form) { return form == UnicodeForm::Form::kNfkc || form == UnicodeForm::Form::kNfkd; }

bool IsHangulSyllable(char32_t code) { return code >= 0xAC00 && code <= 0xD7A3; }
// Vowels and final consonants, which compose with what is in front of them.
bool IsHangulSecond(char32_t code) { return (code >= 0x1161 && code <= 0x1175) || (code >= 0x11A8 && code <= 0x11C2); }

uint8_t CombiningClass(char32_t code) {
  const auto found = utf8proc_get_property(static_cast<utf8proc_int32_t>(code))->combining_class;
  return found == 0 || IsInertForNormalForms(code) ? 0 : static_cast<uint8_t>(found);
}

// The full decomposition, in `out`.
std::span<const utf8proc_int32_t> DecompositionOf(char32_t code, bool compatible,
                                                  std::array<utf8proc_int32_t, kMaxDecomposition>& out) {
  out[0] = static_cast<utf8proc_int32_t>(code);
  if (utf8proc_get_property(out[0])->decomp_seqindex == UINT16_MAX && !IsHangulSyllable(code)) return {out.data(), 1};
  if (IsInertForNormalForms(code)) return {out.data(), 1};
  const int options = UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0);
  int boundary = 0;
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), out.data(), out.size(),
                                             static_cast<utf8proc_option_t>(options), &boundary);
  if (count < 1 || count > kMaxDecomposition) {
    out[0] = static_cast<utf8proc_int32_t>(code);
    return {out.data(), 1};
  }
  return {out.data(), static_cast<size_t>(count)};
}

std::optional<char32_t> Composition(char32_t first, char32_t second) {
  std::array<utf8proc_int32_t, 2> pair = {static_cast<utf8proc_int32_t>(first), static_cast<utf8proc_int32_t>(second)};
  const auto count =
      utf8proc_normalize_utf32(pair.data(), pair.size(), static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  const auto composed = static_cast<char32_t>(pair[0]);
  if (count != 1 || IsInertForNormalForms(composed)) return std::nullopt;
  return composed;
}

// Code points that the form leaves as they are, that are never reordered and compose with nothing in front of them.
std::vector<bool> ClosedCodePoints(UnicodeForm::Form form) {
  std::vector<bool> closed(kCodePoints, true);
  std::array<utf8proc_int32_t, kMaxDecomposition> parts;
  for (char32_t code = kFirstOpenCode; code < kCodePoints; ++code) {
    if (CombiningClass(code) != 0) closed[code] = false;
    if (Composes(form) && IsHangulSecond(code)) closed[code] = false;
    if (const auto canonical = DecompositionOf(code, false, parts); canonical.size() > 1) {
      if (Composes(form)) closed[static_cast<char32_t>(canonical.back())] = false;
    }
    const auto full = DecompositionOf(code, IsCompatible(form), parts);
    if (full.size() == 1 && static_cast<char32_t>(full[0]) == code) continue;
    bool same = false;
    if (Composes(form)) {
      const auto count = utf8proc_normalize_utf32(parts.data(), static_cast<utf8proc_ssize_t>(full.size()),
                                                  static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
      same = count == 1 && static_cast<char32_t>(parts[0]) == code;
    }
    if (!same) closed[code] = false;
  }
  return closed;
}

const std::vector<bool>& ClosedFor(UnicodeForm::Form form) {
  using Form = UnicodeForm::Form;
  static const std::vector<bool> nothing;
  switch (form) {
    case Form::kNfc: {
      static const std::vector<bool> closed = ClosedCodePoints(form);
      return closed;
    }
    case Form::kNfd: {
      static const std::vector<bool> closed = ClosedCodePoints(form);
      return closed;
    }
    case Form::kNfkc: {
      static const std::vector<bool> closed = ClosedCodePoints(form);
      return closed;
    }
    case Form::kNfkd: {
      static const std::vector<bool> closed = ClosedCodePoints(form);
      return closed;
    }
  }
  return nothing;
}

// Stable, by combining class.
template <typename Item>
void SortMarks(std::span<Item> marks) {
  const auto before = [](const Item& a, const Item& b) { return a.combining_class < b.combining_class; };
  if (std::is_sorted(marks.begin(), marks.end(), before)) return;
  if (marks.size() <= kShortRun) {
    for (size_t i = 1; i < marks.size(); ++i) {
      for (size_t k = i; k > 0 && before(marks[k], marks[k - 1]); --k) std::swap(marks[k], marks[k - 1]);
    }
    return;
  }
  std::array<size_t, 257> begin = {};
  for (const Item& mark : marks) ++begin[mark.combining_class + size_t{1}];
  for (size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
  std::vector<Item> sorted(marks.size());
  for (const Item& mark : marks) sorted[begin[mark.combining_class]++] = mark;
  std::copy(sorted.begin(), sorted.end(), marks.begin());
}

}  // namespace

UnicodeNormalForm::UnicodeNormalForm(UnicodeForm::Form form) : form_(form), closed_(&ClosedFor(form)) {}

bool UnicodeNormalForm::Closed(char32_t code) const { return (*closed_)[code]; }

size_t UnicodeNormalForm::FirstOpen(std::string_view text, size_t from) const {
  while (from < text.size()) {
    if (static_cast<uint8_t>(text[from]) < kFirstOpenCode) {
      ++from;
      continue;
    }
    const auto next = Utf8Decode(text.substr(from));
    if (!next || !Closed(next->value)) return from;
    from += next->length;
  }
  return from;
}

size_t UnicodeNormalForm::FirstClosed(std::string_view text, size_t from) const {
  while (from < text.size()) {
    const auto next = Utf8Decode(text.substr(from));
    if (!next || Closed(next->value)) return from;
    from += next->length;
  }
  return from;
}

// Hands on what is decomposed in front of starters that compose with nothing before them, so that memory does not grow with the text.
void UnicodeNormalForm::RewriteOpen(std::string_view segment, std::vector<Item>& items, RewrittenText& to) const {
  std::array<utf8proc_int32_t, kMaxDecomposition> parts;
  while (!segment.empty() && !to.overflowed()) {
    const auto next = Utf8Decode(segment);
    if (!next) break;
    segment.remove_prefix(next->length);
    int change = 0;
    for (const utf8proc_int32_t part : DecompositionOf(next->value, IsCompatible(form_), parts)) {
      const auto code = static_cast<char32_t>(part);
      const uint8_t combining_class = CombiningClass(code);
      if (change == 0 && items.size() >= kManyItems && combining_class == 0 && Closed(code)) Finish(items, to);
      items.push_back({code, combining_class, change});
      change = 1;
    }
  }
  Finish(items, to);
}

void UnicodeNormalForm::Finish(std::vector<Item>& items, RewrittenText& to) const {
  Reorder(items);
  if (Composes(form_)) Compose(items);
  for (const Item& item : items) to.Change(item.code, item.change);
  items.clear();
}

void UnicodeNormalForm::Reorder(std::vector<Item>& items) {
  for (size_t begin = 0; begin < items.size(); ++begin) {
    size_t end = begin;
    while (end < items.size() && items[end].combining_class != 0) ++end;
    if (end == begin) continue;
    SortMarks(std::span<Item>(items).subspan(begin, end - begin));
    begin = end;
  }
}

void UnicodeNormalForm::Compose(std::vector<Item>& items) {
  std::optional<size_t> starter;  // in the part of `items` that is done
  int last_mark = -1;             // combining class of the last mark left between the starter and the next item; -1 for none
  size_t done = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    const Item item = items[i];
    if (starter && last_mark < item.combining_class) {
      if (const auto composed = Composition(items[*starter].code, item.code)) {
        items[*starter].code = *composed;
        items[*starter].change += item.change - 1;
        continue;
      }
    }
    if (item.combining_class == 0) {
      starter = done;
      last_mark = -1;
    } else {
      last_mark = item.combining_class;
    }
    items[done++] = item;
  }
  items.resize(done);
}

void UnicodeNormalForm::Rewrite(std::string_view text, RewrittenText& to) const {
  std::vector<Item> items;
  size_t done = 0;
  while (done < text.size() && !to.overflowed()) {
    const size_t open = FirstOpen(text, done);
    if (open == text.size()) break;
    size_t begin = open;  // the code point in front may compose with the open one
    if (begin > done) {
      --begin;
      while (begin > done && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
    }
    const size_t end = FirstClosed(text, open);
    to.KeepNext(text.substr(done, begin - done));
    RewriteOpen(text.substr(begin, end - begin), items, to);
    done = end;
  }
  to.KeepNext(text.substr(done));
}

}  // namespace millrace::text
