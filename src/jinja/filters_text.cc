// Filters of text and single values.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/unicode_ranges.h"
#include "base/utf8.h"
#include "jinja/filters.h"
#include "jinja/ops.h"
#include "jinja/text.h"

namespace millrace::jinja {

const FilterEntry* FindFilter(std::string_view name) {
  for (const auto table : {TextFilters(), SequenceFilters()}) {
    for (const FilterEntry& entry : table) {
      if (entry.name == name) return &entry;
    }
  }
  return nullptr;
}

namespace {

// str(value) for filters that would keep text marked as safe marked.
Result<std::string> PlainText(const Value& value, Runtime& runtime) {
  if (value.Is(Kind::kString) && value.text().markup) {
    return Error(Code::kUnsupported, "this filter is not supported for text marked as safe");
  }
  return ToStr(value, runtime.budget);
}

template <std::string (*kMap)(std::string_view)>
Result<Value> MapFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("a filter of text", arguments, {}));
  ASSIGN_OR_RETURN(const std::string text, PlainText(value, runtime));
  RETURN_IF_ERROR(runtime.budget.Charge(text.size() / 4));
  return NewText(kMap(text), runtime);
}

Result<Value> TrimFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(std::string text, PlainText(value, runtime));
  return CallMethod(Value::String(&runtime.budget, std::move(text)), "strip", arguments, runtime);
}

Result<Value> CenterFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("center", arguments, {"width"}));
  ASSIGN_OR_RETURN(const int64_t width, bound.Integer(0, 80));
  ASSIGN_OR_RETURN(std::string text, PlainText(value, runtime));
  return CallMethod(Value::String(&runtime.budget, std::move(text)), "center", {.positional = {Value::Int(width)}}, runtime);
}

Result<Value> ReplaceFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("replace", arguments, {"old", "new", "count"}));
  CallArguments texts;
  for (size_t i = 0; i < 2; ++i) {
    ASSIGN_OR_RETURN(const Value argument, bound.Required(i));
    ASSIGN_OR_RETURN(std::string text, ToStr(argument, runtime.budget));
    texts.positional.push_back(Value::String(&runtime.budget, std::move(text)));
  }
  if (!bound.IsNoneOrMissing(2)) texts.positional.push_back(*bound[2]);
  ASSIGN_OR_RETURN(std::string text, ToStr(value, runtime.budget));
  return CallMethod(Value::String(&runtime.budget, std::move(text)), "replace", texts, runtime);
}

Result<Value> FormatFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    return Error(Code::kInvalidArgument, "'format' takes either positional or named arguments");
  }
  ASSIGN_OR_RETURN(std::string text, PlainText(value, runtime));
  Value values;
  if (arguments.named.empty()) {
    ASSIGN_OR_RETURN(values, MakeTuple(runtime.budget, arguments.positional));
  } else {
    DictBuilder builder(&runtime.budget);
    for (const auto& [name, argument] : arguments.named)
      RETURN_IF_ERROR(builder.Set(Value::String(&runtime.budget, name), argument));
    ASSIGN_OR_RETURN(values, builder.Take());
  }
  return FormatPercent(Value::String(&runtime.budget, std::move(text)), values, runtime.budget);
}

Result<Value> StringFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("string", arguments, {}));
  if (value.Is(Kind::kString)) return value;
  ASSIGN_OR_RETURN(std::string text, ToStr(value, runtime.budget));
  return NewText(std::move(text), runtime);
}

Result<Value> SafeFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("safe", arguments, {}));
  ASSIGN_OR_RETURN(std::string text, ToStr(value, runtime.budget));
  return Value::Markup(&runtime.budget, std::move(text));
}

// Also marks the result as safe; what is safe already stays as it is, unless forced.
template <bool kForce>
Result<Value> EscapeFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("escape", arguments, {}));
  if (!kForce && value.Is(Kind::kString) && value.text().markup) return value;
  ASSIGN_OR_RETURN(const std::string text, ToStr(value, runtime.budget));
  RETURN_IF_ERROR(runtime.budget.Allow(text.size() * 5));
  return Value::Markup(&runtime.budget, EscapeHtml(text));
}

Result<Value> IndentFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("indent", arguments, {"width", "first", "blank"}));
  ASSIGN_OR_RETURN(const bool first, bound.Flag(1));
  ASSIGN_OR_RETURN(const bool blank, bound.Flag(2));
  if (!value.Is(Kind::kString)) return TypeError("indent", value);
  ASSIGN_OR_RETURN(const std::string text, PlainText(value, runtime));
  std::string indention;
  if (bound[0] != nullptr && bound[0]->Is(Kind::kString)) {
    indention = bound[0]->str();
  } else {
    ASSIGN_OR_RETURN(const int64_t width, bound.Integer(0, 4));
    if (width > 0) {
      RETURN_IF_ERROR(runtime.budget.Allow(static_cast<uint64_t>(width)));
      indention.assign(static_cast<size_t>(width), ' ');
    }
  }
  RETURN_IF_ERROR(runtime.budget.Allow(text.size() * 16));
  const std::string closed = text + "\n";  // so that a line end at the end of the text counts
  const auto lines = SplitLines(closed, false);
  RETURN_IF_ERROR(runtime.budget.Allow(text.size() + lines.size() * (indention.size() + 1)));
  std::string out = first ? indention : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += indention;
    out += lines[i];
  }
  return NewText(std::move(out), runtime);
}

Result<Value> TruncateFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("truncate", arguments, {"length", "killwords", "end", "leeway"}));
  ASSIGN_OR_RETURN(const int64_t length, bound.Integer(0, 255));
  ASSIGN_OR_RETURN(const bool kill_words, bound.Flag(1));
  ASSIGN_OR_RETURN(const std::string_view end, bound.Text(2, "..."));
  int64_t leeway = 5;
  if (!bound.IsNoneOrMissing(3)) {
    ASSIGN_OR_RETURN(leeway, bound.Integer(3, 5));
  }
  const auto end_length = static_cast<int64_t>(CountCodePoints(end));
  if (length < end_length || leeway < 0) return Error(Code::kInvalidArgument, "truncate: the length or the leeway is too small");
  const auto own = Length(value);  // short values of other kinds pass, too
  if (!own) return TypeError("truncate", value);
  if (*own <= length || *own - length <= leeway) return value;
  if (!value.Is(Kind::kString)) return TypeError("truncate", value);
  ASSIGN_OR_RETURN(const std::string text, PlainText(value, runtime));
  std::string_view kept = std::string_view(text).substr(0, ByteOffset(text, static_cast<size_t>(length - end_length)));
  if (!kill_words) kept = kept.substr(0, kept.rfind(' '));
  return NewText(std::string(kept).append(end), runtime);
}

Result<Value> WordCountFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("wordcount", arguments, {}));
  ASSIGN_OR_RETURN(const std::string text, ToStr(value, runtime.budget));
  RETURN_IF_ERROR(runtime.budget.Charge(text.size() / 4));
  int64_t words = 0;
  bool in_word = false;
  for (size_t i = 0; i < text.size();) {
    const CodePoint point = Utf8Decode(std::string_view(text).substr(i)).value_or(CodePoint{' ', 1});
    const bool part = point.value == '_' || IsAlphabetic(point.value) || IsDecimal(point.value) || IsDigit(point.value) ||
                      IsNumeric(point.value);
    if (part && !in_word) ++words;
    in_word = part;
    i += point.length;
  }
  return Value::Int(words);
}

Result<Value> DefaultFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("default", arguments, {"default_value", "boolean"}));
  ASSIGN_OR_RETURN(const bool any_falsy, bound.Flag(1));
  if (!value.Is(Kind::kUndefined) && !(any_falsy && !Truthy(value))) return value;
  return bound[0] == nullptr ? Value::String(&runtime.budget, "") : *bound[0];
}

Result<Value> AttributeFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("attr", arguments, {"name"}));
  ASSIGN_OR_RETURN(const Value name, bound.Required(0));
  if (!name.Is(Kind::kString)) return TypeError("attr: the name", name);
  return GetOwnAttribute(value, name, runtime);
}

// Bytes that may stand in a URL as they are; others as %XX. In a query, "/" may not and a space becomes "+".
Status AppendUrlQuoted(const Value& value, bool in_query, std::string& out, Runtime& runtime) {
  ASSIGN_OR_RETURN(const std::string text, ToStr(value, runtime.budget));
  RETURN_IF_ERROR(runtime.budget.Allow(text.size() * 3));
  RETURN_IF_ERROR(runtime.budget.Charge(text.size()));
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("_.-~").find(c) != std::string_view::npos;
    if (plain || (c == '/' && !in_query)) {
      out += c;
    } else {
      out += c == ' ' && in_query ? "+" : fmt::format("%{:02X}", byte);
    }
  }
  return Status();
}

// Text, or a mapping or pairs as a query.
Result<Value> UrlEncodeFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("urlencode", arguments, {}));
  std::string out;
  if (value.Is(Kind::kString) || !IsIterable(value)) {
    RETURN_IF_ERROR(AppendUrlQuoted(value, false, out, runtime));
    return NewText(std::move(out), runtime);
  }
  Value pairs = value;
  if (value.Is(Kind::kDict)) {
    ASSIGN_OR_RETURN(pairs, CallMethod(value, "items", {}, runtime));
  }
  ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(pairs, runtime.budget));
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(const std::vector<Value> pair, Iterate(item, runtime.budget));
    if (pair.size() != 2) return Error(Code::kInvalidArgument, "urlencode: expected pairs, found {} values", pair.size());
    if (!out.empty()) out += '&';
    RETURN_IF_ERROR(AppendUrlQuoted(pair[0], true, out, runtime));
    out += '=';
    RETURN_IF_ERROR(AppendUrlQuoted(pair[1], true, out, runtime));
  }
  return NewText(std::move(out), runtime);
}

// --- numbers ---

Result<Value> AbsFilter(const Value& value, const CallArguments& arguments, Runtime&) {
  RETURN_IF_ERROR(Bound::Of("abs", arguments, {}));
  if (value.Is(Kind::kFloat)) return Value::Float(std::fabs(value.as_float()));
  if (value.Is(Kind::kBigInt)) return value;
  if (!value.is_integral()) return TypeError("abs", value);
  return value.as_int() < 0 ? Negate(value) : Value::Int(value.as_int());
}

// The digits of Python's number literals: underscores only between digits. False when they are elsewhere.
bool DropUnderscores(std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const auto alphanumeric = [&](size_t at) {
      return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
    };
    if (i == 0 || !alphanumeric(i - 1) || !alphanumeric(i + 1)) return false;
  }
  text = std::move(out);
  return true;
}

// float(text); nothing when Python would raise ValueError.
std::optional<double> ParseFloat(std::string_view given) {
  std::string text = Lower(Strip(given, std::nullopt, Side::kBoth));
  if (!DropUnderscores(text) || text.empty()) return std::nullopt;
  const bool negative = text.front() == '-';
  const std::string_view body = std::string_view(text).substr(negative || text.front() == '+' ? 1 : 0);
  if (body == "inf" || body == "infinity") return negative ? -HUGE_VAL : HUGE_VAL;
  if (body == "nan") return std::nan("");
  if (body.empty() || (body.front() != '.' && (body.front() < '0' || body.front() > '9'))) return std::nullopt;
  double value = 0;
  const auto result = std::from_chars(body.data(), body.data() + body.size(), value);
  if (result.ptr != body.data() + body.size() || result.ec == std::errc::invalid_argument) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) {
    const size_t exponent = body.find('e');
    const bool small =
        (exponent != std::string_view::npos && body[exponent + 1] == '-') || body.front() == '0' || body.front() == '.';
    value = small ? 0.0 : HUGE_VAL;
  }
  return negative ? -value : value;
}

// int(text, base). Unset: Python would raise ValueError; an error: the number needs more than 64 bits.
Result<std::optional<int64_t>> ParseInteger(std::string_view given, int64_t base) {
  std::string text = Lower(Strip(given, std::nullopt, Side::kBoth));
  const bool negative = !text.empty() && text.front() == '-';
  if (negative || (!text.empty() && text.front() == '+')) text.erase(0, 1);
  constexpr std::pair<std::string_view, int> kPrefixes[] = {{"0x", 16}, {"0o", 8}, {"0b", 2}};
  for (const auto& [prefix, prefix_base] : kPrefixes) {
    if (!text.starts_with(prefix) || (base != 0 && base != prefix_base)) continue;
    text.erase(0, 2);
    if (text.starts_with('_')) text.erase(0, 1);
    base = prefix_base;
  }
  if (base == 0) {
    base = 10;
    if (text.size() > 1 && text.front() == '0' && text.find_first_not_of("0_") != std::string::npos)
      return std::optional<int64_t>();
  }
  if (text.empty() || !DropUnderscores(text) || text.front() == '-' || text.front() == '+') return std::optional<int64_t>();
  const std::string digits = (negative ? "-" : "") + text;
  int64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value, static_cast<int>(base));
  if (result.ptr != digits.data() + digits.size() || result.ec == std::errc::invalid_argument) return std::optional<int64_t>();
  if (result.ec != std::errc()) return Error(Code::kUnsupported, "int: the number does not fit 64 bits");
  return std::optional<int64_t>(value);
}

Result<Value> Truncated(double value) {
  if (!std::isfinite(value)) return Error(Code::kInvalidArgument, "int: {} is no integer", value);
  if (!(std::fabs(value) < 0x1p63)) return Error(Code::kUnsupported, "int: the number does not fit 64 bits");
  return Value::Int(static_cast<int64_t>(value));
}

Result<Value> IntFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("int", arguments, {"default", "base"}));
  ASSIGN_OR_RETURN(const int64_t base, bound.Integer(1, 10));
  const Value otherwise = bound[0] == nullptr ? Value::Int(0) : *bound[0];
  if (value.Is(Kind::kUndefined)) return UndefinedError(value);
  if (value.is_integral()) return Value::Int(value.as_int());
  if (value.Is(Kind::kBigInt)) return value;
  if (value.Is(Kind::kFloat)) return std::isnan(value.as_float()) ? otherwise : Truncated(value.as_float());
  if (!value.Is(Kind::kString)) return otherwise;
  if (!value.text().ascii()) return Error(Code::kUnsupported, "int: digits beyond ASCII are not supported");
  RETURN_IF_ERROR(runtime.budget.Charge(value.str().size() / 2));
  if (base == 0 || (base >= 2 && base <= 36)) {
    ASSIGN_OR_RETURN(const std::optional<int64_t> integer, ParseInteger(value.str(), base));
    if (integer) return Value::Int(*integer);
  }
  const auto number = ParseFloat(value.str());
  return number && std::isfinite(*number) ? Truncated(*number) : otherwise;
}

Result<Value> FloatFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("float", arguments, {"default"}));
  const Value otherwise = bound[0] == nullptr ? Value::Float(0) : *bound[0];
  if (value.Is(Kind::kUndefined)) return UndefinedError(value);
  if (value.is_number()) return Value::Float(value.ToDouble());
  if (!value.Is(Kind::kString)) return otherwise;
  if (!value.text().ascii()) return Error(Code::kUnsupported, "float: digits beyond ASCII are not supported");
  RETURN_IF_ERROR(runtime.budget.Charge(value.str().size() / 4));
  const auto number = ParseFloat(value.str());
  return number ? Value::Float(*number) : otherwise;
}

// round(value, precision): half to even, on the exact binary value.
Result<Value> RoundCommon(const Value& value, int64_t precision) {
  if (value.is_integral() && precision >= 0) return Value::Int(value.as_int());
  if (!value.Is(Kind::kFloat) || precision < 0) return Error(Code::kUnsupported, "round: a negative precision is not supported");
  if (!std::isfinite(value.as_float()) || precision > 300) return value;
  char buffer[1024];
  const int length = std::snprintf(buffer, sizeof(buffer), "%.*f", static_cast<int>(precision), value.as_float());
  double rounded = 0;
  std::from_chars(buffer, buffer + length, rounded);
  return Value::Float(rounded);
}

Result<Value> RoundFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("round", arguments, {"precision", "method"}));
  RETURN_IF_ERROR(runtime.budget.Charge(100));  // of the digits of large numbers
  ASSIGN_OR_RETURN(const int64_t precision, bound.Integer(0, 0));
  ASSIGN_OR_RETURN(const std::string_view method, bound.Text(1, "common"));
  if (!value.is_number() || value.Is(Kind::kBigInt)) return TypeError("round", value);
  if (method == "common") return RoundCommon(value, precision);
  if (method != "ceil" && method != "floor") return Error(Code::kInvalidArgument, "round: method must be common, ceil or floor");
  ASSIGN_OR_RETURN(const Value scale, Arithmetic(Operator::kPower, Value::Int(10), Value::Int(precision), runtime.budget));
  ASSIGN_OR_RETURN(const Value scaled, Arithmetic(Operator::kMultiply, value, scale, runtime.budget));
  const double whole = method == "ceil" ? std::ceil(scaled.ToDouble()) : std::floor(scaled.ToDouble());
  ASSIGN_OR_RETURN(const Value integer, scaled.is_integral() ? Result<Value>(scaled) : Truncated(whole));
  return Arithmetic(Operator::kDivide, integer, scale, runtime.budget);
}

// --- tojson ---

Result<JsonStyle> StyleOf(const Bound& bound) {
  JsonStyle style;
  ASSIGN_OR_RETURN(style.ensure_ascii, bound.Flag(0));
  ASSIGN_OR_RETURN(style.sort_keys, bound.Flag(3));
  if (!bound.IsNoneOrMissing(1)) {
    style.indented = true;
    style.item_separator = ",";
    if (bound[1]->Is(Kind::kString)) {
      style.indent = bound[1]->str();
    } else {
      ASSIGN_OR_RETURN(const int64_t width, bound.Integer(1, 0));
      if (width > 1000) return Error(Code::kInvalidArgument, "tojson: an indent of more than 1000");
      if (width > 0) style.indent.assign(static_cast<size_t>(width), ' ');
    }
  }
  if (bound.IsNoneOrMissing(2)) return style;
  const Value& separators = *bound[2];
  if (!separators.is_array() || separators.items().size() != 2 || !separators.items()[0].Is(Kind::kString) ||
      !separators.items()[1].Is(Kind::kString)) {
    return Error(Code::kInvalidArgument, "tojson: separators must be two strings");
  }
  style.item_separator = separators.items()[0].str();
  style.key_separator = separators.items()[1].str();
  return style;
}

Result<Value> ToJsonFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  ASSIGN_OR_RETURN(const JsonStyle style, StyleOf(bound));
  std::string out;
  RETURN_IF_ERROR(AppendJson(value, style, out, runtime.budget));
  return NewText(std::move(out), runtime);
}

constexpr FilterEntry kFilters[] = {
    {"abs", AbsFilter},
    {"attr", AttributeFilter},
    {"capitalize", MapFilter<Capitalize>},
    {"center", CenterFilter},
    {"d", DefaultFilter},
    {"default", DefaultFilter},
    {"e", EscapeFilter<false>},
    {"escape", EscapeFilter<false>},
    {"float", FloatFilter},
    {"forceescape", EscapeFilter<true>},
    {"format", FormatFilter},
    {"indent", IndentFilter},
    {"int", IntFilter},
    {"lower", MapFilter<Lower>},
    {"replace", ReplaceFilter},
    {"round", RoundFilter},
    {"safe", SafeFilter},
    {"string", StringFilter},
    {"title", MapFilter<TitleFilter>},
    {"tojson", ToJsonFilter},
    {"trim", TrimFilter},
    {"truncate", TruncateFilter},
    {"upper", MapFilter<Upper>},
    {"urlencode", UrlEncodeFilter},
    {"wordcount", WordCountFilter},
};

}  // namespace

std::span<const FilterEntry> TextFilters() { return kFilters; }

}  // namespace millrace::jinja
