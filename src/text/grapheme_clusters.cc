#include "text/grapheme_clusters.h"

#include "base/utf8.h"
#include "text/normalizer_classes.h"

namespace millrace::text {

namespace {

// What stands at the end of the cluster so far, for the rules that look behind the last code point.
struct Ending {
  bool pictographic = false;  // a pictograph and extenders other than ZWJ
  bool joiner = false;        // the same and one ZWJ
  bool consonant = false;     // a consonant of a conjunct, extenders and linkers
  bool linked = false;        // with a linker among them
};

bool IsExtender(ClusterKind kind) {
  return kind == ClusterKind::kExtend || kind == ClusterKind::kConjunctExtend || kind == ClusterKind::kLinker ||
         kind == ClusterKind::kZwj;
}

bool HangulJoins(ClusterKind before, ClusterKind after) {
  using enum ClusterKind;
  switch (after) {
    case kL:
    case kLv:
    case kLvt:
      return before == kL;
    case kV:
      return before == kL || before == kLv || before == kV;
    case kT:
      return before == kLv || before == kV || before == kLvt || before == kT;
    default:
      return false;
  }
}

// Rules GB4 to GB11 but for those of CR and LF.
bool Joins(ClusterKind before, ClusterKind after, const Ending& ending) {
  using enum ClusterKind;
  if (before == kControl || after == kControl) return false;
  if (HangulJoins(before, after) || IsExtender(after) || after == kSpacingMark || before == kPrepend) return true;
  if (after == kConsonant) return ending.consonant && ending.linked;
  return after == kPictographic && ending.joiner;
}

void Extend(ClusterKind kind, Ending& ending) {
  using enum ClusterKind;
  if (!IsExtender(kind)) {
    ending = {.pictographic = kind == kPictographic, .joiner = false, .consonant = kind == kConsonant, .linked = false};
    return;
  }
  ending.joiner = kind == kZwj && ending.pictographic;
  if (kind == kZwj) ending.pictographic = false;
  if (kind == kExtend) ending.consonant = false;
  if (kind == kLinker) ending.linked = ending.consonant;
}

ClusterKind KindOf(char32_t code) {
  if (code >= 0x80) return ClusterKindOf(code);
  return code < 0x20 || code == 0x7F ? ClusterKind::kControl : ClusterKind::kOther;
}

}  // namespace

size_t GraphemeClusterLength(std::string_view text) {
  if (text.empty()) return 0;
  if (text.starts_with("\r\n")) return 2;
  // Two ASCII characters never join: nearly all text.
  if (static_cast<unsigned char>(text[0]) < 0x80 && (text.size() == 1 || static_cast<unsigned char>(text[1]) < 0x80)) return 1;
  Ending ending;
  ClusterKind before = ClusterKind::kControl;
  size_t length = 0;
  while (length < text.size()) {
    const auto next = Utf8Decode(text.substr(length));
    if (!next) return length > 0 ? length : 1;
    const ClusterKind kind = KindOf(next->value);
    if (length > 0 && !Joins(before, kind, ending)) break;
    Extend(kind, ending);
    before = kind;
    length += next->length;
  }
  return length;
}

}  // namespace millrace::text
