// The packed forms as data: what kernels and packers must know of each, and the definition of how a code and a scale are read. Files
// that are compiled for one instruction set use only the constants.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/half.h"
#include "kernels/packed.h"

namespace millrace::kernels {

enum class ScaleKind : uint8_t { kNone, kScale, kAffine, kTwoLevel, kHalves };

struct FormInfo {
  std::string_view name;
  uint32_t bits;     // of a code; of a float form: of the number
  ScaleKind scales;  // kNone: a float form
  DType scale_type;  // of the numbers in a block's scales; of a float form: its own type
  int32_t zero;      // what is subtracted from a code before it is multiplied (the code that means 0)
};

inline constexpr std::array<FormInfo, kPackedForms> kForms = {{
    {"F32", 32, ScaleKind::kNone, DType::kF32, 0},
    {"F16", 16, ScaleKind::kNone, DType::kF16, 0},
    {"BF16", 16, ScaleKind::kNone, DType::kBF16, 0},
    {"Q4_0", 4, ScaleKind::kScale, DType::kF16, 8},
    {"Q5_0", 5, ScaleKind::kScale, DType::kF16, 16},
    {"Q8_0", 8, ScaleKind::kScale, DType::kF16, 0},
    {"affine 4-bit F16", 4, ScaleKind::kAffine, DType::kF16, 0},
    {"affine 4-bit BF16", 4, ScaleKind::kAffine, DType::kBF16, 0},
    {"affine 4-bit F32", 4, ScaleKind::kAffine, DType::kF32, 0},
    {"affine 5-bit F16", 5, ScaleKind::kAffine, DType::kF16, 0},
    {"affine 6-bit F16", 6, ScaleKind::kAffine, DType::kF16, 0},
    {"affine 6-bit BF16", 6, ScaleKind::kAffine, DType::kBF16, 0},
    {"affine 6-bit F32", 6, ScaleKind::kAffine, DType::kF32, 0},
    {"affine 8-bit F16", 8, ScaleKind::kAffine, DType::kF16, 0},
    {"affine 8-bit BF16", 8, ScaleKind::kAffine, DType::kBF16, 0},
    {"affine 8-bit F32", 8, ScaleKind::kAffine, DType::kF32, 0},
    {"Q4_K", 4, ScaleKind::kTwoLevel, DType::kF16, 0},
    {"Q5_K", 5, ScaleKind::kTwoLevel, DType::kF16, 0},
    {"Q6_K", 6, ScaleKind::kHalves, DType::kF16, 32},
}};

constexpr const FormInfo& InfoOf(PackedForm form) { return kForms[static_cast<size_t>(form)]; }

// Codes of an affine form with 8 bits are stored minus this, so that they are signed.
inline constexpr int32_t kAffine8Zero = 128;

// Number types of scales.
constexpr uint32_t NumberBytes(DType type) { return type == DType::kF32 ? 4 : 2; }

// Scales of 8 rows at the beginning of a block.
constexpr uint32_t ScaleBytes(PackedForm form) {
  const FormInfo& info = InfoOf(form);
  switch (info.scales) {
    case ScaleKind::kNone:
      return 0;
    case ScaleKind::kScale:
      return kStripRows * 2;
    case ScaleKind::kAffine:
      return kStripRows * 2 * NumberBytes(info.scale_type);
    case ScaleKind::kTwoLevel:
      return kStripRows * 2 * 2 + 96;
    case ScaleKind::kHalves:
      return kStripRows * 2 + 8 * 16;
  }
  return 0;
}

// Code planes of 8 rows and 32 columns.
constexpr uint32_t PlaneBytes(PackedForm form) { return kStripRows * kGroupCols * InfoOf(form).bits / 8; }

// A block of `group` columns.
constexpr size_t BlockBytes(PackedForm form, uint32_t group) {
  return ScaleBytes(form) + size_t{group} / kGroupCols * PlaneBytes(form);
}

template <typename T>
T LoadAs(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

inline float LoadNumber(DType type, const std::byte* from) {
  if (type == DType::kF32) return LoadAs<float>(from);
  return type == DType::kF16 ? HalfToFloat(LoadAs<uint16_t>(from)) : Bf16ToFloat(LoadAs<uint16_t>(from));
}

// The stored code of row r of the strip and column `col` (0..31) of a group.
inline int32_t CodeAt(uint32_t bits, const std::byte* planes, uint32_t r, uint32_t col) {
  if (bits == 8) return LoadAs<int8_t>(planes + col / 4 * 32 + 4 * r + col % 4);
  const uint32_t half = col / 16;
  const uint32_t load = col % 16 / 4;
  const uint32_t at = 4 * r + col % 4;
  uint32_t code = LoadAs<uint8_t>(planes + 32 * load + at) >> (4 * half) & 15U;
  if (bits == 5) code |= (LoadAs<uint8_t>(planes + 128 + at) >> (4 * half + load) & 1U) << 4;
  if (bits == 6) code |= (LoadAs<uint8_t>(planes + 128 + 32 * half + at) >> (2 * load) & 3U) << 4;
  return static_cast<int32_t>(code);
}

// What the codes of one row and group are multiplied with. The integer dot product is half_scale[0] * (columns 0-15) + half_scale[1] *
// (columns 16-31).
struct GroupScales {
  float scale = 0;
  float bias = -0.0F;  // a sum with -0 is the other number, whichever zero that is
  int32_t half_scale[2] = {1, 1};
};

// Six bits of the two-level scales (minimum = false) or minima; i = 8 * group + row.
inline uint32_t SixBits(const std::byte* scales, uint32_t i, bool minimum) {
  const uint32_t upper = i / 32;
  const uint32_t low = LoadAs<uint8_t>(scales + (minimum ? 32 : 0) + i % 32) >> (4 * upper) & 15U;
  const uint32_t high = LoadAs<uint8_t>(scales + 64 + i % 32) >> (2 * upper + (minimum ? 4 : 0)) & 3U;
  return low | high << 4;
}

// Where row r's pair of half scales stands among the 16 bytes of a group; the second one is 4 bytes further.
constexpr uint32_t HalfScaleAt(uint32_t r) { return r / 4 * 8 + r % 4; }

// Scales of row r in group `group` (counted within the block).
inline GroupScales ScalesAt(PackedForm form, const std::byte* block, uint32_t r, uint32_t group) {
  const FormInfo& info = InfoOf(form);
  const uint32_t size = NumberBytes(info.scale_type);
  GroupScales scales;
  scales.scale = LoadNumber(info.scale_type, block + size_t{size} * r);
  if (info.scales == ScaleKind::kAffine) scales.bias = LoadNumber(info.scale_type, block + size_t{size} * (kStripRows + r));
  if (info.scales == ScaleKind::kTwoLevel) {
    const std::byte* six_bits = block + 32;
    const uint32_t i = 8 * group + r;
    const float minimum = HalfToFloat(LoadAs<uint16_t>(block + 16 + 2 * r));
    scales.scale *= static_cast<float>(SixBits(six_bits, i, false));
    scales.bias = -(minimum * static_cast<float>(SixBits(six_bits, i, true)));
  }
  if (info.scales == ScaleKind::kHalves) {
    const std::byte* pair = block + 16 + 16 * group + HalfScaleAt(r);
    scales.half_scale[0] = LoadAs<int8_t>(pair);
    scales.half_scale[1] = LoadAs<int8_t>(pair + 4);
  }
  return scales;
}

}  // namespace millrace::kernels
