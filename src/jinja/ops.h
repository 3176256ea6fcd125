// What operators do to values: Python's rules for truth, equality, order, arithmetic, membership, iteration and slices.
//
// Errors are kInvalidArgument with Python's reason, kResourceExhausted above the budget, without a place in the template: the
// evaluator adds it. Integers are 64 bits; what Python would continue as a long integer is an error.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "jinja/value.h"

namespace millrace::jinja {

enum class Operator : uint8_t { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };
enum class Comparison : uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };

// Equal keys hash alike (1, 1.0 and true do). An error for what Python cannot hash. Null budget: free of charge.
Result<uint64_t> HashOf(const Value& key, Budget* budget);
// Both hashable. Null budget: free of charge.
Result<bool> KeysEqual(const Value& a, const Value& b, Budget* budget);

bool Truthy(const Value& value);
Result<bool> Equal(const Value& a, const Value& b, Budget& budget);
Result<bool> Compare(Comparison comparison, const Value& a, const Value& b, Budget& budget);
Result<bool> Contains(const Value& container, const Value& item, Budget& budget);

Result<Value> Arithmetic(Operator op, const Value& a, const Value& b, Budget& budget);
Result<Value> Negate(const Value& value);

// len(); nothing for what has no length.
std::optional<int64_t> Length(const Value& value);
// All items of an iterable. Iterators are used up by it.
Result<std::vector<Value>> Iterate(const Value& value, Budget& budget);
bool IsIterable(const Value& value);
Value RangeItem(const Range& range, int64_t index);

// value[key] without Jinja's fallback to attributes. A null kUndefined result means that there is no such item.
Result<Value> Item(const Value& value, const Value& key, Budget& budget);

struct SliceBounds {
  Value start, stop, step;  // kNone where left out
};
Result<Value> Slice(const Value& value, const SliceBounds& bounds, Budget& budget);

// Stable, in Python's order. An error when two items have no order.
Status Sort(std::vector<std::pair<Value, Value>>& keyed, bool descending, Budget& budget);

// An int64 from a value that Python accepts as an index.
Result<int64_t> ToIndex(const Value& value, std::string_view what);

Status UndefinedError(const Value& undefined);
Status TypeError(std::string_view operation, const Value& value);

}  // namespace millrace::jinja
