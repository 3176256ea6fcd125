// Attributes and items of values, and the binding of arguments.
#include <algorithm>
#include <charconv>

#include "jinja/ops.h"
#include "jinja/runtime.h"
#include "jinja/text.h"

namespace millrace::jinja {

Result<Value> NewText(std::string text, Runtime& runtime) {
  RETURN_IF_ERROR(runtime.budget.Allow(text.size()));
  return Value::String(&runtime.budget, std::move(text));
}

Result<Bound> Bound::Of(std::string_view function, const CallArguments& arguments,
                        std::initializer_list<std::string_view> parameters) {
  Bound out;
  out.function_ = function;
  out.names_.assign(parameters.begin(), parameters.end());
  out.values_.assign(parameters.size(), nullptr);
  if (arguments.positional.size() > parameters.size()) {
    return Error(Code::kInvalidArgument, "'{}' takes at most {} arguments, {} were given", function, parameters.size(),
                 arguments.positional.size());
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) out.values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto it = std::find(parameters.begin(), parameters.end(), name);
    if (it == parameters.end()) return Error(Code::kInvalidArgument, "'{}' has no argument '{}'", function, name);
    const auto index = static_cast<size_t>(it - parameters.begin());
    if (out.values_[index] != nullptr) return Error(Code::kInvalidArgument, "'{}' got '{}' twice", function, name);
    out.values_[index] = &value;
  }
  return out;
}

Result<Value> Bound::Required(size_t index) const {
  if (values_[index] == nullptr) return Error(Code::kInvalidArgument, "'{}' needs the argument '{}'", function_, names_[index]);
  return *values_[index];
}

Result<bool> Bound::Flag(size_t index) const { return values_[index] != nullptr && Truthy(*values_[index]); }

Result<int64_t> Bound::Integer(size_t index, int64_t otherwise) const {
  if (values_[index] == nullptr) return otherwise;
  return ToIndex(*values_[index], fmt::format("'{}', argument '{}'", function_, names_[index]));
}

Result<std::string_view> Bound::Text(size_t index, std::string_view otherwise) const {
  if (values_[index] == nullptr) return otherwise;
  if (values_[index]->Is(Kind::kString)) return values_[index]->str();
  return Error(Code::kInvalidArgument, "'{}', argument '{}': expected a string, found {}", function_, names_[index],
               values_[index]->type_name());
}

namespace {

using Names = std::initializer_list<std::string_view>;

bool OneOf(std::string_view name, Names names) { return std::find(names.begin(), names.end(), name) != names.end(); }

bool IsMutator(const Value& value, std::string_view name) {
  if (value.Is(Kind::kDict)) return OneOf(name, {"clear", "pop", "popitem", "setdefault", "update"});
  return value.Is(Kind::kList) && OneOf(name, {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"});
}

// What Python would find and we do not have: refusing is better than calling it undefined.
bool IsMissingAttribute(const Value& value, std::string_view name) {
  switch (value.kind()) {
    case Kind::kString:
      return OneOf(name, {"encode", "maketrans", "translate", "isidentifier"});
    case Kind::kView:
      return OneOf(name, {"mapping", "isdisjoint"});
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kBigInt:
      return OneOf(name, {"as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "from_bytes", "imag",
                          "numerator", "real", "to_bytes", "is_integer"});
    case Kind::kFloat:
      return OneOf(name, {"as_integer_ratio", "conjugate", "fromhex", "hex", "imag", "is_integer", "real"});
    case Kind::kRange:
      return OneOf(name, {"start", "stop", "step", "count", "index"});
    case Kind::kIterator:
      return OneOf(name, {"close", "send", "throw"});
    case Kind::kMacro:
      return OneOf(name, {"name", "arguments", "catch_kwargs", "catch_varargs", "caller", "explicit_caller"});
    case Kind::kCycler:
      return OneOf(name, {"items", "pos"});
    case Kind::kJoiner:
      return OneOf(name, {"sep", "used"});
    default:
      return false;
  }
}

// "'dict object' has no attribute 'x'"
Value NoAttribute(const Value& value, const Value& key, Runtime& runtime) {
  const std::string type = value.Is(Kind::kNone) ? "None" : fmt::format("{} object", value.type_name());
  if (key.Is(Kind::kString)) {
    return Value::Undefined(&runtime.budget, fmt::format("'{}' has no attribute '{}'", type, key.str().substr(0, 100)));
  }
  if (key.is_integral()) return Value::Undefined(&runtime.budget, fmt::format("{} has no element {}", type, key.as_int()));
  return Value::Undefined(&runtime.budget, fmt::format("{} has no element for a key of type {}", type, key.type_name()));
}

struct Found {
  bool found = false;
  Value value;
};

Result<Found> FindAttribute(const Value& value, std::string_view name, Runtime& runtime) {
  if (name.starts_with('_')) return Found{};
  if (HasMethod(value, name)) {
    ASSIGN_OR_RETURN(Value method, MakeMethod(runtime.budget, value, name));
    return Found{true, std::move(method)};
  }
  if (value.Is(Kind::kNamespace)) {
    const auto& members = value.As<Namespace>().members;
    RETURN_IF_ERROR(runtime.budget.Charge(1 + members.size() / 16));
    for (const auto& [key, member] : members) {
      if (key == name) return Found{true, member};
    }
    return Found{};
  }
  if (value.Is(Kind::kLoop)) {
    ASSIGN_OR_RETURN(Value attribute, value.As<LoopObject>().Attribute(name));
    return Found{!attribute.Is(Kind::kUndefined) || attribute.object() != nullptr, std::move(attribute)};
  }
  if (value.Is(Kind::kTuple) && value.As<List>().is_group && (name == "grouper" || name == "list")) {
    return Found{true, value.items()[name == "list" ? 1 : 0]};
  }
  if (value.Is(Kind::kFunction) && value.As<Method>().name == "dict" && name == "fromkeys") {
    return Found{true,
                 Value::FromObject(Kind::kFunction, std::make_shared<Method>(&runtime.budget, Value(), "dict.fromkeys", 1))};
  }
  if (value.Is(Kind::kCycler) && name == "current") {
    const auto& cycler = value.As<Cycler>();
    return Found{true, cycler.items[cycler.position]};
  }
  if (IsMutator(value, name)) {
    return Found{true, Value::Undefined(&runtime.budget, fmt::format("access to attribute '{}' of '{}' object is unsafe", name,
                                                                     value.type_name()))};
  }
  if (IsMissingAttribute(value, name)) {
    return Error(Code::kUnsupported, "'{}' of a value of type {} is not supported", name, value.type_name());
  }
  return Found{};
}

// Whether obj[key] exists; Item answers undefined both for "no such item" and for an item that is undefined itself.
Result<Found> FindItem(const Value& value, const Value& key, Runtime& runtime) {
  ASSIGN_OR_RETURN(Value item, Item(value, key, runtime.budget));
  const bool found = !item.Is(Kind::kUndefined) || item.object() != nullptr;
  return Found{found, std::move(item)};
}

}  // namespace

namespace {

Status AttributeOfUndefined(const Value& value, const Value& name) {
  if (!name.str().starts_with("__")) return UndefinedError(value);
  return Error(Code::kUnsupported, "'{}' of an undefined value is not supported", name.str().substr(0, 100));
}

}  // namespace

Result<Value> GetAttribute(const Value& value, const Value& name, Runtime& runtime) {
  if (value.Is(Kind::kUndefined)) return AttributeOfUndefined(value, name);
  ASSIGN_OR_RETURN(Found attribute, FindAttribute(value, name.str(), runtime));
  if (attribute.found) return std::move(attribute.value);
  ASSIGN_OR_RETURN(Found item, FindItem(value, name, runtime));
  return item.found ? std::move(item.value) : NoAttribute(value, name, runtime);
}

Result<Value> GetOwnAttribute(const Value& value, const Value& name, Runtime& runtime) {
  if (value.Is(Kind::kUndefined)) return AttributeOfUndefined(value, name);
  ASSIGN_OR_RETURN(Found attribute, FindAttribute(value, name.str(), runtime));
  return attribute.found ? std::move(attribute.value) : NoAttribute(value, name, runtime);
}

Result<Value> GetItem(const Value& value, const Value& key, Runtime& runtime) {
  ASSIGN_OR_RETURN(Found item, FindItem(value, key, runtime));
  if (item.found) return std::move(item.value);
  if (key.Is(Kind::kString)) {
    ASSIGN_OR_RETURN(Found attribute, FindAttribute(value, key.str(), runtime));
    if (attribute.found) return std::move(attribute.value);
  }
  return NoAttribute(value, key, runtime);
}

Result<Value> GetPath(const Value& value, const Value& path, Runtime& runtime) {
  if (path.Is(Kind::kNone)) return value;
  if (!path.Is(Kind::kString)) return GetItem(value, path, runtime);
  Value current = value;
  for (const std::string_view part : Split(path.str(), ".", kNoLimit)) {
    const bool digits = !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    Value key;
    int64_t index = 0;
    if (digits && std::from_chars(part.data(), part.data() + part.size(), index).ec == std::errc()) {
      key = Value::Int(index);
    } else {
      key = Value::String(&runtime.budget, std::string(part));
    }
    RETURN_IF_ERROR(runtime.budget.Charge(4));
    ASSIGN_OR_RETURN(current, GetItem(current, key, runtime));
  }
  return current;
}

}  // namespace millrace::jinja
