// Overflow-checked arithmetic for every number that came from a file, a socket or a ring. Plain * and + on such numbers are bugs.
#pragma once

#include <concepts>
#include <optional>

namespace millrace {

template <std::integral T>
constexpr std::optional<T> CheckedAdd(T a, T b) {
  T out;
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}

template <std::integral T>
constexpr std::optional<T> CheckedMul(T a, T b) {
  T out;
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

// Rounds up to a multiple of `unit`; nothing when unit is 0 or the result does not fit.
template <std::unsigned_integral T>
constexpr std::optional<T> CheckedAlign(T value, T unit) {
  if (unit == 0) return std::nullopt;
  const T rest = value % unit;
  return rest == 0 ? std::optional<T>(value) : CheckedAdd<T>(value, unit - rest);
}

// True when [offset, offset + size) lies inside [0, limit).
constexpr bool RangeFits(unsigned long long offset, unsigned long long size, unsigned long long limit) {
  return offset <= limit && size <= limit - offset;
}

}  // namespace millrace
