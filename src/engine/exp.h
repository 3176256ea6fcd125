// exp in single precision from plain arithmetic, for loops over a vocabulary: the C library chooses its code by processor, and sampled
// tokens may not depend on that. Loops over this vectorise; a vectorised and a scalar call give the same bits (no contraction, see
// cmake/compile_options.cmake).
#pragma once

#include <bit>
#include <cstdint>

namespace millrace::engine {

// e^x for x <= 0 with a relative error below 3e-7. Inputs below -87 and NaN give e^-87, which every sum here rounds away;
// ExpNegative(0) is exactly 1.
inline float ExpNegative(float x) {
  constexpr float kRound = 0x1.8p23F;  // adding it leaves the nearest integer in the low bits
  x = x > -87.0F ? x : -87.0F;
  const float shifted = x * 1.44269504F + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375F) - n * -2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  const uint32_t exponent = (std::bit_cast<uint32_t>(shifted) + 127U) << 23;
  return p * std::bit_cast<float>(exponent);
}

}  // namespace millrace::engine
