// Compiled with exceptions: Boost.JSON's parser may throw on allocation failure, which ends the process as everywhere else.
#include "base/json.h"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/utf8.h"

namespace millrace {

// Handler of boost::json::basic_parser: builds the tree with an explicit stack of open containers, so depth costs heap, not
// stack.
class JsonBuilder {
 public:
  static constexpr size_t max_object_size = std::numeric_limits<size_t>::max();
  static constexpr size_t max_array_size = std::numeric_limits<size_t>::max();
  static constexpr size_t max_key_size = std::numeric_limits<size_t>::max();
  static constexpr size_t max_string_size = std::numeric_limits<size_t>::max();

  explicit JsonBuilder(const JsonLimits& limits) : limits_(limits) {}

  using Error = boost::json::error_code;

  bool on_document_begin(Error&) { return true; }
  bool on_document_end(Error&) { return true; }
  bool on_object_begin(Error& ec) { return Open(Json(Json::Object{}), ec); }
  bool on_array_begin(Error& ec) { return Open(Json(Json::Array{}), ec); }
  bool on_array_end(size_t, Error& ec) { return Close(ec); }
  bool on_object_end(size_t, Error& ec) {
    if (limits_.reject_duplicate_keys && !KeysAreUnique(stack_.back().members())) {
      return Stop("an object has two members of the same name", ec);
    }
    return Close(ec);
  }
  bool on_string_part(std::string_view part, size_t, Error&) { return Append(part); }
  bool on_string(std::string_view part, size_t, Error& ec) {
    text_.append(part);
    return Add(Json(std::exchange(text_, {})), ec);
  }
  bool on_key_part(std::string_view part, size_t, Error&) { return Append(part); }
  bool on_key(std::string_view part, size_t, Error& ec) {
    text_.append(part);
    keys_.push_back(std::exchange(text_, {}));
    return Count(ec);
  }
  bool on_number_part(std::string_view, Error&) { return true; }
  bool on_int64(int64_t value, std::string_view, Error& ec) { return Add(Json(value), ec); }
  bool on_uint64(uint64_t value, std::string_view, Error& ec) { return Add(Json(value), ec); }
  bool on_double(double value, std::string_view text, Error& ec) {
    // The parser's own value may be off in the last digit. The text comes in one part, because the input does.
    double exact = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), exact).ec == std::errc()) value = exact;
    if (!std::isfinite(value)) return Stop("a number is too large", ec);
    return Add(Json(value), ec);
  }
  bool on_bool(bool value, Error& ec) { return Add(Json(value), ec); }
  bool on_null(Error& ec) { return Add(Json(), ec); }
  bool on_comment_part(std::string_view, Error&) { return true; }
  bool on_comment(std::string_view, Error&) { return true; }

  Json Take() { return std::move(root_); }
  const char* reason() const { return reason_; }

 private:
  bool Append(std::string_view part) {
    text_.append(part);
    return true;
  }
  bool Stop(const char* reason, Error& ec) {
    reason_ = reason;
    ec = boost::json::error::exception;  // any error: the message comes from reason_
    return false;
  }
  bool Count(Error& ec) { return ++count_ <= limits_.max_values || Stop("too many values", ec); }
  bool Open(Json container, Error& ec) {
    if (!Count(ec)) return false;
    stack_.push_back(std::move(container));
    return true;
  }
  bool Close(Error& ec) {
    Json done = std::move(stack_.back());
    stack_.pop_back();
    --count_;  // counted when it was opened
    return Add(std::move(done), ec);
  }
  bool Add(Json value, Error& ec) {
    if (!Count(ec)) return false;
    if (stack_.empty()) {
      root_ = std::move(value);
    } else if (stack_.back().is_array()) {
      stack_.back().items().push_back(std::move(value));
    } else {
      stack_.back().members().emplace_back(std::move(keys_.back()), std::move(value));
      keys_.pop_back();
    }
    return true;
  }
  static bool KeysAreUnique(const Json::Object& members) {
    if (members.size() < 2) return true;
    std::vector<std::string_view> keys;
    keys.reserve(members.size());
    for (const auto& member : members) keys.push_back(member.first);
    std::sort(keys.begin(), keys.end());
    return std::adjacent_find(keys.begin(), keys.end()) == keys.end();
  }

  const JsonLimits limits_;
  std::vector<Json> stack_;        // open containers
  std::vector<std::string> keys_;  // names waiting for their value, innermost last
  std::string text_;
  Json root_;
  size_t count_ = 0;
  const char* reason_ = nullptr;
};

Result<Json> Json::Parse(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return Error(Code::kResourceExhausted, "JSON: {} bytes, at most {} are read", text.size(), limits.max_bytes);
  }
  boost::json::parse_options options;
  options.max_depth = limits.max_depth;
  boost::json::basic_parser<JsonBuilder> parser(options, limits);
  boost::json::error_code ec;
  const size_t read = parser.write_some(false, text.data(), text.size(), ec);
  if (!ec && read < text.size() && text.find_first_not_of(" \t\r\n", read) != std::string_view::npos) {
    return Error(Code::kInvalidArgument, "JSON: unexpected text after the value, at byte {}", read);
  }
  if (!ec && !parser.done()) ec = boost::json::error::incomplete;
  if (ec) {
    const char* reason = parser.handler().reason();
    return Error(Code::kInvalidArgument, "JSON: {}, at byte {}", reason != nullptr ? std::string(reason) : ec.message(), read);
  }
  return parser.handler().Take();
}

std::string_view Json::type_name() const {
  static constexpr std::array<std::string_view, 8> kNames = {"null",   "boolean", "integer", "integer",
                                                             "number", "string",  "array",   "object"};
  return kNames[value_.index()];
}

namespace {
template <typename T, typename V>
auto& Get(V& value, const char* expected) {
  auto* held = std::get_if<T>(&value);
  CHECK(held != nullptr, expected);
  return *held;
}
}  // namespace

bool Json::as_bool() const { return Get<bool>(value_, "JSON value is not a boolean"); }
const std::string& Json::as_string() const { return Get<std::string>(value_, "JSON value is not a string"); }
const Json::Array& Json::items() const { return Get<Array>(value_, "JSON value is not an array"); }
Json::Array& Json::items() { return Get<Array>(value_, "JSON value is not an array"); }
const Json::Object& Json::members() const { return Get<Object>(value_, "JSON value is not an object"); }
Json::Object& Json::members() { return Get<Object>(value_, "JSON value is not an object"); }

double Json::as_double() const {
  if (const auto* i = std::get_if<int64_t>(&value_)) return static_cast<double>(*i);
  if (const auto* u = std::get_if<uint64_t>(&value_)) return static_cast<double>(*u);
  return Get<double>(value_, "JSON value is not a number");
}

Result<int64_t> Json::as_int64() const {
  if (const auto* i = std::get_if<int64_t>(&value_)) return *i;
  const double value = is_number() ? as_double() : std::nan("");
  // 2^63 is exact as a double; every double below it in magnitude converts without overflow.
  if (!(value >= -0x1p63 && value < 0x1p63) || value != std::trunc(value)) {
    return Error(Code::kInvalidArgument, "expected an integer within 64 bits, found {}",
                 is_number() ? fmt::format("{}", value) : std::string(type_name()));
  }
  return static_cast<int64_t>(value);
}

Result<uint64_t> Json::as_uint64() const {
  if (const auto* u = std::get_if<uint64_t>(&value_)) return *u;
  ASSIGN_OR_RETURN(const int64_t value, as_int64());
  if (value < 0) return Error(Code::kInvalidArgument, "expected an integer of at least 0, found {}", value);
  return static_cast<uint64_t>(value);
}

const Json* Json::Find(std::string_view key) const {
  const auto* object = std::get_if<Object>(&value_);
  if (object == nullptr) return nullptr;
  for (const auto& member : *object) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

void Json::Set(std::string key, Json value) {
  if (is_null()) value_ = Object{};
  for (auto& member : members()) {
    if (member.first == key) {
      member.second = std::move(value);
      return;
    }
  }
  members().emplace_back(std::move(key), std::move(value));
}

void AppendJsonEscaped(std::string_view text, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  size_t i = 0;
  while (i < text.size()) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x80) {
      const size_t length = Utf8SequenceLength(text.substr(i));
      if (length == 0) {
        out += "\xEF\xBF\xBD";
        ++i;
      } else {
        out.append(text.substr(i, length));
        i += length;
      }
      continue;
    }
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (c < 0x20 || c == 0x7F) {
          out += "\\u00";
          out += kHex[c >> 4];
          out += kHex[c & 15];
        } else {
          out += static_cast<char>(c);
        }
    }
    ++i;
  }
}

void AppendJsonString(std::string_view text, std::string& out) {
  out += '"';
  AppendJsonEscaped(text, out);
  out += '"';
}

void AppendJsonNumber(double value, std::string& out) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  out.append(buffer.data(), end);
}

namespace {

// One open container of the iterative writer.
struct Frame {
  const Json* container;
  size_t next;
};

void AppendScalar(const Json& value, std::string& out) {
  if (value.is_null()) {
    out += "null";
  } else if (value.is_bool()) {
    out += value.as_bool() ? "true" : "false";
  } else if (value.is_string()) {
    AppendJsonString(value.as_string(), out);
  }
}

void NewLine(bool indented, size_t depth, std::string& out) {
  if (!indented) return;
  out += '\n';
  out.append(2 * depth, ' ');
}

}  // namespace

static void WriteTree(const Json& root, bool indented, std::string& out, void (*append_number)(const Json&, std::string&)) {
  std::vector<Frame> stack;
  const Json* value = &root;
  while (true) {
    if (value->is_array() || value->is_object()) {
      out += value->is_array() ? '[' : '{';
      stack.push_back({value, 0});
    } else if (value->is_number()) {
      append_number(*value, out);
    } else {
      AppendScalar(*value, out);
    }
    while (!stack.empty()) {
      Frame& top = stack.back();
      const bool array = top.container->is_array();
      const size_t size = array ? top.container->items().size() : top.container->members().size();
      if (top.next < size) break;
      stack.pop_back();
      if (size > 0) NewLine(indented, stack.size(), out);
      out += array ? ']' : '}';
    }
    if (stack.empty()) return;
    Frame& top = stack.back();
    if (top.next > 0) out += ',';
    NewLine(indented, stack.size(), out);
    if (top.container->is_array()) {
      value = &top.container->items()[top.next++];
    } else {
      const auto& member = top.container->members()[top.next++];
      AppendJsonString(member.first, out);
      out += indented ? ": " : ":";
      value = &member.second;
    }
  }
}

namespace {
void AppendNumber(const Json& value, std::string& out) {
  if (!value.is_integer()) return AppendJsonNumber(value.as_double(), out);
  const auto exact = value.as_int64();
  out += exact.ok() ? fmt::format("{}", *exact) : fmt::format("{}", value.as_uint64().value());
}
}  // namespace

std::string Json::Write() const {
  std::string out;
  WriteTree(*this, false, out, AppendNumber);
  return out;
}

std::string Json::WriteIndented() const {
  std::string out;
  WriteTree(*this, true, out, AppendNumber);
  return out;
}

}  // namespace millrace
