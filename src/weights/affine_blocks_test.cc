#include "weights/affine_blocks.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/half.h"

namespace millrace::weights {
namespace {

TEST(AffineBlocks, StreamsOfBits) {
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

TEST(AffineBlocks, BlocksOfFilesAreGroups) {
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
