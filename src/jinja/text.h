// Python's str algorithms over UTF-8 bytes. All text in and out is well-formed UTF-8; positions are bytes unless a name says characters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::jinja {

size_t CountCodePoints(std::string_view text);
// Byte offset of character `index`; text.size() when there are fewer.
size_t ByteOffset(std::string_view text, size_t index);

bool IsSpace(char32_t code);  // str.isspace

enum class Side : uint8_t { kBoth, kLeft, kRight };
// str.strip; without `chars` white space.
std::string_view Strip(std::string_view text, std::optional<std::string_view> chars, Side side);

constexpr size_t kNoLimit = static_cast<size_t>(-1);
// str.split(sep, limit) and str.rsplit; no separator: runs of white space. `separator` is not empty.
std::vector<std::string_view> Split(std::string_view text, std::optional<std::string_view> separator, size_t limit);
std::vector<std::string_view> SplitFromRight(std::string_view text, std::optional<std::string_view> separator, size_t limit);
std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends);

// Offset of the first or last occurrence, npos when there is none. Linear, whatever the pattern: std's search is quadratic on
// repetitive text.
size_t FindFirst(std::string_view text, std::string_view pattern, size_t from = 0);
size_t FindLast(std::string_view text, std::string_view pattern);

// str.count; the empty pattern occurs between all characters.
size_t CountOccurrences(std::string_view text, std::string_view pattern);
std::string Replace(std::string_view text, std::string_view pattern, std::string_view with, size_t limit);

std::string Upper(std::string_view text);
std::string Lower(std::string_view text);
std::string Capitalize(std::string_view text);
std::string SwapCase(std::string_view text);
std::string TitleWords(std::string_view text);   // str.title: a word is a run of cased characters
std::string TitleFilter(std::string_view text);  // Jinja's filter: words begin after spaces, dashes and opening brackets

// & < > ' and " as the entities that markupsafe writes: at most five times as long.
std::string EscapeHtml(std::string_view text);

// str.islower and str.isupper.
bool IsAllLower(std::string_view text);
bool IsAllUpper(std::string_view text);
bool IsTitleCased(std::string_view text);
// True when `holds` does for every character of a text that is not empty.
bool AllCharacters(std::string_view text, bool (*holds)(char32_t));

}  // namespace millrace::jinja
