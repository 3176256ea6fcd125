// Character properties and case mappings with the answers of Python's str. The tables are generated:
// tests/text/make_unicode_ranges.
#pragma once

#include <string>

namespace millrace {

bool IsPrintable(char32_t code);   // what repr() shows as it is
bool IsAlphabetic(char32_t code);  // str.isalpha, likewise below
bool IsDecimal(char32_t code);
bool IsDigit(char32_t code);
bool IsNumeric(char32_t code);
bool IsUpper(char32_t code);
bool IsLower(char32_t code);

// Each appends one to three characters as UTF-8. The final form of sigma depends on its neighbours and is up to the caller.
void AppendUpper(char32_t code, std::string& out);
void AppendLower(char32_t code, std::string& out);
void AppendTitle(char32_t code, std::string& out);

}  // namespace millrace
