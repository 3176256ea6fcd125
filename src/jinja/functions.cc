// The global functions of runtime.h.
#include <algorithm>
#include <ctime>

#include "jinja/ops.h"
#include "jinja/runtime.h"

namespace millrace::jinja {
namespace {

constexpr uint64_t kMaxRange = 100'000;  // the limit of Jinja's sandbox

Result<Value> RangeFunction(const CallArguments& arguments, Runtime& runtime) {
  const auto& given = arguments.positional;
  if (!arguments.named.empty() || given.empty() || given.size() > 3) {
    return Error(Code::kInvalidArgument, "'range' takes 1 to 3 integers");
  }
  int64_t bounds[3] = {0, 0, 1};
  for (size_t i = 0; i < given.size(); ++i) {
    ASSIGN_OR_RETURN(bounds[given.size() == 1 ? 1 : i], ToIndex(given[i], "'range'"));
  }
  const auto [start, stop, step] = bounds;
  if (step == 0) return Error(Code::kInvalidArgument, "the step of 'range' must not be zero");
  const bool up = step > 0;
  uint64_t count = 0;
  if (up ? start < stop : start > stop) {
    const uint64_t distance = up ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                 : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
    const uint64_t stride = up ? static_cast<uint64_t>(step) : uint64_t{0} - static_cast<uint64_t>(step);
    count = (distance - 1) / stride + 1;
  }
  if (count > kMaxRange) return Error(Code::kInvalidArgument, "a range of {} items: at most {} are allowed", count, kMaxRange);
  return Value::FromObject(Kind::kRange,
                           std::make_shared<Range>(&runtime.budget, start, stop, step, static_cast<int64_t>(count)));
}

// The entries that dict(...) and namespace(...) make of a mapping or of pairs, and of named arguments.
Result<Value> CollectDict(std::string_view name, const CallArguments& arguments, Runtime& runtime) {
  if (arguments.positional.size() > 1) return Error(Code::kInvalidArgument, "'{}' takes one mapping and named values", name);
  DictBuilder builder(&runtime.budget);
  if (!arguments.positional.empty() && arguments.positional[0].Is(Kind::kDict)) {
    for (const auto& [key, value] : arguments.positional[0].dict().entries) RETURN_IF_ERROR(builder.Set(key, value));
  } else if (!arguments.positional.empty()) {
    ASSIGN_OR_RETURN(const std::vector<Value> pairs, Iterate(arguments.positional[0], runtime.budget));
    for (const Value& pair : pairs) {
      ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(pair, runtime.budget));
      if (items.size() != 2) return Error(Code::kInvalidArgument, "'{}': expected pairs, found {} items", name, items.size());
      RETURN_IF_ERROR(builder.Set(items[0], items[1]));
    }
  }
  for (const auto& [key, value] : arguments.named) RETURN_IF_ERROR(builder.Set(Value::String(&runtime.budget, key), value));
  return builder.Take();
}

Result<Value> DictFunction(const CallArguments& arguments, Runtime& runtime) { return CollectDict("dict", arguments, runtime); }

Result<Value> NamespaceFunction(const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Value dict, CollectDict("namespace", arguments, runtime));
  RETURN_IF_ERROR(runtime.budget.Charge(8));
  auto space = std::make_unique<Namespace>(&runtime.budget);
  for (const auto& [key, value] : dict.dict().entries) {
    if (!key.Is(Kind::kString)) {
      return Error(Code::kUnsupported, "a namespace needs names, found a key of type {}", key.type_name());
    }
    RETURN_IF_ERROR(CheckMemberName(key.str()));
    space->members.emplace_back(key.str(), value);
  }
  Value out = Value::FromUnowned(Kind::kNamespace, space.get());
  runtime.namespaces.push_back(std::move(space));
  return out;
}

Result<Value> CyclerFunction(const CallArguments& arguments, Runtime& runtime) {
  if (!arguments.named.empty() || arguments.positional.empty()) {
    return Error(Code::kInvalidArgument, "'cycler' takes at least one value");
  }
  const uint32_t depth = DepthAbove(arguments.positional);
  RETURN_IF_ERROR(runtime.budget.AllowDepth(depth));
  return Value::FromObject(Kind::kCycler, std::make_shared<Cycler>(&runtime.budget, arguments.positional, depth));
}

Result<Value> JoinerFunction(const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("joiner", arguments, {"sep"}));
  const Value separator = bound[0] == nullptr ? Value::String(&runtime.budget, ", ") : *bound[0];
  if (separator.depth() > 0) return Error(Code::kUnsupported, "a joiner of a value of type {}", separator.type_name());
  return Value::FromObject(Kind::kJoiner, std::make_shared<Joiner>(&runtime.budget, separator));
}

Result<Value> RaiseException(const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("raise_exception", arguments, {"message"}));
  ASSIGN_OR_RETURN(const Value message, bound.Required(0));
  ASSIGN_OR_RETURN(std::string text, ToStr(message, runtime.budget));
  runtime.raised = true;
  return Status(Code::kInvalidArgument, std::move(text));
}

// One directive behind its '%': flags, width, modifier and the letter, at the start of `text`. Only letters that the C library must
// know, so that its answer never depends on the platform.
Result<size_t> DirectiveLength(std::string_view text) {
  constexpr std::string_view kLetters = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyY%";
  constexpr size_t kMaxWidth = 3;  // digits
  size_t at = std::min(text.find_first_not_of("-_0^#"), text.size());
  const size_t digits = std::min(text.find_first_not_of("0123456789", at), text.size()) - at;
  at += digits;
  if (at < text.size() && (text[at] == 'E' || text[at] == 'O')) ++at;
  if (digits <= kMaxWidth && at < text.size() && kLetters.find(text[at]) != std::string_view::npos) return at + 1;
  return Error(Code::kUnsupported, "strftime_now: a directive of '{}' is not supported", text.substr(0, 100));
}

// Python's datetime fills in three directives itself: moments here are whole seconds, without a time zone.
Result<std::string> ExpandedFormat(std::string_view format) {
  std::string out;
  for (size_t i = 0; i < format.size();) {
    if (format[i] == '\0') return Error(Code::kInvalidArgument, "strftime_now: a zero byte in the format");
    if (format[i] != '%') {
      out += format[i++];
      continue;
    }
    const char letter = i + 1 < format.size() ? format[i + 1] : '\0';
    if (letter == 'f' || letter == 'z' || letter == 'Z') {
      if (letter == 'f') out += "000000";
      i += 2;
      continue;
    }
    ASSIGN_OR_RETURN(const size_t length, DirectiveLength(format.substr(i + 1)));
    out += format.substr(i, length + 1);
    i += length + 1;
  }
  return out;
}

Result<Value> StrftimeNow(const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("strftime_now", arguments, {"format"}));
  RETURN_IF_ERROR(bound.Required(0));
  ASSIGN_OR_RETURN(const std::string_view format, bound.Text(0, ""));
  if (format.size() > 1000) return Error(Code::kUnsupported, "strftime_now: the format is longer than 1000 bytes");
  ASSIGN_OR_RETURN(const std::string expanded, ExpandedFormat(format));
  if (expanded.empty()) return NewText("", runtime);
  RETURN_IF_ERROR(runtime.budget.Charge(expanded.size()));
  const auto seconds = static_cast<std::time_t>(runtime.now);
  std::tm parts = {};
  if (localtime_r(&seconds, &parts) == nullptr) return Error(Code::kInvalidArgument, "strftime_now: the time is out of range");
  std::vector<char> buffer(expanded.size() * 400 +
                           1);  // a directive has at least two bytes and writes at most 999, or 24 without a width
  // Zero means an empty result ("%p" in some locales) as well as a full buffer, which this is too large for.
  const size_t size = std::strftime(buffer.data(), buffer.size(), expanded.c_str(), &parts);
  return NewText(std::string(buffer.data(), size), runtime);
}

// The one attribute that the function `dict` has.
Result<Value> DictFromKeys(const CallArguments& arguments, Runtime& runtime) {
  const auto& given = arguments.positional;
  if (!arguments.named.empty() || given.empty() || given.size() > 2) {
    return Error(Code::kInvalidArgument, "'dict.fromkeys' takes an iterable and a value");
  }
  ASSIGN_OR_RETURN(std::vector<Value> keys, Iterate(given[0], runtime.budget));
  DictBuilder builder(&runtime.budget);
  for (Value& key : keys) RETURN_IF_ERROR(builder.Set(std::move(key), given.size() > 1 ? given[1] : Value::None()));
  return builder.Take();
}

using Function = Result<Value> (*)(const CallArguments&, Runtime&);
constexpr std::pair<std::string_view, Function> kFunctions[] = {
    {"range", RangeFunction},         {"dict", DictFunction},
    {"namespace", NamespaceFunction}, {"cycler", CyclerFunction},
    {"dict.fromkeys", DictFromKeys},  {"joiner", JoinerFunction},
    {"strftime_now", StrftimeNow},    {"raise_exception", RaiseException}};

const std::pair<std::string_view, Function>* Find(std::string_view name) {
  const auto* const it =
      std::find_if(std::begin(kFunctions), std::end(kFunctions), [&](const auto& f) { return f.first == name; });
  return it == std::end(kFunctions) ? nullptr : it;
}

}  // namespace

Status CheckMemberName(std::string_view name) {
  if (!name.starts_with('_')) return Status();
  return Error(Code::kInvalidArgument, "a namespace takes no name that begins with an underscore, found '{}'",
               name.substr(0, 100));
}

bool IsGlobalFunction(std::string_view name) { return Find(name) != nullptr; }

Result<Value> CallGlobal(std::string_view name, const CallArguments& arguments, Runtime& runtime) {
  const auto* const function = Find(name);
  if (function == nullptr) return Error(Code::kInternal, "no global function '{}'", name);
  return function->second(arguments, runtime);
}

}  // namespace millrace::jinja
