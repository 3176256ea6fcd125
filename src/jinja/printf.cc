// The two formatting languages of format.h: "%d of %s" and "{:>8} {name}".
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>

#include "base/utf8.h"
#include "jinja/format.h"
#include "jinja/ops.h"
#include "jinja/text.h"

namespace millrace::jinja {
namespace {

constexpr int kMaxDigits = 300;  // precision of one number

// What both languages say about one field.
struct Field {
  char32_t fill = ' ';
  char align = 0;  // '<', '>', '^', '='; 0: by type
  char sign = '-';
  bool alternate = false;
  bool grouped = false;
  size_t width = 0;
  int precision = -1;
  char type = 0;
};

Status Pad(const std::string& prefix, const std::string& body, const Field& field, std::string& out, Budget& budget) {
  const size_t length = CountCodePoints(prefix) + CountCodePoints(body);
  const size_t missing = field.width > length ? field.width - length : 0;
  RETURN_IF_ERROR(budget.ChargeBytes(missing * 4 + body.size()));
  RETURN_IF_ERROR(budget.Fits(out.size() + missing * 4 + body.size()));
  const size_t before = field.align == '<' ? 0 : field.align == '^' ? missing / 2 : missing;
  const auto fill = [&](size_t count) {
    for (size_t i = 0; i < count; ++i) Utf8Append(field.fill, out);
  };
  if (field.align == '=') out += prefix;
  fill(before);
  if (field.align != '=') out += prefix;
  out += body;
  fill(missing - before);
  return Status();
}

std::string SignOf(bool negative, const Field& field) {
  if (negative) return "-";
  return field.sign == '-' ? "" : std::string(1, field.sign);
}

std::string Group(const std::string& digits, size_t every) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % every == 0) out += ',';
    out += digits[i];
  }
  return out;
}

Status AppendInteger(int64_t value, Field field, std::string& out, Budget& budget) {
  const uint64_t magnitude = value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string digits, prefix;
  switch (field.type) {
    case 'x':
      digits = fmt::format("{:x}", magnitude), prefix = "0x";
      break;
    case 'X':
      digits = fmt::format("{:X}", magnitude), prefix = "0X";
      break;
    case 'o':
      digits = fmt::format("{:o}", magnitude), prefix = "0o";
      break;
    case 'b':
      digits = fmt::format("{:b}", magnitude), prefix = "0b";
      break;
    default:
      digits = fmt::format("{}", magnitude);
      break;
  }
  if (field.precision > 0 && digits.size() < static_cast<size_t>(field.precision)) {
    digits.insert(0, static_cast<size_t>(field.precision) - digits.size(), '0');
  }
  if (field.grouped) digits = Group(digits, 3);
  if (!field.alternate) prefix.clear();
  if (field.align == 0) field.align = '>';
  return Pad(SignOf(value < 0, field) + prefix, digits, field, out, budget);
}

Status AppendReal(double value, Field field, std::string& out, Budget& budget) {
  RETURN_IF_ERROR(budget.Charge(100));  // of the digits of large numbers
  std::string digits;
  const double magnitude = std::fabs(value);
  const bool percent = field.type == '%';
  const char type = percent ? 'f' : field.type;
  if (!std::isfinite(value)) {
    const bool upper = type == 'F' || type == 'E' || type == 'G';
    digits = std::isnan(value) ? (upper ? "NAN" : "nan") : (upper ? "INF" : "inf");
  } else if (type == 0 && field.precision < 0) {
    AppendFloat(magnitude, digits);
  } else if (type == 0 || type == 'n') {
    return Error(Code::kUnsupported, "a precision without a type is not supported in number formats");
  } else {
    const std::string pattern = std::string("%") + (field.alternate ? "#" : "") + ".*" + type;
    char buffer[2 * kMaxDigits + 400];
    const int precision = std::min(field.precision < 0 ? 6 : field.precision, kMaxDigits);
    std::snprintf(buffer, sizeof(buffer), pattern.c_str(), precision, percent ? magnitude * 100 : magnitude);
    digits = buffer;
  }
  if (field.grouped) {
    const size_t whole = std::min(digits.find_first_of(".e"), digits.size());
    digits = Group(digits.substr(0, whole), 3) + digits.substr(whole);
  }
  if (percent) digits += '%';
  if (field.align == 0) field.align = '>';
  return Pad(SignOf(std::signbit(value) && !std::isnan(value), field), digits, field, out, budget);
}

Status AppendTextField(std::string text, Field field, std::string& out, Budget& budget) {
  if (field.precision >= 0) text.resize(ByteOffset(text, static_cast<size_t>(field.precision)));
  if (field.align == 0 || field.align == '=') field.align = '<';
  return Pad("", text, field, out, budget);
}

// Walks a format by byte; everything it looks for is ASCII.
struct Cursor {
  std::string_view text;
  size_t at = 0;
  bool done() const { return at >= text.size(); }
  char peek() const { return done() ? '\0' : text[at]; }
  bool Take(char c) {
    if (done() || text[at] != c) return false;
    ++at;
    return true;
  }
  std::optional<size_t> Number() {
    size_t value = 0;
    const auto result = std::from_chars(text.data() + at, text.data() + text.size(), value);
    if (result.ec != std::errc() || value > 1'000'000) return std::nullopt;
    at = static_cast<size_t>(result.ptr - text.data());
    return value;
  }
  bool AtDigit() const { return peek() >= '0' && peek() <= '9'; }
};

Status BadFormat(std::string_view reason) { return Error(Code::kInvalidArgument, "format: {}", reason); }

class PercentFormatter {
 public:
  PercentFormatter(std::string_view format, const Value& values, Budget& budget)
      : cursor_{format}, values_(values), budget_(budget) {}

  Result<std::string> Run() {
    std::string out;
    while (!cursor_.done()) {
      if (cursor_.peek() != '%') {
        out += cursor_.text[cursor_.at++];
        continue;
      }
      ++cursor_.at;
      RETURN_IF_ERROR(Conversion(out));
    }
    const bool mapping = !values_.Is(Kind::kTuple) && !values_.Is(Kind::kString) && IsMappingLike(values_);
    const size_t given = values_.Is(Kind::kTuple) ? values_.items().size() : 1;
    if (!mapping && used_ < given) return BadFormat("more values than conversions");
    return out;
  }

 private:
  // What Python's % takes for a mapping: everything with subscripts that is neither text nor tuple.
  static bool IsMappingLike(const Value& value) {
    return value.Is(Kind::kDict) || value.Is(Kind::kList) || value.Is(Kind::kUndefined) || value.Is(Kind::kRange);
  }

  Result<Value> Next() {
    const size_t given = values_.Is(Kind::kTuple) ? values_.items().size() : 1;
    if (used_ >= given) return BadFormat("fewer values than conversions");
    ++used_;
    return values_.Is(Kind::kTuple) ? values_.items()[used_ - 1] : values_;
  }

  Result<size_t> SizeOrStar(Field& field) {
    if (!cursor_.Take('*')) {
      const auto number = cursor_.AtDigit() ? cursor_.Number() : std::optional<size_t>(0);
      if (!number) return BadFormat("the width or precision is too large");
      return *number;
    }
    ASSIGN_OR_RETURN(const Value value, Next());
    ASSIGN_OR_RETURN(const int64_t size, ToIndex(value, "format: *"));
    if (size < -1'000'000 || size > 1'000'000) return BadFormat("the width or precision is too large");
    if (size < 0) field.align = '<';
    return static_cast<size_t>(size < 0 ? -size : size);
  }

  Status Conversion(std::string& out) {
    std::optional<Value> named;
    if (cursor_.Take('(')) {
      const size_t end = cursor_.text.find(')', cursor_.at);
      if (end == std::string_view::npos) return BadFormat("a name without ')'");
      if (!values_.Is(Kind::kDict)) return BadFormat("a name needs a mapping");
      RETURN_IF_ERROR(budget_.Allow(end - cursor_.at));
      const Value name = Value::String(&budget_, std::string(cursor_.text.substr(cursor_.at, end - cursor_.at)));
      ASSIGN_OR_RETURN(const Value* const found, values_.dict().Find(name, budget_));
      if (found == nullptr) return BadFormat("the mapping lacks a name");
      named = *found;
      cursor_.at = end + 1;
    }
    Field field;
    bool zero = false;
    for (;; ++cursor_.at) {
      const char flag = cursor_.peek();
      if (flag == '-')
        field.align = '<';
      else if (flag == '+')
        field.sign = '+';
      else if (flag == ' ' && field.sign != '+')
        field.sign = ' ';
      else if (flag == '#')
        field.alternate = true;
      else if (flag == '0')
        zero = true;
      else if (flag != ' ' || cursor_.done())
        break;
    }
    ASSIGN_OR_RETURN(field.width, SizeOrStar(field));
    if (cursor_.Take('.')) {
      ASSIGN_OR_RETURN(const size_t precision, SizeOrStar(field));
      field.precision = static_cast<int>(precision);
    }
    if (cursor_.done()) return BadFormat("the format ends inside a conversion");
    field.type = cursor_.text[cursor_.at++];
    if (field.type == '%') {
      out += '%';
      return Status();
    }
    if (!named) {
      ASSIGN_OR_RETURN(named, Next());
    }
    return Convert(*named, field, zero, out);
  }

  Status Convert(const Value& value, Field field, bool zero, std::string& out) {
    const auto text = [&](Result<std::string> shown) -> Status {
      RETURN_IF_ERROR(shown);
      if (field.align == 0) field.align = '>';
      return AppendTextField(std::move(*shown), field, out, budget_);
    };
    if (field.type == 's') return text(ToStr(value, budget_));
    if (field.type == 'r' || field.type == 'a') {
      if (field.type == 'a') return Error(Code::kUnsupported, "format: '%a' is not supported");
      std::string shown;
      RETURN_IF_ERROR(AppendRepr(value, shown, budget_));
      return text(std::move(shown));
    }
    if (std::string_view("diuxXofFeEgG").find(field.type) == std::string_view::npos) {
      return Error(Code::kUnsupported, "format: conversion '%{}' is not supported", field.type);
    }
    if (zero && field.align != '<') field.fill = '0', field.align = '=';
    if (!value.is_number()) return TypeError("format: a number conversion", value);
    if (std::string_view("fFeEgG").find(field.type) != std::string_view::npos) {
      return AppendReal(value.ToDouble(), field, out, budget_);
    }
    if (value.Is(Kind::kFloat)) {
      const bool decimal = field.type == 'd' || field.type == 'i' || field.type == 'u';
      if (!decimal || !(std::fabs(value.as_float()) < 0x1p63)) return TypeError("format: an integer conversion", value);
      return AppendInteger(static_cast<int64_t>(value.as_float()), field, out, budget_);
    }
    if (!value.is_integral()) return TypeError("format: a number above 64 bits", value);
    return AppendInteger(value.as_int(), field, out, budget_);
  }

  Cursor cursor_;
  const Value& values_;
  Budget& budget_;
  size_t used_ = 0;
};

class BraceFormatter {
 public:
  BraceFormatter(std::string_view format, const std::vector<Value>& positional, const NamedValues& named, Budget& budget)
      : cursor_{format}, positional_(positional), named_(named), budget_(budget) {}

  Result<std::string> Run() {
    std::string out;
    while (!cursor_.done()) {
      const char c = cursor_.text[cursor_.at++];
      if (c == '{' && !cursor_.Take('{')) {
        RETURN_IF_ERROR(Replacement(out));
      } else if (c == '}' && !cursor_.Take('}')) {
        return BadFormat("single '}'");
      } else {
        out += c;
      }
    }
    return out;
  }

 private:
  Result<Value> Argument(std::string_view name) {
    size_t index = 0;
    const bool digits = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (name.empty() || digits) {
      if (digits == automatic_ && counted_) return BadFormat("numbered and unnumbered fields are mixed");
      automatic_ = !digits;
      counted_ = true;
      if (!digits) index = next_++;
      if (digits && std::from_chars(name.data(), name.data() + name.size(), index).ec != std::errc()) index = positional_.size();
      if (index >= positional_.size()) return BadFormat("fewer values than fields");
      return positional_[index];
    }
    if (name.find_first_of(".[") != std::string_view::npos) {
      return Error(Code::kUnsupported, "format: attributes and items of fields are not supported");
    }
    for (const auto& [key, value] : named_) {
      if (key == name) return value;
    }
    return Error(Code::kInvalidArgument, "format: no value named '{}'", name);
  }

  Status Replacement(std::string& out) {
    const size_t end = cursor_.text.find_first_of("{}", cursor_.at);
    if (end == std::string_view::npos) return BadFormat("'{' without '}'");
    if (cursor_.text[end] == '{') return Error(Code::kUnsupported, "format: fields inside fields are not supported");
    const std::string_view field_text = cursor_.text.substr(cursor_.at, end - cursor_.at);
    cursor_.at = end + 1;
    const size_t colon = std::min(field_text.find(':'), field_text.size());
    std::string_view name = field_text.substr(0, colon);
    char conversion = 0;
    if (const size_t mark = name.find('!'); mark != std::string_view::npos) {
      if (mark + 2 != name.size()) return BadFormat("expected one letter after '!'");
      conversion = name[mark + 1];
      name = name.substr(0, mark);
    }
    ASSIGN_OR_RETURN(Value value, Argument(name));
    if (conversion == 's' || conversion == 'r') {
      std::string shown;
      RETURN_IF_ERROR(conversion == 's' ? AppendStr(value, shown, budget_) : AppendRepr(value, shown, budget_));
      value = Value::String(&budget_, std::move(shown));
    } else if (conversion != 0) {
      return BadFormat("unknown conversion after '!'");
    }
    return Convert(value, colon < field_text.size() ? field_text.substr(colon + 1) : std::string_view(), out);
  }

  Result<Field> ParseSpec(std::string_view spec) {
    Field field;
    Cursor cursor{spec};
    const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
    if (const auto first = Utf8Decode(spec); first && first->length < spec.size() && is_align(spec[first->length])) {
      field.fill = first->value;
      field.align = spec[first->length];
      cursor.at = first->length + 1;
    } else if (is_align(cursor.peek())) {
      field.align = cursor.text[cursor.at++];
    }
    if (cursor.peek() == '+' || cursor.peek() == '-' || cursor.peek() == ' ') field.sign = cursor.text[cursor.at++];
    field.alternate = cursor.Take('#');
    if (cursor.peek() == '0' && field.align == 0) field.fill = '0', field.align = '=';
    if (cursor.AtDigit()) {
      const auto width = cursor.Number();
      if (!width) return BadFormat("the width is too large");
      field.width = *width;
    }
    field.grouped = cursor.Take(',');
    if (cursor.Take('.')) {
      const auto precision = cursor.AtDigit() ? cursor.Number() : std::nullopt;
      if (!precision) return BadFormat("expected a precision after '.'");
      field.precision = static_cast<int>(*precision);
    }
    if (!cursor.done()) field.type = cursor.text[cursor.at++];
    if (!cursor.done()) return BadFormat("the format of a field is not understood");
    return field;
  }

  Status Convert(const Value& value, std::string_view spec, std::string& out) {
    if (spec.empty()) return AppendStr(value, out, budget_);
    ASSIGN_OR_RETURN(Field field, ParseSpec(spec));
    const auto any_of = [&](std::string_view types) { return field.type == 0 || types.find(field.type) != types.npos; };
    if (value.Is(Kind::kString)) {
      if (!any_of("s") || field.align == '=' || field.grouped || field.sign != '-') return BadFormat("not a format for text");
      return AppendTextField(std::string(value.str()), field, out, budget_);
    }
    if (value.Is(Kind::kBool) && field.type == 0) return Error(Code::kUnsupported, "format: a width for a boolean");
    const bool real_type = field.type != 0 && std::string_view("fFeEgG%").find(field.type) != std::string_view::npos;
    if (value.Is(Kind::kFloat) || (value.is_integral() && real_type)) {
      if (!any_of("fFeEgG%")) return BadFormat("not a format for a float");
      return AppendReal(value.ToDouble(), field, out, budget_);
    }
    if (!value.is_integral()) return TypeError("format: a field format", value);
    if (!any_of("dxXob") || field.precision >= 0) return BadFormat("not a format for an integer");
    if (field.grouped && field.fill == '0' && field.width > 0) {
      return Error(Code::kUnsupported, "format: zeros with thousands separators are not supported");
    }
    return AppendInteger(value.as_int(), field, out, budget_);
  }

  Cursor cursor_;
  const std::vector<Value>& positional_;
  const NamedValues& named_;
  Budget& budget_;
  size_t next_ = 0;
  bool automatic_ = false;
  bool counted_ = false;
};

}  // namespace

Result<Value> FormatPercent(const Value& format, const Value& values, Budget& budget) {
  if (format.text().markup) return Error(Code::kUnsupported, "formatting text marked as safe would escape its values");
  RETURN_IF_ERROR(budget.Allow(format.str().size()));
  ASSIGN_OR_RETURN(std::string out, PercentFormatter(format.str(), values, budget).Run());
  return Value::String(&budget, std::move(out));
}

Result<Value> FormatBraces(const Value& format, const std::vector<Value>& positional, const NamedValues& named, Budget& budget) {
  if (format.text().markup) return Error(Code::kUnsupported, "formatting text marked as safe would escape its values");
  RETURN_IF_ERROR(budget.Allow(format.str().size()));
  ASSIGN_OR_RETURN(std::string out, BraceFormatter(format.str(), positional, named, budget).Run());
  return Value::String(&budget, std::move(out));
}

}  // namespace millrace::jinja
