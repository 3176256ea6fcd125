// The arithmetic operators of ops.h.
#include <cmath>
#include <utility>

#include "base/checked.h"
#include "jinja/format.h"
#include "jinja/ops.h"
#include "jinja/text.h"

namespace millrace::jinja {
namespace {

Status Overflow() { return Error(Code::kUnsupported, "integers beyond 64 bits are not supported in arithmetic"); }
Status ZeroDivision() { return Error(Code::kInvalidArgument, "division by zero"); }

Result<Value> FromOptional(std::optional<int64_t> value) {
  if (!value) return Overflow();
  return Value::Int(*value);
}

// Rounds once: both operands are exact in the wider type where that has 64 bits of mantissa.
Result<Value> DivideIntegers(int64_t a, int64_t b) {
  if (b == 0) return ZeroDivision();
  return Value::Float(static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
}

Result<Value> FloorDivideIntegers(int64_t a, int64_t b) {
  if (b == 0) return ZeroDivision();
  if (b == -1) return FromOptional(CheckedMul<int64_t>(a, -1));
  const int64_t quotient = a / b;
  return Value::Int((a % b != 0 && (a < 0) != (b < 0)) ? quotient - 1 : quotient);
}

Result<Value> ModuloIntegers(int64_t a, int64_t b) {
  if (b == 0) return ZeroDivision();
  if (b == -1) return Value::Int(0);
  const int64_t rest = a % b;
  return Value::Int((rest != 0 && (rest < 0) != (b < 0)) ? rest + b : rest);
}

Result<Value> PowerFloats(double base, double exponent) {
  if (base == 0 && exponent < 0) return Error(Code::kInvalidArgument, "zero cannot be raised to a negative power");
  if (base < 0 && std::isfinite(base) && std::isfinite(exponent) && exponent != std::trunc(exponent)) {
    return Error(Code::kUnsupported, "a negative number to a fractional power is complex");
  }
  const double result = std::pow(base, exponent);
  if (std::isinf(result) && std::isfinite(base) && std::isfinite(exponent)) {
    return Error(Code::kInvalidArgument, "the result of the power is too large");
  }
  return Value::Float(result);
}

Result<Value> PowerIntegers(int64_t base, int64_t exponent) {
  if (exponent < 0) return PowerFloats(static_cast<double>(base), static_cast<double>(exponent));
  int64_t result = 1;
  while (exponent > 0) {
    if (exponent % 2 != 0) {
      const auto product = CheckedMul(result, base);
      if (!product) return Overflow();
      result = *product;
    }
    exponent /= 2;
    if (exponent == 0) break;
    const auto square = CheckedMul(base, base);
    if (!square) return Overflow();
    base = *square;
  }
  return Value::Int(result);
}

Result<Value> Integers(Operator op, int64_t a, int64_t b) {
  int64_t out = 0;
  switch (op) {
    case Operator::kAdd:
      return FromOptional(CheckedAdd(a, b));
    case Operator::kSubtract:
      if (__builtin_sub_overflow(a, b, &out)) return Overflow();
      return Value::Int(out);
    case Operator::kMultiply:
      return FromOptional(CheckedMul(a, b));
    case Operator::kDivide:
      return DivideIntegers(a, b);
    case Operator::kFloorDivide:
      return FloorDivideIntegers(a, b);
    case Operator::kModulo:
      return ModuloIntegers(a, b);
    case Operator::kPower:
      return PowerIntegers(a, b);
  }
  return Overflow();
}

// Quotient and rest as Python's float_divmod finds them.
std::pair<double, double> DivMod(double a, double b) {
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0) {
    if ((b < 0) != (rest < 0)) {
      rest += b;
      quotient -= 1;
    }
  } else {
    rest = std::copysign(0.0, b);
  }
  if (quotient == 0) return {std::copysign(0.0, a / b), rest};
  double floor = std::floor(quotient);
  if (quotient - floor > 0.5) floor += 1;
  return {floor, rest};
}

Result<Value> Floats(Operator op, double a, double b) {
  switch (op) {
    case Operator::kAdd:
      return Value::Float(a + b);
    case Operator::kSubtract:
      return Value::Float(a - b);
    case Operator::kMultiply:
      return Value::Float(a * b);
    case Operator::kPower:
      return PowerFloats(a, b);
    default:
      break;
  }
  if (b == 0) return ZeroDivision();
  if (op == Operator::kDivide) return Value::Float(a / b);
  const auto [quotient, rest] = DivMod(a, b);
  return Value::Float(op == Operator::kModulo ? rest : quotient);
}

// Plain text is escaped when it is added to text marked as safe, on either side.
Result<Value> AddEscaped(const Value& a, const Value& b, Budget& budget) {
  RETURN_IF_ERROR(budget.Allow((a.str().size() + b.str().size()) * 5));
  std::string sum = a.text().markup ? std::string(a.str()) : EscapeHtml(a.str());
  sum += b.text().markup ? std::string(b.str()) : EscapeHtml(b.str());
  return Value::Markup(&budget, std::move(sum));
}

Result<Value> AddText(const Value& a, const Value& b, Budget& budget) {
  if (a.text().markup != b.text().markup) return AddEscaped(a, b, budget);
  RETURN_IF_ERROR(budget.Allow(a.str().size() + b.str().size()));
  std::string sum;
  sum.reserve(a.str().size() + b.str().size());
  sum.append(a.str()).append(b.str());
  return a.text().markup ? Value::Markup(&budget, std::move(sum)) : Value::String(&budget, std::move(sum));
}

Result<Value> AddArrays(const Value& a, const Value& b, Budget& budget) {
  RETURN_IF_ERROR(budget.Allow((a.items().size() + b.items().size()) * sizeof(Value)));
  std::vector<Value> items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return a.Is(Kind::kList) ? MakeList(budget, std::move(items)) : MakeTuple(budget, std::move(items));
}

Result<Value> Repeat(const Value& value, int64_t times, Budget& budget) {
  const uint64_t count = times < 0 ? 0 : static_cast<uint64_t>(times);
  const uint64_t unit = value.Is(Kind::kString) ? value.str().size() : value.items().size() * sizeof(Value);
  const auto total = CheckedMul<uint64_t>(unit, count);
  RETURN_IF_ERROR(budget.Allow(total.value_or(static_cast<uint64_t>(-1))));
  if (value.Is(Kind::kString)) {
    std::string out;
    out.reserve(static_cast<size_t>(*total));
    for (uint64_t i = 0; i < count && unit != 0; ++i) out += value.str();
    return value.text().markup ? Value::Markup(&budget, std::move(out)) : Value::String(&budget, std::move(out));
  }
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(*total / sizeof(Value)));
  for (uint64_t i = 0; i < count && unit != 0; ++i) items.insert(items.end(), value.items().begin(), value.items().end());
  return value.Is(Kind::kList) ? MakeList(budget, std::move(items)) : MakeTuple(budget, std::move(items));
}

bool IsRepeatable(const Value& value) { return value.Is(Kind::kString) || value.is_array(); }

std::string_view Symbol(Operator op) {
  constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};
  return kSymbols[static_cast<size_t>(op)];
}

}  // namespace

Result<Value> Arithmetic(Operator op, const Value& a, const Value& b, Budget& budget) {
  if (a.is_integral() && b.is_integral()) return Integers(op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) {
    if (!a.Is(Kind::kFloat) && !b.Is(Kind::kFloat)) return Overflow();  // beyond 64 bits signed
    return Floats(op, a.ToDouble(), b.ToDouble());
  }
  // Text on the left formats whatever stands on the right, the undefined included.
  if (op == Operator::kModulo && a.Is(Kind::kString)) return FormatPercent(a, b, budget);
  if (a.Is(Kind::kUndefined)) return UndefinedError(a);
  if (b.Is(Kind::kUndefined)) return UndefinedError(b);
  if (op == Operator::kAdd && a.Is(Kind::kString) && b.Is(Kind::kString)) return AddText(a, b, budget);
  if (op == Operator::kAdd && a.is_array() && a.kind() == b.kind()) return AddArrays(a, b, budget);
  if (op == Operator::kMultiply && IsRepeatable(a) && b.is_integral()) return Repeat(a, b.as_int(), budget);
  if (op == Operator::kMultiply && IsRepeatable(b) && a.is_integral()) return Repeat(b, a.as_int(), budget);
  return Error(Code::kInvalidArgument, "operator '{}' does not take {} and {}", Symbol(op), a.type_name(), b.type_name());
}

Result<Value> Negate(const Value& value) {
  if (value.Is(Kind::kFloat)) return Value::Float(-value.as_float());
  if (value.Is(Kind::kBigInt)) return Overflow();
  if (!value.is_integral()) return TypeError("'-'", value);
  return FromOptional(CheckedMul<int64_t>(value.as_int(), -1));
}

}  // namespace millrace::jinja
