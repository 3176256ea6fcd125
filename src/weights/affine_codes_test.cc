#include "weights/affine_codes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "base/philox.h"

namespace millrace::weights {
namespace {

std::vector<float> Values(size_t count, float low, float high) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = low + (high - low) * PhiloxUniform(5, 0, i);
  return values;
}

TEST(AffineCodes, EveryValueWithinHalfAStep) {
  for (const uint32_t bits : {4U, 6U, 8U}) {
    for (const auto& [low, high] : {std::pair{-1.0F, 0.5F}, {-0.5F, 1.0F}, {0.25F, 1.0F}, {-2.0F, -1.0F}}) {
      const auto values = Values(64, low, high);
      uint8_t codes[64];
      const AffineScale found = QuantizeAffineGroup(values, bits, codes);
      // The edge is moved to a whole number of steps, which may stretch a step by half of one in the count.
      const float step = std::fabs(found.scale);
      EXPECT_LE(step, 1.6F * (high - low) / static_cast<float>((1U << bits) - 1));
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_LT(codes[i], 1U << bits);
        EXPECT_NEAR(found.scale * codes[i] + found.bias, values[i], 1.01F * step) << bits;
      }
    }
  }
}

TEST(AffineCodes, ConstantGroups) {
  uint8_t codes[32];
  for (const float value : {0.0F, 3.0F, -3.0F}) {
    const AffineScale found = QuantizeAffineGroup(std::vector<float>(32, value), 4, codes);
    for (const uint8_t code : codes) EXPECT_FLOAT_EQ(found.scale * code + found.bias, value);
  }
}

TEST(AffineCodes, StreamsOfBits) {
  const uint8_t codes[] = {0x21, 0x3F, 0x00, 0x15};
  std::byte out[4] = {};
  PackAffineCodes(codes, 6, out);
  EXPECT_EQ(static_cast<uint8_t>(out[0]), 0xE1);  // 21 | (3F & 3) << 6
  EXPECT_EQ(static_cast<uint8_t>(out[1]), 0x0F);  // 3F >> 2 | 0 << 4
  EXPECT_EQ(static_cast<uint8_t>(out[2]), 0x54);  // 0 >> 4 | 15 << 2
  const uint8_t nibbles[] = {1, 2, 3, 4};
  PackAffineCodes(nibbles, 4, out);
  EXPECT_EQ(static_cast<uint8_t>(out[0]), 0x21);
  EXPECT_EQ(static_cast<uint8_t>(out[1]), 0x43);
}

TEST(AffineCodes, BlocksOfFilesAreGroups) {
  uint8_t codes[kAffineBlock];
  BlockQ8_0 q8{.d = FloatToHalf(0.25F), .qs = {}};
  q8.qs[0] = -127, q8.qs[1] = 5;
  std::byte bytes[sizeof(BlockQ5_1)];
  std::memcpy(bytes, &q8, sizeof(BlockQ5_1));
  std::byte whole[sizeof(q8)];
  std::memcpy(whole, &q8, sizeof(q8));
  AffineScale found = ReadAffineBlock(DType::kQ8_0, whole, codes);
  EXPECT_EQ(found.scale * codes[0] + found.bias, -127 * 0.25F);
  EXPECT_EQ(found.scale * codes[1] + found.bias, 5 * 0.25F);
  BlockQ5_1 q5{.d = FloatToHalf(2), .m = FloatToHalf(-3), .qh = {}, .qs = {}};
  q5.qs[1] = 0xA7;             // elements 1 and 17
  q5.qh[0] = 2, q5.qh[2] = 0;  // the fifth bit of element 1
  std::memcpy(bytes, &q5, sizeof(q5));
  found = ReadAffineBlock(DType::kQ5_1, bytes, codes);
  EXPECT_EQ(found.scale * codes[1] + found.bias, 2 * (7 + 16) - 3);
  EXPECT_EQ(found.scale * codes[17] + found.bias, 2 * 10 - 3);
  EXPECT_EQ(AffineBitsOfBlocks(DType::kQ5_1), 5U);
  EXPECT_EQ(AffineBitsOfBlocks(DType::kQ4_K), 0U);
}

}  // namespace
}  // namespace millrace::weights
