#include "kernels/packed.h"

#include <gtest/gtest.h>

#include "kernels/kernel_test_data.h"
#include "kernels/thread_pool.h"

namespace millrace::kernels {
namespace {

constexpr DType kTypes[] = {DType::kF32, DType::kQ4_1, DType::kQ8_0};

TEST(Packed, EveryWeightSurvivesTheRoundTrip) {
  for (const DType dtype : kTypes) {
    for (const auto& [rows, cols] : {std::pair{1U, 32U}, {8U, 64U}, {13U, 96U}, {64U, 576U}}) {
      TestData data(rows + cols);
      const OwnedMatrix owned = Pack(dtype, rows, cols, data.Blocks(dtype, rows, cols));
      std::vector<float> expected(cols), found(cols);
      for (uint32_t row = 0; row < rows; ++row) {
        const size_t row_bytes = owned.source.size() / rows;
        DequantizeFileRow(dtype, owned.source.data() + row * row_bytes, cols, expected.data());
        DequantizePackedRow(owned.matrix, row, found.data());
        ASSERT_TRUE(SameBits(expected, found)) << Info(dtype).name << " row " << row << " of " << rows << " x " << cols;
      }
    }
  }
}

TEST(Packed, DequantizedValuesAreThoseOfTheFormat) {
  const BlockQ4_1 affine{.d = FloatToHalf(0.5F), .m = FloatToHalf(-3.0F), .qs = {0xF0}};
  std::vector<float> out(32);
  DequantizeFileRow(DType::kQ4_1, reinterpret_cast<const std::byte*>(&affine), 32, out.data());
  EXPECT_EQ(out[0], -3.0F);
  EXPECT_EQ(out[16], 4.5F);
  const BlockQ8_0 symmetric{.d = FloatToHalf(0.25F), .qs = {-128, 127}};
  DequantizeFileRow(DType::kQ8_0, reinterpret_cast<const std::byte*>(&symmetric), 32, out.data());
  EXPECT_EQ(out[0], -32.0F);
  EXPECT_EQ(out[1], 31.75F);
}

TEST(Packed, IsNotLargerThanTheFileForWholeStrips) {
  for (const DType dtype : kTypes) {
    EXPECT_EQ(PackedBytes(dtype, 64, 576).value(), 64ULL * 576 / Info(dtype).block_elements * Info(dtype).block_bytes);
  }
}

TEST(Packed, PaddingRowsAreZero) {
  TestData data(1);
  const OwnedMatrix owned = Pack(DType::kQ4_1, 3, 32, data.Blocks(DType::kQ4_1, 3, 32));
  for (uint32_t r = 3; r < 8; ++r) {
    EXPECT_EQ(owned.storage[2 * r], std::byte{0});
    EXPECT_EQ(owned.storage[32 + 4 * r], std::byte{0});
  }
}

TEST(Packed, ManyThreadsPackTheSameBytes) {
  TestData data(2);
  const uint32_t rows = 203, cols = 64;
  for (const DType dtype : kTypes) {
    const OwnedMatrix one = Pack(dtype, rows, cols, data.Blocks(dtype, rows, cols));
    std::vector<std::byte> storage(one.storage.size());
    ThreadPool pool(3);
    pool.Run("pack", {.items = Strips(rows), .grain = 3}, [&](SectionContext& context) {
      do {
        const auto [begin, end] = context.range();
        PackStrips({dtype, rows, cols, one.source.data(), storage.data()}, static_cast<uint32_t>(begin),
                   static_cast<uint32_t>(end));
      } while (context.Next());
    });
    EXPECT_EQ(storage, one.storage);
  }
}

TEST(Packed, RefusesShapesAndTypesThatItCannotHold) {
  EXPECT_EQ(PackedBytes(DType::kQ4_K, 8, 256).status().code(), Code::kUnsupported);
  EXPECT_EQ(PackedBytes(DType::kQ4_1, 8, 40).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(PackedBytes(DType::kQ4_1, 0, 32).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(PackedBytes(DType::kF32, 1ULL << 33, 32).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace millrace::kernels
