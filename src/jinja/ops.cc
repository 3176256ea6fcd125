#include "jinja/ops.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/checked.h"
#include "jinja/text.h"

namespace millrace::jinja {

Status UndefinedError(const Value& undefined) { return Error(Code::kInvalidArgument, "{}", undefined.undefined_reason()); }

Status TypeError(std::string_view operation, const Value& value) {
  if (value.Is(Kind::kUndefined)) return UndefinedError(value);
  return Error(Code::kInvalidArgument, "{} is not possible for a value of type {}", operation, value.type_name());
}

Result<int64_t> ToIndex(const Value& value, std::string_view what) {
  if (value.is_integral()) return value.as_int();
  if (value.Is(Kind::kUndefined)) return UndefinedError(value);
  return Error(Code::kInvalidArgument, "{}: expected an integer, found {}", what, value.type_name());
}

bool Truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.as_int() != 0;
    case Kind::kFloat:
      return value.as_float() != 0;
    case Kind::kString:
      return !value.str().empty();
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
      return !value.items().empty();
    case Kind::kDict:
      return !value.dict().entries.empty();
    case Kind::kRange:
      return value.range().count != 0;
    default:
      return true;
  }
}

namespace {

__extension__ typedef __int128 Int128;

// The 128-bit value of an integer of any kind, or of a float without fraction in range.
std::optional<Int128> ExactInteger(const Value& value) {
  if (value.is_integral()) return value.as_int();
  if (value.Is(Kind::kBigInt)) return value.as_big();
  const double number = value.as_float();
  if (!(std::fabs(number) < 0x1p100) || number != std::trunc(number)) return std::nullopt;
  return static_cast<Int128>(number);
}

enum class Order : uint8_t { kLess, kEqual, kGreater, kUnordered };

template <typename T>
Order OrderOf(const T& a, const T& b) {
  if (a < b) return Order::kLess;
  if (b < a) return Order::kGreater;
  return a == b ? Order::kEqual : Order::kUnordered;
}

// Exact between integers and floats, as Python compares them.
Order OrderNumbers(const Value& a, const Value& b) {
  if (a.Is(Kind::kFloat) && b.Is(Kind::kFloat)) return OrderOf(a.as_float(), b.as_float());
  const auto left = ExactInteger(a), right = ExactInteger(b);
  if (left && right) return OrderOf(*left, *right);
  // One is a fraction, huge or not finite. An integer above 2^53 next to a fraction cannot be equal to it, and the fraction is
  // below 2^53, so rounding the integer keeps the order.
  return OrderOf(a.ToDouble(), b.ToDouble());
}

}  // namespace

Result<uint64_t> HashOf(const Value& key, Budget* budget) {
  if (key.Is(Kind::kString)) {
    if (budget != nullptr) RETURN_IF_ERROR(budget->Charge(key.str().size() / 64));
    return std::hash<std::string_view>{}(key.str());
  }
  if (key.is_number()) {
    const auto exact = ExactInteger(key);
    return exact ? std::hash<uint64_t>{}(static_cast<uint64_t>(*exact)) * 0x9E3779B97F4A7C15u
                 : std::hash<double>{}(key.as_float());
  }
  if (key.Is(Kind::kNone)) return uint64_t{7};
  if (key.Is(Kind::kUndefined)) return uint64_t{11};
  if (!key.Is(Kind::kTuple)) return Error(Code::kInvalidArgument, "a value of type {} cannot be a key", key.type_name());
  if (budget != nullptr) RETURN_IF_ERROR(budget->Charge(1 + key.items().size()));
  uint64_t hash = 0x345678;
  for (const Value& item : key.items()) {
    ASSIGN_OR_RETURN(const uint64_t part, HashOf(item, budget));
    hash = (hash ^ part) * 1000003;
  }
  return hash;
}

// The recursion is bounded by the depth of values.
Result<bool> KeysEqual(const Value& a, const Value& b, Budget* budget) {
  if (a.is_number() && b.is_number()) return OrderNumbers(a, b) == Order::kEqual;
  if (a.kind() != b.kind()) return false;
  if (!a.Is(Kind::kString) && !a.Is(Kind::kTuple)) return true;  // none, undefined
  if (a.object() == b.object()) return true;
  if (a.Is(Kind::kString)) {
    if (a.str().size() != b.str().size()) return false;
    if (budget != nullptr) RETURN_IF_ERROR(budget->Charge(a.str().size() / 64));
    return a.str() == b.str();
  }
  if (a.items().size() != b.items().size()) return false;
  if (budget != nullptr) RETURN_IF_ERROR(budget->Charge(1 + a.items().size()));
  for (size_t i = 0; i < a.items().size(); ++i) {
    ASSIGN_OR_RETURN(const bool equal, KeysEqual(a.items()[i], b.items()[i], budget));
    if (!equal) return false;
  }
  return true;
}

namespace {

Result<bool> EqualItems(const std::vector<Value>& a, const std::vector<Value>& b, Budget& budget) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].object() != nullptr && a[i].object() == b[i].object()) continue;
    ASSIGN_OR_RETURN(const bool equal, Equal(a[i], b[i], budget));
    if (!equal) return false;
  }
  return true;
}

Result<bool> EqualDicts(const Dict& a, const Dict& b, Budget& budget) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    ASSIGN_OR_RETURN(const Value* const other, b.Find(key, budget));
    if (other == nullptr) return false;
    if (value.object() != nullptr && value.object() == other->object()) continue;
    ASSIGN_OR_RETURN(const bool equal, Equal(value, *other, budget));
    if (!equal) return false;
  }
  return true;
}

// dict_keys and dict_items are sets to Python; dict_values are equal only to themselves.
Result<bool> EqualViews(const Value& a, const Value& b, Budget& budget) {
  if (a.object() == b.object()) return true;
  if (a.type_name() != b.type_name() || a.type_name() == "dict_values") return false;
  if (a.items().size() != b.items().size()) return false;
  for (const Value& item : a.items()) {
    ASSIGN_OR_RETURN(const bool found, Contains(b, item, budget));
    if (!found) return false;
  }
  return true;
}

Result<bool> EqualRanges(const Range& a, const Range& b) {
  return a.count == b.count && (a.count == 0 || (a.start == b.start && (a.count == 1 || a.step == b.step)));
}

}  // namespace

// The recursion is bounded by the depth of values, the work by the budget.
Result<bool> Equal(const Value& a, const Value& b, Budget& budget) {
  RETURN_IF_ERROR(budget.Charge(1));
  if (a.is_number() && b.is_number()) return OrderNumbers(a, b) == Order::kEqual;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      if (a.str().size() == b.str().size()) RETURN_IF_ERROR(budget.ChargeBytes(a.str().size()));
      return a.str() == b.str();
    case Kind::kList:
    case Kind::kTuple:
      return EqualItems(a.items(), b.items(), budget);
    case Kind::kDict:
      return EqualDicts(a.dict(), b.dict(), budget);
    case Kind::kView:
      return EqualViews(a, b, budget);
    case Kind::kRange:
      return EqualRanges(a.range(), b.range());
    default:
      return a.object() == b.object();
  }
}

namespace {

Result<Order> OrderValues(const Value& a, const Value& b, Budget& budget) {
  RETURN_IF_ERROR(budget.Charge(1));
  if (a.is_number() && b.is_number()) return OrderNumbers(a, b);
  if (a.Is(Kind::kString) && b.Is(Kind::kString)) {
    RETURN_IF_ERROR(budget.ChargeBytes(std::min(a.str().size(), b.str().size())));
    return OrderOf(a.str(), b.str());  // the order of UTF-8 bytes is that of code points
  }
  if (a.Is(Kind::kUndefined)) return UndefinedError(a);
  if (b.Is(Kind::kUndefined)) return UndefinedError(b);
  if (a.kind() != b.kind() || !a.is_array()) {
    return Error(Code::kInvalidArgument, "values of type {} and {} have no order", a.type_name(), b.type_name());
  }
  const size_t common = std::min(a.items().size(), b.items().size());
  for (size_t i = 0; i < common; ++i) {
    ASSIGN_OR_RETURN(const bool equal, Equal(a.items()[i], b.items()[i], budget));
    if (!equal) return OrderValues(a.items()[i], b.items()[i], budget);
  }
  return OrderOf(a.items().size(), b.items().size());
}

}  // namespace

Result<bool> Compare(Comparison comparison, const Value& a, const Value& b, Budget& budget) {
  switch (comparison) {
    case Comparison::kEqual:
      return Equal(a, b, budget);
    case Comparison::kNotEqual: {
      ASSIGN_OR_RETURN(const bool equal, Equal(a, b, budget));
      return !equal;
    }
    case Comparison::kIn:
      return Contains(b, a, budget);
    case Comparison::kNotIn: {
      ASSIGN_OR_RETURN(const bool contained, Contains(b, a, budget));
      return !contained;
    }
    default:
      break;
  }
  ASSIGN_OR_RETURN(const Order order, OrderValues(a, b, budget));
  switch (comparison) {
    case Comparison::kLess:
      return order == Order::kLess;
    case Comparison::kLessEqual:
      return order == Order::kLess || order == Order::kEqual;
    case Comparison::kGreater:
      return order == Order::kGreater;
    default:
      return order == Order::kGreater || order == Order::kEqual;
  }
}

Result<bool> Contains(const Value& container, const Value& item, Budget& budget) {
  if (container.Is(Kind::kString)) {
    if (!item.Is(Kind::kString)) {
      return Error(Code::kInvalidArgument, "'in' a string: expected a string on the left, found {}", item.type_name());
    }
    RETURN_IF_ERROR(budget.ChargeSearch(container.str().size(), item.str().size()));
    return FindFirst(container.str(), item.str()) != std::string_view::npos;
  }
  if (container.Is(Kind::kDict)) {
    ASSIGN_OR_RETURN(const Value* const found, container.dict().Find(item, budget));
    return found != nullptr;
  }
  if (!IsIterable(container)) return TypeError("'in'", container);
  std::vector<Value> walked;
  const bool shared = container.is_array() || container.Is(Kind::kView);
  if (!shared) {
    ASSIGN_OR_RETURN(walked, Iterate(container, budget));
  }
  for (const Value& candidate : shared ? container.items() : walked) {
    ASSIGN_OR_RETURN(const bool equal, Equal(candidate, item, budget));
    if (equal) return true;
  }
  return false;
}

std::optional<int64_t> Length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<int64_t>(value.text().length);
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
      return static_cast<int64_t>(value.items().size());
    case Kind::kDict:
      return static_cast<int64_t>(value.dict().entries.size());
    case Kind::kRange:
      return value.range().count;
    default:
      return std::nullopt;
  }
}

bool IsIterable(const Value& value) { return Length(value).has_value() || value.Is(Kind::kIterator); }

// start + index * step lies between start and stop; only the product alone may not fit, so it wraps.
Value RangeItem(const Range& range, int64_t index) {
  return Value::Int(static_cast<int64_t>(static_cast<uint64_t>(range.start) +
                                         static_cast<uint64_t>(index) * static_cast<uint64_t>(range.step)));
}

Result<std::vector<Value>> Iterate(const Value& value, Budget& budget) {
  std::vector<Value> out;
  if (!IsIterable(value)) return TypeError("iteration", value);
  if (value.Is(Kind::kIterator)) {
    auto& iterator = value.As<Iterator>();
    RETURN_IF_ERROR(budget.Allow((iterator.items.size() - iterator.next) * sizeof(Value)));
    out.assign(iterator.items.begin() + static_cast<ptrdiff_t>(iterator.next), iterator.items.end());
    iterator.next = iterator.items.size();
    return out;
  }
  const uint64_t each = value.Is(Kind::kString) ? sizeof(Text) + sizeof(Value) : sizeof(Value);
  RETURN_IF_ERROR(budget.Allow(static_cast<uint64_t>(Length(value).value_or(0)) * each));
  if (value.is_array() || value.Is(Kind::kView)) return value.items();
  if (value.Is(Kind::kDict)) {
    for (const auto& entry : value.dict().entries) out.push_back(entry.first);
  } else if (value.Is(Kind::kRange)) {
    for (int64_t i = 0; i < value.range().count; ++i) out.push_back(RangeItem(value.range(), i));
  } else if (value.Is(Kind::kString)) {
    std::string_view rest = value.str();
    while (!rest.empty()) {
      const size_t length = ByteOffset(rest, 1);
      out.push_back(Value::String(&budget, std::string(rest.substr(0, length))));
      rest.remove_prefix(length);
    }
  }
  return out;
}

namespace {

Result<Value> CharacterAt(const Value& value, int64_t index, Budget& budget) {
  const Text& text = value.text();
  if (text.ascii()) return Value::String(&budget, std::string(1, text.data[static_cast<size_t>(index)]));
  RETURN_IF_ERROR(budget.ChargeBytes(text.data.size()));
  const size_t start = ByteOffset(text.data, static_cast<size_t>(index));
  const std::string_view rest = std::string_view(text.data).substr(start);
  return Value::String(&budget, std::string(rest.substr(0, ByteOffset(rest, 1))));
}

}  // namespace

Result<Value> Item(const Value& value, const Value& key, Budget& budget) {
  if (value.Is(Kind::kUndefined)) return UndefinedError(value);
  if (value.Is(Kind::kDict)) {
    const Result<const Value*> found = value.dict().Find(key, budget);
    if (!found.ok()) return found.status().code() == Code::kInvalidArgument ? Result<Value>(Value()) : found.status();
    return *found == nullptr ? Value() : **found;
  }
  const bool indexable = value.Is(Kind::kString) || value.is_array() || value.Is(Kind::kRange);
  if (!indexable || !key.is_integral()) return Value();
  const int64_t length = Length(value).value_or(0);
  const int64_t index = key.as_int() < 0 ? key.as_int() + length : key.as_int();
  if (index < 0 || index >= length) return Value();
  if (value.Is(Kind::kString)) return CharacterAt(value, index, budget);
  if (value.Is(Kind::kRange)) return RangeItem(value.range(), index);
  return value.items()[static_cast<size_t>(index)];
}

namespace {

struct Bounds {
  int64_t start, step, count;
};

Result<int64_t> ClampBound(const Value& bound, int64_t length, int64_t missing, bool backwards) {
  if (bound.Is(Kind::kNone)) return missing;
  ASSIGN_OR_RETURN(const int64_t given, ToIndex(bound, "slice"));
  const int64_t index = given < 0 ? given + length : given;  // no overflow: length >= 0 > given
  return std::clamp<int64_t>(index, backwards ? -1 : 0, backwards ? length - 1 : length);
}

// As slice.indices(length) of Python.
Result<Bounds> ResolveSlice(const SliceBounds& bounds, int64_t length) {
  int64_t step = 1;
  if (!bounds.step.Is(Kind::kNone)) {
    ASSIGN_OR_RETURN(step, ToIndex(bounds.step, "slice step"));
  }
  if (step == 0) return Error(Code::kInvalidArgument, "slice step cannot be zero");
  const bool backwards = step < 0;
  ASSIGN_OR_RETURN(const int64_t start, ClampBound(bounds.start, length, backwards ? length - 1 : 0, backwards));
  ASSIGN_OR_RETURN(const int64_t stop, ClampBound(bounds.stop, length, backwards ? -1 : length, backwards));
  const uint64_t distance = backwards ? (start > stop ? static_cast<uint64_t>(start - stop) : 0)
                                      : (stop > start ? static_cast<uint64_t>(stop - start) : 0);
  const uint64_t stride = backwards ? uint64_t{0} - static_cast<uint64_t>(step) : static_cast<uint64_t>(step);
  const uint64_t count = distance == 0 ? 0 : (distance - 1) / stride + 1;
  return Bounds{start, step, static_cast<int64_t>(count)};
}

// With step 1 a substring; else character by character.
Result<Value> SliceText(const Text& text, const Bounds& bounds, Budget& budget) {
  const auto make = [&](std::string part) {
    return text.markup ? Value::Markup(&budget, std::move(part)) : Value::String(&budget, std::move(part));
  };
  RETURN_IF_ERROR(budget.Allow(text.data.size()));
  if (bounds.count == 0) return make({});
  if (bounds.step == 1) {
    const std::string_view rest = std::string_view(text.data).substr(ByteOffset(text.data, static_cast<size_t>(bounds.start)));
    return make(std::string(rest.substr(0, ByteOffset(rest, static_cast<size_t>(bounds.count)))));
  }
  std::vector<size_t> offsets;
  RETURN_IF_ERROR(budget.Allow((text.length + 1) * sizeof(size_t)));
  for (size_t at = 0; at < text.data.size(); at += ByteOffset(std::string_view(text.data).substr(at), 1)) offsets.push_back(at);
  offsets.push_back(text.data.size());
  std::string out;
  for (int64_t i = 0; i < bounds.count; ++i) {
    const auto at = static_cast<size_t>(bounds.start + i * bounds.step);
    out += text.data.substr(offsets[at], offsets[at + 1] - offsets[at]);
  }
  return make(std::move(out));
}

}  // namespace

Result<Value> Slice(const Value& value, const SliceBounds& bounds, Budget& budget) {
  if (!value.Is(Kind::kString) && !value.is_array() && !value.Is(Kind::kRange)) return TypeError("a slice", value);
  ASSIGN_OR_RETURN(const Bounds part, ResolveSlice(bounds, Length(value).value_or(0)));
  if (value.Is(Kind::kString)) return SliceText(value.text(), part, budget);
  if (value.Is(Kind::kRange)) {
    const Range& range = value.range();
    const auto step = CheckedMul(range.step, part.step);
    const int64_t start = RangeItem(range, part.start).as_int();
    const auto length = step ? CheckedMul(*step, part.count) : std::nullopt;
    const auto stop = length ? CheckedAdd(start, *length) : std::nullopt;
    if (!stop) return Error(Code::kInvalidArgument, "the slice of a range is too large");
    return Value::FromObject(Kind::kRange, std::make_shared<Range>(&budget, start, *stop, *step, part.count));
  }
  RETURN_IF_ERROR(budget.Allow(static_cast<uint64_t>(part.count) * sizeof(Value)));
  std::vector<Value> out;
  out.reserve(static_cast<size_t>(part.count));
  for (int64_t i = 0; i < part.count; ++i) out.push_back(value.items()[static_cast<size_t>(part.start + i * part.step)]);
  return value.Is(Kind::kList) ? MakeList(budget, std::move(out)) : MakeTuple(budget, std::move(out));
}

namespace {

using Keyed = std::pair<Value, Value>;

// Merges two sorted neighbours; an item of the right one goes first only when it is strictly before (after, when descending).
Status Merge(std::vector<Keyed>& from, std::vector<Keyed>& to, std::pair<size_t, size_t> left_right, size_t end, bool descending,
             Budget& budget) {
  size_t left = left_right.first, right = left_right.second, out = left;
  const size_t middle = right;
  while (left < middle && right < end) {
    const Comparison before = descending ? Comparison::kGreater : Comparison::kLess;
    ASSIGN_OR_RETURN(const bool right_first, Compare(before, from[right].first, from[left].first, budget));
    to[out++] = std::move(right_first ? from[right++] : from[left++]);
  }
  while (left < middle) to[out++] = std::move(from[left++]);
  while (right < end) to[out++] = std::move(from[right++]);
  return Status();
}

}  // namespace

// Own merge sort: a comparison may fail half-way, and NaN has no order, both of which std::sort does not survive.
Status Sort(std::vector<Keyed>& keyed, bool descending, Budget& budget) {
  RETURN_IF_ERROR(budget.Allow(keyed.size() * sizeof(Keyed)));
  std::vector<Keyed> other(keyed.size());
  for (size_t width = 1; width < keyed.size(); width *= 2) {
    for (size_t start = 0; start < keyed.size(); start += 2 * width) {
      const size_t middle = std::min(start + width, keyed.size());
      const size_t end = std::min(start + 2 * width, keyed.size());
      RETURN_IF_ERROR(Merge(keyed, other, {start, middle}, end, descending, budget));
    }
    keyed.swap(other);
  }
  return Status();
}

}  // namespace millrace::jinja
