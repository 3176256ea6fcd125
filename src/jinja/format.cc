#include "jinja/format.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/unicode_ranges.h"
#include "base/utf8.h"
#include "jinja/ops.h"

namespace millrace::jinja {

void AppendFloat(double value, std::string& out) {
  if (!std::isfinite(value)) {
    out += std::isnan(value) ? "nan" : value < 0 ? "-inf" : "inf";
    return;
  }
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  const size_t exponent_at = text.find('e');
  int exponent = 0;
  const std::string_view exponent_text = text.substr(exponent_at + (text[exponent_at + 1] == '+' ? 2 : 1));
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  if (exponent < -4 || exponent >= 16) {
    out += text;
    return;
  }
  std::string digits;
  for (const char c : text.substr(0, exponent_at)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  if (text.front() == '-') out += '-';
  if (exponent < 0) {
    out.append("0.").append(static_cast<size_t>(-exponent - 1), '0').append(digits);
    return;
  }
  const size_t whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() < whole) digits.append(whole - digits.size(), '0');
  out.append(digits, 0, whole).append(".").append(digits.size() > whole ? digits.substr(whole) : "0");
}

namespace {

void AppendEscape(char32_t code, std::string& out) {
  switch (code) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  const auto number = static_cast<uint32_t>(code);
  out += number < 0x100     ? fmt::format("\\x{:02x}", number)
         : number < 0x10000 ? fmt::format("\\u{:04x}", number)
                            : fmt::format("\\U{:08x}", number);
}

}  // namespace

void AppendQuoted(std::string_view text, std::string& out) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  out += quote;
  while (!text.empty()) {
    const CodePoint point = Utf8Decode(text).value_or(CodePoint{0xFFFD, 1});
    if (point.value == static_cast<char32_t>(quote) || point.value == '\\') {
      out += '\\';
      out += static_cast<char>(point.value);
    } else if (IsPrintable(point.value)) {
      out += text.substr(0, point.length);
    } else {
      AppendEscape(point.value, out);
    }
    text.remove_prefix(point.length);
  }
  out += quote;
}

namespace {

class ReprWriter {
 public:
  ReprWriter(std::string& out, Budget& budget) : out_(out), budget_(budget) {}

  // `levels` counts namespaces, which can contain themselves; everything else is bounded by its depth.
  Status Append(const Value& value, uint32_t levels) {
    RETURN_IF_ERROR(budget_.Charge(1));
    switch (value.kind()) {
      case Kind::kUndefined:
        out_ += "Undefined";
        return Status();
      case Kind::kNone:
        out_ += "None";
        return Status();
      case Kind::kBool:
        out_ += value.as_bool() ? "True" : "False";
        return Status();
      case Kind::kInt:
        out_ += fmt::format("{}", value.as_int());
        return Status();
      case Kind::kBigInt:
        out_ += fmt::format("{}", value.as_big());
        return Status();
      case Kind::kFloat:
        AppendFloat(value.as_float(), out_);
        return Status();
      case Kind::kString:
        return AppendText(value.text());
      case Kind::kList:
        return AppendItems(value.items(), {"[", "]"}, levels);
      case Kind::kTuple:
        return AppendItems(value.items(), {"(", value.items().size() == 1 ? ",)" : ")"}, levels);
      case Kind::kView:
        return AppendItems(value.items(), {value.As<List>().view_name + "([", "])"}, levels);
      case Kind::kDict:
        return AppendDict(value.dict(), levels);
      case Kind::kRange:
        return AppendRange(value.range());
      case Kind::kNamespace:
        return AppendNamespace(value.As<Namespace>(), levels);
      default:
        return Error(Code::kUnsupported, "a value of type {} cannot be shown as text", value.type_name());
    }
  }

 private:
  Status AppendText(const Text& text) {
    RETURN_IF_ERROR(budget_.ChargeBytes(text.data.size() * 4));
    RETURN_IF_ERROR(budget_.Fits(out_.size() + text.data.size() * 4));
    if (text.markup) out_ += "Markup(";
    AppendQuoted(text.data, out_);
    if (text.markup) out_ += ")";
    return Status();
  }

  Status AppendItems(const std::vector<Value>& items, const std::pair<std::string, std::string>& brackets, uint32_t levels) {
    out_ += brackets.first;
    bool first = true;
    for (const Value& item : items) {
      if (!std::exchange(first, false)) out_ += ", ";
      RETURN_IF_ERROR(budget_.Fits(out_.size()));
      RETURN_IF_ERROR(Append(item, levels));
    }
    out_ += brackets.second;
    return Status();
  }

  Status AppendDict(const Dict& dict, uint32_t levels) {
    out_ += "{";
    bool first = true;
    for (const auto& [key, value] : dict.entries) {
      if (!std::exchange(first, false)) out_ += ", ";
      RETURN_IF_ERROR(Append(key, levels));
      out_ += ": ";
      RETURN_IF_ERROR(Append(value, levels));
    }
    out_ += "}";
    return Status();
  }

  Status AppendRange(const Range& range) {
    out_ += fmt::format("range({}, {}", range.start, range.stop);
    out_ += range.step == 1 ? ")" : fmt::format(", {})", range.step);
    return Status();
  }

  Status AppendNamespace(const Namespace& space, uint32_t levels) {
    if (levels > 0) return Error(Code::kUnsupported, "a namespace inside a namespace cannot be shown as text");
    out_ += "<Namespace {";
    bool first = true;
    for (const auto& [name, value] : space.members) {
      if (!std::exchange(first, false)) out_ += ", ";
      AppendQuoted(name, out_);
      out_ += ": ";
      RETURN_IF_ERROR(Append(value, levels + 1));
    }
    out_ += "}>";
    return Status();
  }

  std::string& out_;
  Budget& budget_;
};

}  // namespace

Status AppendRepr(const Value& value, std::string& out, Budget& budget) { return ReprWriter(out, budget).Append(value, 0); }

Status AppendStr(const Value& value, std::string& out, Budget& budget) {
  if (value.Is(Kind::kUndefined)) return Status();
  if (!value.Is(Kind::kString)) return AppendRepr(value, out, budget);
  RETURN_IF_ERROR(budget.ChargeBytes(value.str().size()));
  RETURN_IF_ERROR(budget.Fits(out.size() + value.str().size()));
  out += value.str();
  return Status();
}

Result<std::string> ToStr(const Value& value, Budget& budget) {
  std::string out;
  RETURN_IF_ERROR(AppendStr(value, out, budget));
  return out;
}

namespace {

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, std::string& out, Budget& budget) : style_(style), out_(out), budget_(budget) {}

  Status Append(const Value& value, size_t level) {
    RETURN_IF_ERROR(budget_.Charge(1));
    switch (value.kind()) {
      case Kind::kNone:
        out_ += "null";
        return Status();
      case Kind::kBool:
        out_ += value.as_bool() ? "true" : "false";
        return Status();
      case Kind::kInt:
        out_ += fmt::format("{}", value.as_int());
        return Status();
      case Kind::kBigInt:
        out_ += fmt::format("{}", value.as_big());
        return Status();
      case Kind::kFloat:
        AppendNumber(value.as_float());
        return Status();
      case Kind::kString:
        return AppendText(value.str());
      case Kind::kList:
      case Kind::kTuple:
        return AppendArray(value.items(), level);
      case Kind::kDict:
        return AppendObject(value.dict(), level);
      default:
        break;
    }
    return Error(Code::kInvalidArgument, "tojson: a value of type {} has no JSON form", value.type_name());
  }

 private:
  void AppendNumber(double value) {
    if (std::isfinite(value)) return AppendFloat(value, out_);
    out_ += std::isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity";
  }

  Status AppendText(std::string_view text) {
    RETURN_IF_ERROR(budget_.ChargeBytes(text.size() * 4));
    RETURN_IF_ERROR(budget_.Fits(out_.size() + text.size() * 2));
    out_ += '"';
    while (!text.empty()) {
      const CodePoint point = Utf8Decode(text).value_or(CodePoint{0xFFFD, 1});
      AppendCharacter(point.value, text.substr(0, point.length));
      text.remove_prefix(point.length);
    }
    out_ += '"';
    return Status();
  }

  void AppendCharacter(char32_t code, std::string_view bytes) {
    switch (code) {
      case '"':
        out_ += "\\\"";
        return;
      case '\\':
        out_ += "\\\\";
        return;
      case '\n':
        out_ += "\\n";
        return;
      case '\r':
        out_ += "\\r";
        return;
      case '\t':
        out_ += "\\t";
        return;
      case '\f':
        out_ += "\\f";
        return;
      case '\b':
        out_ += "\\b";
        return;
      default:
        break;
    }
    const auto number = static_cast<uint32_t>(code);
    if (number >= 0x20 && (number < 0x7F || !style_.ensure_ascii)) {
      out_ += bytes;
    } else if (number == 0x7F) {
      out_ += bytes;
    } else if (number < 0x10000) {
      out_ += fmt::format("\\u{:04x}", number);
    } else {
      const uint32_t rest = number - 0x10000;
      out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
    }
  }

  Status NewLine(size_t level) {
    if (!style_.indented) return Status();
    RETURN_IF_ERROR(budget_.ChargeBytes(level * style_.indent.size()));
    RETURN_IF_ERROR(budget_.Fits(out_.size() + level * style_.indent.size()));
    out_ += '\n';
    for (size_t i = 0; i < level; ++i) out_ += style_.indent;
    return Status();
  }

  Status Separate(bool first, size_t level) {
    if (!first) {
      RETURN_IF_ERROR(budget_.ChargeBytes(style_.item_separator.size()));
      RETURN_IF_ERROR(budget_.Fits(out_.size() + style_.item_separator.size()));
      out_ += style_.item_separator;
    }
    return NewLine(level);
  }

  Status AppendArray(const std::vector<Value>& items, size_t level) {
    out_ += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      RETURN_IF_ERROR(Separate(i == 0, level + 1));
      RETURN_IF_ERROR(Append(items[i], level + 1));
    }
    if (!items.empty()) RETURN_IF_ERROR(NewLine(level));
    out_ += ']';
    return Status();
  }

  Status AppendObject(const Dict& dict, size_t level) {
    std::vector<std::pair<Value, Value>> order;
    order.reserve(dict.entries.size());
    for (size_t i = 0; i < dict.entries.size(); ++i) {
      order.emplace_back(dict.entries[i].first, Value::Int(static_cast<int64_t>(i)));
    }
    if (style_.sort_keys) RETURN_IF_ERROR(Sort(order, false, budget_));
    out_ += '{';
    for (size_t i = 0; i < order.size(); ++i) {
      const auto& [key, value] = dict.entries[static_cast<size_t>(order[i].second.as_int())];
      RETURN_IF_ERROR(Separate(i == 0, level + 1));
      RETURN_IF_ERROR(AppendKey(key));
      RETURN_IF_ERROR(budget_.ChargeBytes(style_.key_separator.size()));
      RETURN_IF_ERROR(budget_.Fits(out_.size() + style_.key_separator.size()));
      out_ += style_.key_separator;
      RETURN_IF_ERROR(Append(value, level + 1));
    }
    if (!order.empty()) RETURN_IF_ERROR(NewLine(level));
    out_ += '}';
    return Status();
  }

  Status AppendKey(const Value& key) {
    if (key.Is(Kind::kString)) return AppendText(key.str());
    if (!key.is_number() && !key.Is(Kind::kNone)) {
      return Error(Code::kInvalidArgument, "tojson: a key of type {} has no JSON form", key.type_name());
    }
    out_ += '"';
    RETURN_IF_ERROR(Append(key, 0));
    out_ += '"';
    return Status();
  }

  const JsonStyle& style_;
  std::string& out_;
  Budget& budget_;
};

}  // namespace

Status AppendJson(const Value& value, const JsonStyle& style, std::string& out, Budget& budget) {
  return JsonWriter(style, out, budget).Append(value, 0);
}

}  // namespace millrace::jinja
