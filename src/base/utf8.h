// UTF-8 by the table of the Unicode standard (well-formed byte sequences): no overlong forms, no surrogates, nothing above
// U+10FFFF.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

// Bytes of the well-formed sequence at the start of `text` (1 to 4); 0 when it is empty, ill-formed or cut short.
size_t Utf8SequenceLength(std::string_view text);

// True when `text` is a proper prefix of some well-formed sequence: more bytes could complete it.
bool Utf8IsIncomplete(std::string_view text);

bool Utf8IsValid(std::string_view text);

// Code point at the start of `text` and its length; nothing when ill-formed.
struct CodePoint {
  char32_t value;
  size_t length;
};
std::optional<CodePoint> Utf8Decode(std::string_view text);

void Utf8Append(char32_t code_point, std::string& out);

// Ill-formed parts replaced by U+FFFD, one for each maximal ill-formed part, as Python's errors="replace" does.
std::string Utf8Sanitize(std::string_view text);

}  // namespace millrace
