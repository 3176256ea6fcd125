#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/utf8.h"
#include "jinja/text.h"
#include "jinja/token.h"

namespace millrace::jinja {

Status ErrorAt(Code code, Position position, std::string_view reason) {
  return Error(code, "template line {}, column {}: {}", position.line, position.column, reason);
}

std::string Describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kText:
      return "text";
    case TokenKind::kOutputBegin:
      return "'{{'";
    case TokenKind::kOutputEnd:
      return "'}}'";
    case TokenKind::kBlockBegin:
      return "'{%'";
    case TokenKind::kBlockEnd:
      return "'%}'";
    case TokenKind::kString:
      return "a string";
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return "a number";
    case TokenKind::kEnd:
      return "the end of the template";
    case TokenKind::kName:
    case TokenKind::kOperator:
      break;
  }
  return fmt::format("'{}'", token.text.substr(0, 40));
}

std::string NormaliseNewlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

namespace {

bool IsDigitByte(char c) { return c >= '0' && c <= '9'; }
bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsNameByte(char c) { return IsNameStart(c) || IsDigitByte(c); }

// Length of the white space at the start of `text`, as Python's \s.
size_t SpaceLength(std::string_view text) { return text.size() - Strip(text, std::nullopt, Side::kLeft).size(); }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Token>> Run() {
    while (at_ < source_.size()) RETURN_IF_ERROR(TextAndTag());
    Add(TokenKind::kEnd, at_);
    return std::move(tokens_);
  }

 private:
  enum class Tag : uint8_t { kOutput, kBlock, kComment };

  // --- places ---

  // Positions are asked for in rising order of offsets.
  Position At(size_t offset) {
    for (; counted_ < offset; ++counted_) {
      if (source_[counted_] == '\n') {
        ++position_.line;
        position_.column = 1;
      } else if ((static_cast<unsigned char>(source_[counted_]) & 0xC0) != 0x80) {
        ++position_.column;
      }
    }
    return position_;
  }

  Status Fail(size_t offset, std::string_view reason) { return ErrorAt(Code::kInvalidArgument, At(offset), reason); }

  Token& Add(TokenKind kind, size_t offset, std::string text = {}) {
    tokens_.push_back({.kind = kind, .position = At(offset), .text = std::move(text)});
    return tokens_.back();
  }

  bool Looking(size_t at, std::string_view text) const { return source_.substr(std::min(at, source_.size())).starts_with(text); }

  // --- between tags ---

  // One stretch of text and the tag that ends it.
  Status TextAndTag() {
    const size_t start = at_;
    size_t tag = start;
    for (tag = source_.find('{', tag); tag != std::string_view::npos; tag = source_.find('{', tag + 1)) {
      if (Looking(tag, "{{") || Looking(tag, "{%") || Looking(tag, "{#")) break;
    }
    if (tag == std::string_view::npos) {
      AddText(start, source_.substr(start));
      at_ = source_.size();
      return Status();
    }
    const Tag kind = source_[tag + 1] == '{' ? Tag::kOutput : source_[tag + 1] == '%' ? Tag::kBlock : Tag::kComment;
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    AddText(start, TrimBeforeTag(source_.substr(start, tag - start), sign, kind != Tag::kOutput));
    at_ = tag + 2;
    if (kind == Tag::kBlock) {
      if (const auto raw = RawBegin(tag)) return RawBlock(tag, *raw);
    }
    if (sign == '-' || sign == '+') ++at_;
    if (kind == Tag::kComment) return Comment(tag);
    return Inside(kind == Tag::kOutput, tag);
  }

  void AddText(size_t offset, std::string_view text) {
    if (!text.empty()) Add(TokenKind::kText, offset, std::string(text));
  }

  // "-" takes all white space before the tag; lstrip_blocks the blanks between the start of a line and the tag, unless "+" is there.
  std::string_view TrimBeforeTag(std::string_view text, char sign, bool lstrip) {
    if (sign == '-') return Strip(text, std::nullopt, Side::kRight);
    if (sign == '+' || !lstrip) return text;
    const size_t newline = text.rfind('\n');
    const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    const bool at_line_start = line > 0 || line_starting_;
    return at_line_start && SpaceLength(text.substr(line)) == text.size() - line ? text.substr(0, line) : text;
  }

  // The end of a tag: "-%}" takes the white space after it, "%}" one newline, "+%}" nothing. `offset` is behind the closing.
  size_t AfterTag(size_t offset, char sign, bool trim_newline) {
    size_t end = offset;
    if (sign == '-') {
      end += SpaceLength(source_.substr(end));
    } else if (sign != '+' && trim_newline && Looking(end, "\n")) {
      ++end;
    }
    line_starting_ = end > 0 && source_[end - 1] == '\n';
    return end;
  }

  Status Comment(size_t start) {
    const size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) return Fail(start, "the comment is not closed: expected '#}'");
    const char sign = end > at_ ? source_[end - 1] : '\0';
    at_ = AfterTag(end + 2, sign, true);
    return Status();
  }

  // Offset behind "{% raw %}" at `tag`; nothing when the tag is another one.
  std::optional<size_t> RawBegin(size_t tag) {
    size_t at = tag + 2;
    if (Looking(at, "-") || Looking(at, "+")) ++at;
    at += SpaceLength(source_.substr(at));
    if (!Looking(at, "raw")) return std::nullopt;
    at += 3;
    at += SpaceLength(source_.substr(at));
    if (Looking(at, "-%}")) return at + 3 + SpaceLength(source_.substr(at + 3));
    return Looking(at, "%}") ? std::optional<size_t>(at + 2) : std::nullopt;
  }

  Status RawBlock(size_t tag, size_t body) {
    line_starting_ = source_[body - 1] == '\n';
    for (size_t at = source_.find("{%", body); at != std::string_view::npos; at = source_.find("{%", at + 1)) {
      size_t end = at + 2;
      const char sign = Looking(end, "-") ? '-' : Looking(end, "+") ? '+' : '\0';
      if (sign != '\0') ++end;
      end += SpaceLength(source_.substr(end));
      if (!Looking(end, "endraw")) continue;
      end += 6;
      end += SpaceLength(source_.substr(end));
      const char closing = Looking(end, "-%}") ? '-' : Looking(end, "+%}") ? '+' : '\0';
      if (closing != '\0') ++end;
      if (!Looking(end, "%}")) continue;
      AddText(body, TrimBeforeTag(source_.substr(body, at - body), sign, true));
      at_ = AfterTag(end + 2, closing, true);
      return Status();
    }
    return Fail(tag, "the raw block is not closed: expected '{% endraw %}'");
  }

  // --- inside tags ---

  Status Inside(bool output, size_t tag) {
    const Position opened = At(tag);
    Add(output ? TokenKind::kOutputBegin : TokenKind::kBlockBegin, tag);
    const std::string_view closing = output ? "}}" : "%}";
    std::string brackets;  // closing ones still expected
    while (true) {
      at_ += SpaceLength(source_.substr(at_));
      if (at_ >= source_.size()) {
        return ErrorAt(Code::kInvalidArgument, opened, fmt::format("the tag is not closed: expected '{}'", closing));
      }
      if (brackets.empty()) {
        const char sign = Looking(at_, "-") ? '-' : !output && Looking(at_, "+") ? '+' : '\0';
        const size_t at = at_ + (sign == '\0' ? 0 : 1);
        if (Looking(at, closing)) {
          Add(output ? TokenKind::kOutputEnd : TokenKind::kBlockEnd, at_);
          at_ = AfterTag(at + 2, sign, !output);
          return Status();
        }
      }
      RETURN_IF_ERROR(OneToken(brackets));
    }
  }

  Status OneToken(std::string& brackets) {
    const char c = source_[at_];
    if (IsDigitByte(c)) return Number();
    if (IsNameStart(c)) {
      const size_t start = at_;
      while (at_ < source_.size() && IsNameByte(source_[at_])) ++at_;
      Add(TokenKind::kName, start, std::string(source_.substr(start, at_ - start)));
      return NextIsNoName();
    }
    if (c == '"' || c == '\'') return String();
    return OperatorToken(brackets);
  }

  Status NextIsNoName() {
    if (at_ >= source_.size() || static_cast<unsigned char>(source_[at_]) < 0x80) return Status();
    const auto point = Utf8Decode(source_.substr(at_));
    if (point && IsSpace(point->value)) return Status();
    return NotAscii();
  }

  Status NotAscii() { return ErrorAt(Code::kUnsupported, At(at_), "names with characters beyond ASCII are not supported"); }

  Status OperatorToken(std::string& brackets) {
    const char first = source_[at_];
    constexpr std::string_view kOperators[] = {"==", "!=", ">=", "<=", "//", "**", "+", "-", "/", "*", "%", "~", "[",
                                               "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (const std::string_view symbol : kOperators) {
      if (!Looking(at_, symbol)) continue;
      const char c = symbol.front();
      if (c == '(' || c == '[' || c == '{') brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
      if (c == ')' || c == ']' || c == '}') {
        if (brackets.empty()) return Fail(at_, fmt::format("unexpected '{}'", c));
        if (brackets.back() != c) return Fail(at_, fmt::format("expected '{}', found '{}'", brackets.back(), c));
        brackets.pop_back();
      }
      Add(TokenKind::kOperator, at_, std::string(symbol));
      at_ += symbol.size();
      return Status();
    }
    if (static_cast<unsigned char>(first) >= 0x80) return NotAscii();
    return Fail(at_, fmt::format("unexpected character '{}'", first));
  }

  // --- numbers ---

  // Digits with single underscores between them, appended without the underscores; false when there is none.
  template <typename IsOne>
  bool Digits(std::string& out, IsOne is_one) {
    const size_t before = out.size();
    while (at_ < source_.size()) {
      const bool underscore = source_[at_] == '_' && at_ + 1 < source_.size() && is_one(source_[at_ + 1]) && out.size() > before;
      if (underscore) ++at_;
      if (!is_one(source_[at_])) break;
      out += source_[at_++];
    }
    return out.size() > before;
  }

  Status Number() {
    const size_t start = at_;
    if (source_[at_] == '0' && at_ + 2 < source_.size()) {
      const char letter = static_cast<char>(source_[at_ + 1] | 0x20);
      const int base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
      if (base != 0) return BasedInteger(start, base);
    }
    std::string digits;
    Digits(digits, IsDigitByte);
    const bool after_dot = start > 0 && source_[start - 1] == '.';  // x.0.1 is two subscripts
    bool real = false;
    if (!after_dot && Looking(at_, ".") && at_ + 1 < source_.size() && IsDigitByte(source_[at_ + 1])) {
      real = true;
      digits += source_[at_++];
      Digits(digits, IsDigitByte);
    }
    if (!after_dot && at_ < source_.size() && (source_[at_] | 0x20) == 'e') real |= Exponent(digits);
    if (real) {
      double value = 0;
      const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      if (result.ec == std::errc::result_out_of_range) value = OutOfRange(digits);
      Add(TokenKind::kFloat, start).real = value;
      return Status();
    }
    return Integer(start, digits);
  }

  // Too large is infinity, too small zero, as in Python.
  static double OutOfRange(const std::string& digits) {
    const size_t exponent = digits.find('e');
    return exponent != std::string::npos && digits[exponent + 1] == '-' ? 0.0 : HUGE_VAL;
  }

  bool Exponent(std::string& digits) {
    const size_t back = at_;
    std::string exponent = "e";
    ++at_;
    if (Looking(at_, "+") || Looking(at_, "-")) exponent += source_[at_++];
    if (Digits(exponent, IsDigitByte)) {
      digits += exponent;
      return true;
    }
    at_ = back;
    return false;
  }

  Status Integer(size_t start, const std::string& digits) {
    const bool zeros = digits.find_first_not_of('0') == std::string::npos;
    if (digits.size() > 1 && digits.front() == '0' && !zeros) return Fail(start, "an integer may not begin with 0");
    return AddInteger(start, digits, 10);
  }

  Status BasedInteger(size_t start, int base) {
    at_ += 2;
    if (Looking(at_, "_")) ++at_;
    std::string digits;
    const auto is_one = [base](char c) {
      const char lower = static_cast<char>(c | 0x20);
      return (c >= '0' && c < '0' + std::min(base, 10)) || (base == 16 && lower >= 'a' && lower <= 'f');
    };
    if (!Digits(digits, is_one)) return Fail(start, "expected digits after the prefix of the number");
    return AddInteger(start, digits, base);
  }

  Status AddInteger(size_t start, const std::string& digits, int base) {
    int64_t value = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), value, base).ec != std::errc()) {
      return ErrorAt(Code::kUnsupported, At(start), "an integer does not fit 64 bits");
    }
    Add(TokenKind::kInteger, start).integer = value;
    return Status();
  }

  // --- strings ---

  Status String() {
    const size_t start = at_;
    const char quote = source_[at_++];
    std::string out;
    while (at_ < source_.size() && source_[at_] != quote) {
      if (source_[at_] != '\\') {
        out += source_[at_++];
        continue;
      }
      RETURN_IF_ERROR(Escape(out));
    }
    if (at_ >= source_.size()) return Fail(start, fmt::format("the string is not closed: expected {}", quote));
    ++at_;
    Add(TokenKind::kString, start, std::move(out));
    return Status();
  }

  // As Python's unicode-escape; unknown escapes stay as they are.
  Status Escape(std::string& out) {
    const size_t start = at_++;
    if (at_ >= source_.size()) return Fail(start, "the string is not closed");
    const char c = source_[at_++];
    constexpr std::string_view kFrom = "\\'\"abfnrtv", kTo = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t known = kFrom.find(c); known != std::string_view::npos) {
      out += kTo[known];
    } else if (c >= '0' && c <= '7') {
      uint32_t code = static_cast<uint32_t>(c - '0');
      for (int i = 0; i < 2 && at_ < source_.size() && source_[at_] >= '0' && source_[at_] <= '7'; ++i) {
        code = code * 8 + static_cast<uint32_t>(source_[at_++] - '0');
      }
      Utf8Append(code, out);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      return HexEscape(start, c == 'x' ? 2 : c == 'u' ? 4 : 8, out);
    } else if (c == 'N') {
      return ErrorAt(Code::kUnsupported, At(start), "characters by name (\\N) are not supported");
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      return ErrorAt(Code::kUnsupported, At(start), "a backslash before a character beyond ASCII is not supported");
    } else if (c != '\n') {
      out += '\\';
      out += c;
    }
    return Status();
  }

  Status HexEscape(size_t start, size_t digits, std::string& out) {
    uint32_t code = 0;
    const std::string_view text = source_.substr(at_, digits);
    const auto result = std::from_chars(text.data(), text.data() + text.size(), code, 16);
    if (text.size() != digits || result.ptr != text.data() + digits) {
      return Fail(start, fmt::format("expected {} hexadecimal digits in the escape", digits));
    }
    if (code > 0x10FFFF) return Fail(start, "the escape names a character beyond U+10FFFF");
    if (code >= 0xD800 && code <= 0xDFFF) return ErrorAt(Code::kUnsupported, At(start), "half of a surrogate pair in a string");
    Utf8Append(code, out);
    at_ += digits;
    return Status();
  }

  std::string_view source_;
  size_t at_ = 0;
  bool line_starting_ = true;  // the text to come begins a line of the source
  size_t counted_ = 0;         // offset that position_ belongs to
  Position position_;
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> Tokenize(std::string_view source) {
  const std::string normal = NormaliseNewlines(source);
  return Lexer(normal).Run();
}

}  // namespace millrace::jinja
