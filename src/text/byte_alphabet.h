// The GPT-2 alphabet: byte-level vocabularies write each byte as one printable code point (space as U+0120 "Ġ").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::text {

// The code point that stands for `byte`: itself where it is printable Latin-1, else U+0100 and up in order of the byte.
char32_t AlphabetCodePoint(uint8_t byte);

// "Ġthe" to " the"; nothing when some code point is not in the alphabet or `text` is not UTF-8.
std::optional<std::string> BytesFromAlphabet(std::string_view text);

// " the" to "Ġthe".
std::string AlphabetFromBytes(std::string_view bytes);

}  // namespace millrace::text
