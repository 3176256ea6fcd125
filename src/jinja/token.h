// Tokens of a template and the lexer that makes them: template text, tags with their white-space control, and what stands inside tags.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace millrace::jinja {

// Counted from 1; columns count characters. After newlines of all kinds have become "\n".
struct Position {
  uint32_t line = 1;
  uint32_t column = 1;
};

// "template line 3, column 14: " + reason.
Status ErrorAt(Code code, Position position, std::string_view reason);

enum class TokenKind : uint8_t {
  kText,         // between tags, white space already removed as the tags demand
  kOutputBegin,  // {{
  kOutputEnd,    // }}
  kBlockBegin,   // {%
  kBlockEnd,     // %}
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,  // text is the operator
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  Position position;
  std::string text;  // of names and operators, of texts and strings with escapes resolved
  int64_t integer = 0;
  double real = 0;
};

// "'endif'", "a string", "the end of the template": for messages.
std::string Describe(const Token& token);

// "\r\n" and "\r" become "\n"; the last newline of all goes. Places in messages count in this text.
std::string NormaliseNewlines(std::string_view source);

// The whole template; the last token is kEnd. Newlines are normalised, one at the very end is dropped, the first newline after a
// block tag or comment is removed (trim_blocks), and so are blanks before one on its line (lstrip_blocks).
Result<std::vector<Token>> Tokenize(std::string_view source);

}  // namespace millrace::jinja
