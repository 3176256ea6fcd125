// exp and tanh of the definition (kernel_constants.h says how they are made), for the *_scalar.cc files and nothing else.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/kernel_constants.h"

namespace millrace::kernels {

inline float Exp(float x) {
  float c = x > kExpLow ? x : kExpLow;
  c = c < kExpHigh ? c : kExpHigh;
  const float n = std::fma(c, kExpLog2E, kExpRound) - kExpRound;
  float r = std::fma(n, -kExpLn2High, c);
  r = std::fma(n, -kExpLn2Low, r);
  float p = kExpPolynomial[0];
  for (uint32_t i = 1; i < 6; ++i) p = std::fma(p, r, kExpPolynomial[i]);
  const float mantissa = std::fma(p, r * r, r) + 1.0F;
  const uint32_t raised = std::bit_cast<uint32_t>(mantissa) + (static_cast<uint32_t>(static_cast<int32_t>(n)) << 23);
  return x >= kExpLow ? std::bit_cast<float>(raised) : 0.0F;
}

inline float Tanh(float x) {
  if (x != x) return x;
  const float twice = 2.0F * std::fabs(x);
  const float c = kTanhHigh < twice ? kTanhHigh : twice;
  const float n = std::fma(c, kExpLog2E, kExpRound) - kExpRound;
  float r = std::fma(n, -kExpLn2High, c);
  r = std::fma(n, -kExpLn2Low, r);
  float p = kExpPolynomial[0];
  for (uint32_t i = 1; i < 6; ++i) p = std::fma(p, r, kExpPolynomial[i]);
  const float power = std::bit_cast<float>((static_cast<uint32_t>(static_cast<int32_t>(n)) + 127U) << 23);
  const float e = std::fma(std::fma(p, r * r, r), power, power - 1.0F);
  return std::copysign(e / (e + 2.0F), x);
}

inline float Softcap(float x, float cap) { return cap * Tanh(x / cap); }

}  // namespace millrace::kernels
