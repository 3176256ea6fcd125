#include "kernels/packed.h"

#include <gtest/gtest.h>

#include <span>

#include "kernels/kernel_test_data.h"
#include "kernels/thread_pool.h"

namespace millrace::kernels {
namespace {

TEST(Packed, EveryWeightSurvivesTheRoundTrip) {
  for (const TestType& type : AllTypes()) {
    for (const auto& [rows, units] : {std::pair{1U, 1U}, {8U, 2U}, {13U, 3U}, {64U, 9U}}) {
      const uint32_t cols = units * type.unit();
      const OwnedMatrix owned = Pack(TestData(rows + cols).File(type, rows, cols));
      std::vector<float> expected(cols), found(cols);
      for (uint32_t row = 0; row < rows; ++row) {
        DequantizeFileRow(owned.file.matrix, row, expected.data());
        DequantizePackedRow(owned.matrix, row, found.data());
        ASSERT_TRUE(SameBits(expected, found)) << type.Name() << " row " << row << " of " << rows << " x " << cols;
      }
    }
  }
}

template <typename Block>
std::vector<float> Values(DType dtype, const Block& block) {
  std::vector<float> out(Info(dtype).block_elements);
  DequantizeFileRow({.dtype = dtype, .rows = 1, .cols = out.size(), .codes = reinterpret_cast<const std::byte*>(&block)}, 0,
                    out.data());
  return out;
}

TEST(Packed, DequantizedValuesAreThoseOfTheFormat) {
  const std::vector<float> affine =
      Values(DType::kQ4_1, BlockQ4_1{.d = FloatToHalf(0.5F), .m = FloatToHalf(-3.0F), .qs = {0xF0}});
  EXPECT_EQ(affine[0], -3.0F);
  EXPECT_EQ(affine[16], 4.5F);
  const std::vector<float> symmetric = Values(DType::kQ8_0, BlockQ8_0{.d = FloatToHalf(0.25F), .qs = {-128, 127}});
  EXPECT_EQ(symmetric[0], -32.0F);
  EXPECT_EQ(symmetric[1], 31.75F);
  const std::vector<float> five = Values(DType::kQ5_0, BlockQ5_0{.d = FloatToHalf(2.0F), .qh = {0x01}, .qs = {0x2F}});
  EXPECT_EQ(five[0], 30.0F);
  EXPECT_EQ(five[16], -28.0F);
}

// The stream of bits of MLX: 0, 1, 2, … in rows of 128 codes.
TEST(Packed, AffineCodesAreAStreamOfBits) {
  for (const DType dtype : {DType::kAffine4, DType::kAffine6, DType::kAffine8}) {
    const uint32_t bits = dtype == DType::kAffine4 ? 4 : dtype == DType::kAffine6 ? 6 : 8;
    std::vector<std::byte> codes(2 * 128 * bits / 8);
    for (uint32_t i = 0; i < 256; ++i) {
      for (uint32_t bit = 0; bit < bits; ++bit) {
        if ((i >> bit & 1U) != 0) codes[(i * bits + bit) / 8] |= std::byte{1} << ((i * bits + bit) % 8);
      }
    }
    const std::vector<uint16_t> scales = {FloatToHalf(2), FloatToHalf(3), FloatToHalf(4), FloatToHalf(5)};
    const std::vector<uint16_t> biases = {FloatToHalf(0.5), FloatToHalf(-1), FloatToHalf(-2), FloatToHalf(7)};
    const FileMatrix file{.dtype = dtype,
                          .rows = 2,
                          .cols = 128,
                          .codes = codes.data(),
                          .scales = std::as_bytes(std::span(scales)).data(),
                          .biases = std::as_bytes(std::span(biases)).data(),
                          .scale_dtype = DType::kF16,
                          .group = 64};
    std::vector<float> out(128);
    for (uint32_t row = 0; row < 2; ++row) {
      DequantizeFileRow(file, row, out.data());
      for (uint32_t i = 0; i < 128; ++i) {
        const float code = static_cast<float>((row * 128 + i) & ((1U << bits) - 1));
        const size_t group = row * 2 + i / 64;
        ASSERT_EQ(out[i], HalfToFloat(scales[group]) * code + HalfToFloat(biases[group]))
            << bits << " bits, row " << row << ", " << i;
      }
    }
  }
}

TEST(Packed, IsNotLargerThanTheFileForWholeStrips) {
  for (const TestType& type : AllTypes()) {
    const OwnedFile file = TestData(1).File(type, 64, 768);
    EXPECT_EQ(PackedBytes(PackedMatrixOf(file.matrix).value()), file.codes.size() + file.scales.size() + file.biases.size())
        << type.Name();
  }
}

TEST(Packed, PaddingRowsAreZero) {
  for (const TestType& type : AllTypes()) {
    if (IsFloat(type.dtype)) continue;
    const OwnedMatrix owned = Pack(TestData(1).File(type, 3, type.unit()));
    PackedMatrix padded = owned.matrix;
    padded.rows = 8;
    std::vector<float> out(type.unit());
    for (uint32_t r = 3; r < 8; ++r) {
      DequantizePackedRow(padded, r, out.data());
      for (const float value : out) ASSERT_EQ(value, 0.0F) << type.Name();
    }
  }
}

TEST(Packed, ManyThreadsPackTheSameBytes) {
  const uint32_t rows = 203;
  for (const TestType& type : AllTypes()) {
    const OwnedMatrix one = Pack(TestData(2).File(type, rows, 2 * type.unit()));
    std::vector<std::byte> storage(one.storage.size());
    ThreadPool pool(3);
    pool.Run("pack", {.items = Strips(rows), .grain = 3}, [&](SectionContext& context) {
      do {
        const auto [begin, end] = context.range();
        PackStrips({one.file.matrix, one.matrix, storage.data()}, static_cast<uint32_t>(begin), static_cast<uint32_t>(end));
      } while (context.Next());
    });
    EXPECT_EQ(storage, one.storage) << type.Name();
  }
}

Status ShapeError(const FileMatrix& file) { return PackedMatrixOf(file).status(); }

TEST(Packed, RefusesShapesThatItCannotHold) {
  EXPECT_EQ(ShapeError({.dtype = DType::kQ4_1, .rows = 8, .cols = 40}).message(),
            "Q4_1 matrix with 40 columns: expected a multiple of 32");
  EXPECT_EQ(ShapeError({.dtype = DType::kQ6_K, .rows = 8, .cols = 576}).message(),
            "Q6_K matrix with 576 columns: expected a multiple of 256");
  EXPECT_EQ(ShapeError({.dtype = DType::kAffine4, .rows = 8, .cols = 576, .group = 128}).message(),
            "affine 4-bit matrix with 576 columns: expected a multiple of 128");
  EXPECT_EQ(ShapeError({.dtype = DType::kQ4_1, .rows = 0, .cols = 32}).code(), Code::kInvalidArgument);
  EXPECT_EQ(ShapeError({.dtype = DType::kF32, .rows = 1ULL << 33, .cols = 32}).code(), Code::kInvalidArgument);
  EXPECT_EQ(ShapeError({.dtype = DType::kF32, .rows = 0xFFFFFFF0, .cols = 0xFFFFFFF0}).code(), Code::kInvalidArgument);
  EXPECT_EQ(ShapeError({.dtype = DType::kAffine4, .rows = 8, .cols = 64, .group = 16}).code(), Code::kUnsupported);
  EXPECT_EQ(ShapeError({.dtype = DType::kAffine4, .rows = 8, .cols = 64, .scale_dtype = DType::kQ8_0, .group = 32}).code(),
            Code::kUnsupported);
}

}  // namespace
}  // namespace millrace::kernels
