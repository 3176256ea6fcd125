// JSON as a small value tree, parsed under limits and written by appending. The parser underneath is Boost.JSON's, named only in
// json.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace millrace {

struct JsonLimits {
  size_t max_bytes = size_t{8} << 20;
  size_t max_values = 1'000'000;  // values and keys together
  size_t max_depth = 64;
  bool reject_duplicate_keys = true;
};

// An immutable-by-habit tree. Objects keep the order of their members. Numbers keep integers exact: a literal without fraction or
// exponent that fits int64 is an int64 (uint64 above that range), everything else a double.
class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;  // null
  Json(bool value) : value_(value) {}
  Json(int value) : value_(int64_t{value}) {}
  Json(int64_t value) : value_(value) {}
  Json(uint64_t value) : value_(value) {}
  Json(double value) : value_(value) {}
  Json(const char* text) : value_(std::string(text)) {}
  Json(std::string_view text) : value_(std::string(text)) {}
  Json(std::string text) : value_(std::move(text)) {}
  Json(Array items) : value_(std::move(items)) {}
  Json(Object members) : value_(std::move(members)) {}

  // Strict RFC 8259: UTF-8 checked, no comments, no trailing commas, nothing after the value. Errors name the byte offset.
  static Result<Json> Parse(std::string_view text, const JsonLimits& limits = {});

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(value_) || std::holds_alternative<uint64_t>(value_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }
  std::string_view type_name() const;  // "null", "boolean", "integer", "number", "string", "array", "object"

  // Each demands that the value is of that kind (CHECK): ask first.
  bool as_bool() const;
  double as_double() const;            // any number
  Result<int64_t> as_int64() const;    // integers in range, and doubles without fraction in range
  Result<uint64_t> as_uint64() const;  // the same, not negative
  const std::string& as_string() const;
  const Array& items() const;
  Array& items();
  const Object& members() const;
  Object& members();

  const Json* Find(std::string_view key) const;  // member of an object, else null pointer; also on non-objects
  void Set(std::string key, Json value);         // adds or replaces; turns null into an object first

  std::string Write() const;          // compact, keys in order
  std::string WriteIndented() const;  // two spaces, for people

  bool operator==(const Json&) const = default;

 private:
  friend class JsonBuilder;
  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Array, Object> value_;
};

// Appends `text` as a JSON string with quotes. Invalid UTF-8 becomes U+FFFD; control characters are escaped.
void AppendJsonString(std::string_view text, std::string& out);
// The same without quotes: what is spliced between two halves of a pre-rendered frame.
void AppendJsonEscaped(std::string_view text, std::string& out);
// Shortest form that reads back to the same double; NaN and infinities, which JSON lacks, become null.
void AppendJsonNumber(double value, std::string& out);

}  // namespace millrace
