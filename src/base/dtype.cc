#include "base/dtype.h"

#include <array>

namespace millrace {

namespace {
constexpr std::array<DTypeInfo, 14> kTypes = {{
    {"F32", 1, 4, 0},
    {"F16", 1, 2, 1},
    {"BF16", 1, 2, 30},
    {"Q4_0", 32, 18, 2},
    {"Q4_1", 32, 20, 3},
    {"Q5_0", 32, 22, 6},
    {"Q5_1", 32, 24, 7},
    {"Q8_0", 32, 34, 8},
    {"Q4_K", 256, 144, 12},
    {"Q5_K", 256, 176, 13},
    {"Q6_K", 256, 210, 14},
    {"affine 4-bit", 32, 16, kNoGgufId},
    {"affine 6-bit", 32, 24, kNoGgufId},
    {"affine 8-bit", 32, 32, kNoGgufId},
}};
}  // namespace

const DTypeInfo& Info(DType type) { return kTypes[static_cast<size_t>(type)]; }

std::optional<DType> DTypeFromGguf(uint32_t gguf_id) {
  for (size_t i = 0; i < kTypes.size() && gguf_id != kNoGgufId; ++i) {
    if (kTypes[i].gguf_id == gguf_id) return static_cast<DType>(i);
  }
  return std::nullopt;
}

}  // namespace millrace
