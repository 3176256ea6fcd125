// Values as text: Python's str() and repr(), json.dumps, and the two ways of formatting, "%" and str.format.
//
// All of it charges the budget for what it writes; recursion is bounded by the depth of values. Errors as in ops.h;
// kUnsupported for what Python would print with a memory address.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "jinja/value.h"

namespace millrace::jinja {

Status AppendStr(const Value& value, std::string& out, Budget& budget);
Status AppendRepr(const Value& value, std::string& out, Budget& budget);
Result<std::string> ToStr(const Value& value, Budget& budget);

// 'it''s' with the quotes and escapes of Python.
void AppendQuoted(std::string_view text, std::string& out);
// repr(float): shortest digits, exponent from 1e16 on and below 1e-4.
void AppendFloat(double value, std::string& out);

struct JsonStyle {
  bool indented = false;
  std::string indent;  // one level
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool ensure_ascii = false;
  bool sort_keys = false;
};
Status AppendJson(const Value& value, const JsonStyle& style, std::string& out, Budget& budget);

// format % values; `values` is a tuple, a mapping for %(name)s, or a single value.
Result<Value> FormatPercent(const Value& format, const Value& values, Budget& budget);

// format.format(*positional, **named).
using NamedValues = std::vector<std::pair<std::string, Value>>;
Result<Value> FormatBraces(const Value& format, const std::vector<Value>& positional, const NamedValues& named, Budget& budget);

}  // namespace millrace::jinja
