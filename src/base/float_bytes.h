// One number of a float tensor, at any address: F32, F16 or BF16 (IsFloat).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/dtype.h"
#include "base/half.h"

namespace millrace {

// Rounded to nearest even where the type is shorter.
inline void StoreFloat(DType type, float value, std::byte* to) {
  if (type == DType::kF32) {
    std::memcpy(to, &value, sizeof(value));
    return;
  }
  const uint16_t bits = type == DType::kBF16 ? FloatToBf16(value) : FloatToHalf(value);
  std::memcpy(to, &bits, sizeof(bits));
}

inline float LoadFloat(DType type, const std::byte* from) {
  if (type == DType::kF32) {
    float value;
    std::memcpy(&value, from, sizeof(value));
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, from, sizeof(bits));
  return type == DType::kBF16 ? Bf16ToFloat(bits) : HalfToFloat(bits);
}

}  // namespace millrace
