// Code points with the properties that the normalizers and added tokens of the Python package `tokenizers` ask for, with its answers: its own
// tables are of several Unicode versions. Generated: tests/text/make_normalizer_tables.
#pragma once

#include <cstdint>
#include <optional>

namespace millrace::text {

bool IsWhiteSpace(char32_t code);           // White_Space
bool IsWordCharacter(char32_t code);        // \w of its added tokens and of its Whitespace step
bool IsMark(char32_t code);                 // what StripAccents drops
bool IsNonspacingMark(char32_t code);       // what BertNormalizer's strip_accents drops
bool IsControlForBert(char32_t code);       // what BertNormalizer's clean_text drops, U+0000 and U+FFFD too
bool IsIdeographForBert(char32_t code);     // what BertNormalizer's handle_chinese_chars puts spaces around
bool IsInertForNormalForms(char32_t code);  // newer than the tables of the normal forms: never taken apart, composed or reordered

// Lower case of the few code points whose case is newer than base/unicode_ranges.h.
std::optional<char32_t> NewerLowerCase(char32_t code);

// How a code point joins extended grapheme clusters (Unicode annex 29). CR and LF are kOther here; regional indicators too.
enum class ClusterKind : uint8_t {
  kOther,
  kControl,
  kExtend,
  kConjunctExtend,  // Extend within an Indic conjunct
  kLinker,          // Extend that links an Indic conjunct
  kZwj,
  kSpacingMark,
  kPrepend,
  kConsonant,  // of an Indic conjunct
  kPictographic,
  kL,
  kV,
  kT,
  kLv,
  kLvt,
};
ClusterKind ClusterKindOf(char32_t code);

}  // namespace millrace::text
