#include "weights/affine_blocks.h"

#include <cstring>

#include "base/half.h"

namespace millrace::weights {

namespace {

template <typename Block>
Block Load(const std::byte* from) {
  Block block;
  std::memcpy(&block, from, sizeof(block));
  return block;
}

void SplitNibbles(const uint8_t (&nibbles)[16], uint8_t (&codes)[kAffineBlock]) {
  for (uint32_t i = 0; i < 16; ++i) {
    codes[i] = nibbles[i] & 15;
    codes[16 + i] = nibbles[i] >> 4;
  }
}

void AddFifthBits(const uint8_t (&bits)[4], uint8_t (&codes)[kAffineBlock]) {
  for (uint32_t i = 0; i < kAffineBlock; ++i) codes[i] = static_cast<uint8_t>(codes[i] | (bits[i / 8] >> (i % 8) & 1U) << 4);
}

}  // namespace

uint32_t AffineBitsOfBlocks(DType type) {
  switch (type) {
    case DType::kQ4_0:
    case DType::kQ4_1:
      return 4;
    case DType::kQ5_0:
    case DType::kQ5_1:
      return 5;
    case DType::kQ8_0:
      return 8;
    default:
      return 0;
  }
}

AffineScale ReadAffineBlock(DType type, const std::byte* block, uint8_t (&codes)[kAffineBlock]) {
  switch (type) {
    case DType::kQ4_0: {
      const auto b = Load<BlockQ4_0>(block);
      SplitNibbles(b.qs, codes);
      return {.scale = HalfToFloat(b.d), .bias = -8 * HalfToFloat(b.d)};
    }
    case DType::kQ4_1: {
      const auto b = Load<BlockQ4_1>(block);
      SplitNibbles(b.qs, codes);
      return {.scale = HalfToFloat(b.d), .bias = HalfToFloat(b.m)};
    }
    case DType::kQ5_0: {
      const auto b = Load<BlockQ5_0>(block);
      SplitNibbles(b.qs, codes);
      AddFifthBits(b.qh, codes);
      return {.scale = HalfToFloat(b.d), .bias = -16 * HalfToFloat(b.d)};
    }
    case DType::kQ5_1: {
      const auto b = Load<BlockQ5_1>(block);
      SplitNibbles(b.qs, codes);
      AddFifthBits(b.qh, codes);
      return {.scale = HalfToFloat(b.d), .bias = HalfToFloat(b.m)};
    }
    default: {
      const auto b = Load<BlockQ8_0>(block);
      for (uint32_t i = 0; i < kAffineBlock; ++i) codes[i] = static_cast<uint8_t>(b.qs[i] + 128);
      return {.scale = HalfToFloat(b.d), .bias = -128 * HalfToFloat(b.d)};
    }
  }
}

void PackAffineCodes(std::span<const uint8_t> codes, uint32_t bits, std::byte* out) {
  uint32_t held = 0;
  uint32_t held_bits = 0;
  for (const uint8_t code : codes) {
    held |= uint32_t{code} << held_bits;
    held_bits += bits;
    for (; held_bits >= 8; held_bits -= 8, held >>= 8) *out++ = static_cast<std::byte>(held & 0xFF);
  }
}

}  // namespace millrace::weights
