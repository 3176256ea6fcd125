#include "base/math.h"

#include <bit>
#include <cstdint>
#include <limits>

namespace millrace {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kRound = 0x1.8p52;  // adding and subtracting it rounds to the nearest integer

// ln 2 and pi / 2 in parts whose leading ones have trailing zeros, so that a multiple of them is exact.
constexpr double kLn2High = 0x1.62e42feep-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
constexpr double kHalfPi1 = 0x1.921fb544p+0;
constexpr double kHalfPi2 = 0x1.0b4611a6p-34;
constexpr double kHalfPi3 = 0x1.3198a2e037073p-69;

double PowerOfTwo(int64_t n) { return std::bit_cast<double>(static_cast<uint64_t>(n + 1023) << 52); }

// x = quadrant * pi / 2 + rest, |rest| <= pi / 4.
struct Reduced {
  int64_t quadrant;
  double rest;
};

Reduced Reduce(double x) {
  const double n = (x * 0x1.45f306dc9c883p-1 + kRound) - kRound;
  return {static_cast<int64_t>(n) & 3, ((x - n * kHalfPi1) - n * kHalfPi2) - n * kHalfPi3};
}

// Taylor series: on |x| <= pi / 4 the first term left out is below 2^-56.
double SinSmall(double x) {
  const double z = x * x;
  double sum = 0.0;
  for (int k = 17; k >= 3; k -= 2) sum = (sum + 1.0) * (-z / (static_cast<double>(k) * (k - 1)));
  return x + x * sum;
}

double CosSmall(double x) {
  const double z = x * x;
  double sum = 0.0;
  for (int k = 18; k >= 2; k -= 2) sum = (sum + 1.0) * (-z / (static_cast<double>(k) * (k - 1)));
  return 1.0 + sum;
}

bool Usable(double x) { return x >= -0x1p30 && x <= 0x1p30; }

}  // namespace

double Exp(double x) {
  if (x != x) return x;
  if (x > 709.78) return kInfinity;
  if (x < -708.39) return 0.0;
  const double n = (x * 0x1.71547652b82fep+0 + kRound) - kRound;
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double sum = 0.0;  // e^r - 1 by its series, |r| <= 0.35
  for (int k = 14; k >= 1; --k) sum = (sum + 1.0) * (r / k);
  const auto exponent = static_cast<int64_t>(n);
  // In two steps: 2^1024 alone is not a number, (1 + sum) * 2^1023 * 2 may be one.
  const int64_t half = exponent / 2;
  return (1.0 + sum) * PowerOfTwo(half) * PowerOfTwo(exponent - half);
}

double Log(double x) {
  if (x != x || x == kInfinity) return x;
  if (x == 0.0) return -kInfinity;
  if (x < 0.0) return kNan;
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  int64_t exponent = static_cast<int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFULL) | 0x3FF0000000000000ULL);
  if (m > 0x1.6a09e667f3bcdp+0) {  // sqrt 2: m in (0.7, 1.42], so that the series is short and log(1) is exactly 0
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double sum = 0.0;  // log m = 2 s (1 + z / 3 + z^2 / 5 + …), z <= 0.0295
  for (int k = 23; k >= 3; k -= 2) sum = (sum + 1.0 / k) * z;
  const auto n = static_cast<double>(exponent);
  return n * kLn2High + (2.0 * s + (2.0 * s * sum + n * kLn2Low));
}

double Sin(double x) {
  if (!Usable(x)) return kNan;
  const Reduced reduced = Reduce(x);
  const double value = (reduced.quadrant & 1) != 0 ? CosSmall(reduced.rest) : SinSmall(reduced.rest);
  return (reduced.quadrant & 2) != 0 ? -value : value;
}

double Cos(double x) {
  if (!Usable(x)) return kNan;
  const Reduced reduced = Reduce(x);
  const double value = (reduced.quadrant & 1) != 0 ? SinSmall(reduced.rest) : CosSmall(reduced.rest);
  return reduced.quadrant == 1 || reduced.quadrant == 2 ? -value : value;
}

}  // namespace millrace
