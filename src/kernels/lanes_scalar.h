// The one tree of every float sum, for the files of the definition.
#pragma once

#include <cstdint>

namespace millrace::kernels {

inline constexpr uint32_t kLanes = 16;  // element i of a row is added in lane i mod 16

inline float SumLanes(const float (&lanes)[kLanes]) {
  float sums[kLanes / 2];
  for (uint32_t i = 0; i < 8; ++i) sums[i] = lanes[i] + lanes[i + 8];
  for (uint32_t i = 0; i < 4; ++i) sums[i] += sums[i + 4];
  for (uint32_t i = 0; i < 2; ++i) sums[i] += sums[i + 2];
  return sums[0] + sums[1];
}

}  // namespace millrace::kernels
