#include "jinja/tests.h"

#include <algorithm>

#include "jinja/filters.h"
#include "jinja/ops.h"
#include "jinja/text.h"

namespace millrace::jinja {
namespace {

// A test that takes only the value.
template <bool (*kHolds)(const Value&)>
Result<bool> Plain(const Value& value, const CallArguments& arguments, Runtime&) {
  RETURN_IF_ERROR(Bound::Of("a test without arguments", arguments, {}));
  return kHolds(value);
}

template <Kind kKind>
bool IsKind(const Value& value) {
  return value.Is(kKind);
}

bool IsDefined(const Value& value) { return !value.Is(Kind::kUndefined); }
bool IsTrue(const Value& value) { return value.Is(Kind::kBool) && value.as_bool(); }
bool IsFalse(const Value& value) { return value.Is(Kind::kBool) && !value.as_bool(); }
bool IsInteger(const Value& value) { return value.Is(Kind::kInt) || value.Is(Kind::kBigInt); }
bool IsNumber(const Value& value) { return value.is_number(); }
// Whatever has a length and subscripts: undefined has both, views only the first.
bool IsSequence(const Value& value) { return Length(value).has_value() && !value.Is(Kind::kView); }
bool IsIterableTest(const Value& value) { return IsIterable(value) || value.Is(Kind::kLoop); }
bool IsEscaped(const Value& value) { return value.Is(Kind::kString) && value.text().markup; }

bool IsCallable(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kMacro:
    case Kind::kFunction:
    case Kind::kMethod:
    case Kind::kJoiner:
    case Kind::kLoop:
      return true;
    default:
      return false;
  }
}

template <bool (*kHolds)(std::string_view)>
Result<bool> OfText(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("a test without arguments", arguments, {}));
  ASSIGN_OR_RETURN(const std::string text, ToStr(value, runtime.budget));
  RETURN_IF_ERROR(runtime.budget.Charge(text.size() / 4));
  return kHolds(text);
}

template <Comparison kComparison>
Result<bool> Compared(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  if (!arguments.named.empty() || arguments.positional.size() != 1) {
    return Error(Code::kInvalidArgument, "a comparing test takes one argument");
  }
  return Compare(kComparison, value, arguments.positional[0], runtime.budget);
}

Result<bool> In(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("in", arguments, {"seq"}));
  ASSIGN_OR_RETURN(const Value container, bound.Required(0));
  return Contains(container, value, runtime.budget);
}

// value % divisor == rest
Result<bool> HasRest(const Value& value, const Value& divisor, int64_t rest, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Value found, Arithmetic(Operator::kModulo, value, divisor, runtime.budget));
  return Equal(found, Value::Int(rest), runtime.budget);
}

Result<bool> Odd(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("odd", arguments, {}));
  return HasRest(value, Value::Int(2), 1, runtime);
}

Result<bool> Even(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("even", arguments, {}));
  return HasRest(value, Value::Int(2), 0, runtime);
}

Result<bool> DivisibleBy(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("divisibleby", arguments, {"num"}));
  ASSIGN_OR_RETURN(const Value divisor, bound.Required(0));
  return HasRest(value, divisor, 0, runtime);
}

// Only what Python guarantees: the three constants, and one object being itself.
Result<bool> SameAs(const Value& value, const CallArguments& arguments, Runtime&) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("sameas", arguments, {"other"}));
  ASSIGN_OR_RETURN(const Value other, bound.Required(0));
  if (value.kind() != other.kind()) return false;
  if (value.Is(Kind::kNone)) return true;
  if (value.Is(Kind::kBool)) return value.as_bool() == other.as_bool();
  if (value.object() != nullptr && value.object() == other.object()) return true;
  if (value.is_number() || value.Is(Kind::kString) || value.Is(Kind::kTuple)) {
    return Error(Code::kUnsupported, "'sameas' depends on Python's memory for values of type {}", value.type_name());
  }
  return false;
}

Result<bool> IsFilter(const Value& value, const CallArguments& arguments, Runtime&) {
  RETURN_IF_ERROR(Bound::Of("filter", arguments, {}));
  return value.Is(Kind::kString) && FindFilter(value.str()) != nullptr;
}

Result<bool> IsTest(const Value& value, const CallArguments& arguments, Runtime&) {
  RETURN_IF_ERROR(Bound::Of("test", arguments, {}));
  return value.Is(Kind::kString) && FindTest(value.str()) != nullptr;
}

constexpr TestEntry kTests[] = {
    {"defined", Plain<IsDefined>},
    {"undefined", Plain<IsKind<Kind::kUndefined>>},
    {"none", Plain<IsKind<Kind::kNone>>},
    {"boolean", Plain<IsKind<Kind::kBool>>},
    {"true", Plain<IsTrue>},
    {"false", Plain<IsFalse>},
    {"integer", Plain<IsInteger>},
    {"float", Plain<IsKind<Kind::kFloat>>},
    {"number", Plain<IsNumber>},
    {"string", Plain<IsKind<Kind::kString>>},
    {"mapping", Plain<IsKind<Kind::kDict>>},
    {"sequence", Plain<IsSequence>},
    {"iterable", Plain<IsIterableTest>},
    {"callable", Plain<IsCallable>},
    {"escaped", Plain<IsEscaped>},
    {"lower", OfText<IsAllLower>},
    {"upper", OfText<IsAllUpper>},
    {"odd", Odd},
    {"even", Even},
    {"divisibleby", DivisibleBy},
    {"sameas", SameAs},
    {"filter", IsFilter},
    {"test", IsTest},
    {"in", In},
    {"==", Compared<Comparison::kEqual>},
    {"eq", Compared<Comparison::kEqual>},
    {"equalto", Compared<Comparison::kEqual>},
    {"!=", Compared<Comparison::kNotEqual>},
    {"ne", Compared<Comparison::kNotEqual>},
    {">", Compared<Comparison::kGreater>},
    {"gt", Compared<Comparison::kGreater>},
    {"greaterthan", Compared<Comparison::kGreater>},
    {">=", Compared<Comparison::kGreaterEqual>},
    {"ge", Compared<Comparison::kGreaterEqual>},
    {"<", Compared<Comparison::kLess>},
    {"lt", Compared<Comparison::kLess>},
    {"lessthan", Compared<Comparison::kLess>},
    {"<=", Compared<Comparison::kLessEqual>},
    {"le", Compared<Comparison::kLessEqual>},
};

}  // namespace

const TestEntry* FindTest(std::string_view name) {
  const auto* const it = std::find_if(std::begin(kTests), std::end(kTests), [&](const TestEntry& t) { return t.name == name; });
  return it == std::end(kTests) ? nullptr : it;
}

}  // namespace millrace::jinja
