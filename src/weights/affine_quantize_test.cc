#include "weights/affine_quantize.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/half.h"
#include "base/hash.h"

namespace millrace::weights {
namespace {

constexpr size_t kRows = 64;
constexpr size_t kCols = 128;

// As tools/make_affine_golden makes them: rows of zeros, of one value, of one sign, tiny ones, outliers.
std::vector<float> Numbers() {
  std::vector<float> values(kRows * kCols);
  uint32_t state = 12345;
  for (float& value : values) {
    state = state * 1664525U + 1013904223U;
    value = static_cast<float>(static_cast<int32_t>(state >> 8) - (1 << 23)) * 0x1p-22F;
  }
  for (size_t row = 0; row < kRows; ++row) {
    const auto part = std::span(values).subspan(row * kCols, kCols);
    for (size_t i = 0; i < kCols; ++i) {
      if (row % 8 == 0 && i < 64) part[i] = 0;
      if (row % 8 == 1 && i < 32) part[i] = 0.5F;
      if (row % 8 == 2) part[i] = std::abs(part[i]);
      if (row % 8 == 3) part[i] *= 0x1p-20F;
      if (row % 8 == 4 && i == 5) part[i] = 30;
      if (row % 8 == 5) part[i] = -std::abs(part[i]);
    }
  }
  return values;
}

std::vector<std::byte> Stored(const std::vector<float>& values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * Info(dtype).block_bytes);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = dtype == DType::kF16 ? FloatToHalf(values[i]) : FloatToBf16(values[i]);
    if (dtype == DType::kF32) {
      std::memcpy(bytes.data() + 4 * i, &values[i], 4);
    } else {
      std::memcpy(bytes.data() + 2 * i, &half, 2);
    }
  }
  return bytes;
}

TensorView ViewOf(std::span<const std::byte> bytes, DType dtype, uint64_t cols = kCols) {
  const uint64_t rows = bytes.size() / Info(dtype).block_bytes / cols;
  return {.name = "w", .dtype = dtype, .rank = 2, .dims = {cols, rows, 1, 1}, .rows = rows, .cols = cols, .data = bytes};
}

uint64_t HashOf(const TensorView& view) {
  uint64_t hash = kFnvSeed;
  for (const auto part : {view.data, view.affine.scales, view.affine.biases}) {
    hash = Fnv1a(std::string_view(reinterpret_cast<const char*>(part.data()), part.size()), hash);
  }
  return hash;
}

struct Row {
  DType dtype;
  uint32_t bits;
  uint32_t group;
  uint64_t hash;  // of codes, scales, biases
};
// Printed by tools/make_affine_golden.
constexpr std::array<Row, 27> kMlx = {{
    {DType::kF32, 4, 32, 0x7a12ca07bc623d91},   {DType::kF32, 4, 64, 0x276a17b5d9e4d99d},
    {DType::kF32, 4, 128, 0xf461764bf1e67c76},  {DType::kF32, 6, 32, 0x6377927279381600},
    {DType::kF32, 6, 64, 0x2eabeb950eabb2f3},   {DType::kF32, 6, 128, 0x36aff63fa1912242},
    {DType::kF32, 8, 32, 0x1820f226bb260ac4},   {DType::kF32, 8, 64, 0x07507ba519c5c6ec},
    {DType::kF32, 8, 128, 0xd9b5a9fbacfd1eec},  {DType::kF16, 4, 32, 0x0f421e0b54500468},
    {DType::kF16, 4, 64, 0x442234b2c0f60ec4},   {DType::kF16, 4, 128, 0xb5d279648e9b1097},
    {DType::kF16, 6, 32, 0x51ee50b25d0cce77},   {DType::kF16, 6, 64, 0x0b38579a93f56022},
    {DType::kF16, 6, 128, 0x918bebba91eba1a7},  {DType::kF16, 8, 32, 0xb7b433b0dd1f6f2a},
    {DType::kF16, 8, 64, 0xb63bf42e04d18da8},   {DType::kF16, 8, 128, 0x4ca8a55aa0bfd2bc},
    {DType::kBF16, 4, 32, 0xc0006f7cff02496c},  {DType::kBF16, 4, 64, 0x25d13553b1e3ba53},
    {DType::kBF16, 4, 128, 0x2b48328cf3cf78eb}, {DType::kBF16, 6, 32, 0xcfc57bae750a323d},
    {DType::kBF16, 6, 64, 0xe37d434eff5b6ed3},  {DType::kBF16, 6, 128, 0xc9ea9f5fb63101f2},
    {DType::kBF16, 8, 32, 0xdd5aa0af18a96adb},  {DType::kBF16, 8, 64, 0x168b776cbd1242da},
    {DType::kBF16, 8, 128, 0x2c888ea82322b7d7},
}};

TEST(AffineQuantize, GivesTheBitsOfMlx) {
  const auto values = Numbers();
  for (const Row& row : kMlx) {
    const auto bytes = Stored(values, row.dtype);
    auto matrix = AffineMatrix::For(ViewOf(bytes, row.dtype), row.bits, row.group);
    ASSERT_TRUE(matrix.ok()) << matrix.status().message();
    matrix->FillRows(40, kRows);
    matrix->FillRows(0, 40);
    EXPECT_EQ(HashOf(matrix->view()), row.hash) << Info(row.dtype).name << " " << row.bits << " bits, group " << row.group;
  }
}

TEST(AffineQuantize, DescribesWhatItMade) {
  const auto bytes = Stored(Numbers(), DType::kBF16);
  auto matrix = *AffineMatrix::For(ViewOf(bytes, DType::kBF16), 6, 64);
  matrix.FillRows(0, kRows);
  const AffineMatrix moved = std::move(matrix);
  const TensorView& view = moved.view();
  EXPECT_EQ(view.dtype, DType::kAffine6);
  EXPECT_EQ(view.name, "w");
  EXPECT_EQ(view.rows, kRows);
  EXPECT_EQ(view.data.size(), kRows * view.row_bytes());
  EXPECT_EQ(view.affine.group, 64u);
  EXPECT_EQ(view.affine.dtype, DType::kBF16);
  EXPECT_EQ(view.affine.scales.size(), kRows * 2 * 2);
  EXPECT_EQ(view.affine.biases.size(), kRows * 2 * 2);
}

// Half a step of the scale for all values, and as much again where the stored scale and bias are rounded.
TEST(AffineQuantize, StaysWithinHalfAStep) {
  const auto values = Numbers();
  std::vector<std::byte> codes(values.size()), scales(values.size() / 64 * 4), biases(scales.size());
  QuantizeAffine(values, 8, 64, {.codes = codes, .scales = scales, .biases = biases, .dtype = DType::kF32});
  for (size_t i = 0; i < values.size(); ++i) {
    float scale, bias;
    std::memcpy(&scale, scales.data() + i / 64 * 4, 4);
    std::memcpy(&bias, biases.data() + i / 64 * 4, 4);
    const float back = scale * static_cast<float>(codes[i]) + bias;
    // Bending the scale so that zero has a code may cost the far end up to half a step more.
    EXPECT_LE(std::abs(back - values[i]), 1.01F * std::abs(scale)) << i;
    if (values[i] == 0) {
      EXPECT_LE(std::abs(back), std::abs(scale) * 1e-4F) << i;
    }
  }
}

TEST(AffineQuantize, NoNumberIsUndefined) {
  std::vector<float> values(64, 1.0F);
  values[3] = std::numeric_limits<float>::quiet_NaN();
  values[4] = std::numeric_limits<float>::infinity();
  values[5] = -std::numeric_limits<float>::infinity();
  std::vector<std::byte> codes(32), scales(4), biases(4);
  QuantizeAffine(values, 4, 64, {.codes = codes, .scales = scales, .biases = biases, .dtype = DType::kF32});
}

TEST(AffineQuantize, RefusesWhatItCannotHold) {
  const auto bytes = Stored(std::vector<float>(2 * 48), DType::kF32);
  const auto says = [&](const TensorView& view, uint32_t bits, uint32_t group) {
    return AffineMatrix::For(view, bits, group).status().message();
  };
  EXPECT_EQ(says(ViewOf(bytes, DType::kF32, 48), 4, 32), "tensor 'w': 48 columns, expected a multiple of the group 32");
  EXPECT_EQ(says(ViewOf(bytes, DType::kF32, 32), 5, 32), "5 bits, expected 4, 6 or 8");
  EXPECT_EQ(says(ViewOf(bytes, DType::kF32, 32), 4, 16), "group of 16, expected 32, 64 or 128");
  TensorView vector = ViewOf(bytes, DType::kF32, 96);
  vector.rank = 1;
  EXPECT_EQ(says(vector, 4, 32), "tensor 'w': expected a matrix of F32, F16 or BF16, found F32 of 1 dimensions");
  EXPECT_EQ(AffineGroupFor(128), 64u);
  EXPECT_EQ(AffineGroupFor(96), 32u);
  EXPECT_EQ(AffineGroupFor(48), 0u);
}

}  // namespace
}  // namespace millrace::weights
