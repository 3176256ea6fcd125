// Blocks of GGUF types that are affine groups of 32 as they stand: their codes, scale and bias, without rounding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/dtype.h"

namespace millrace::weights {

inline constexpr uint32_t kAffineBlock = 32;  // columns of the GGUF blocks below

struct AffineScale {
  float scale = 0;
  float bias = 0;
};

// Bits of the codes of a type whose blocks are w = scale * code + bias, exactly: Q4_0, Q4_1 4; Q5_0, Q5_1 5; Q8_0 8; others 0.
uint32_t AffineBitsOfBlocks(DType type);

// Codes, scale and bias of one block of such a type.
AffineScale ReadAffineBlock(DType type, const std::byte* block, uint8_t (&codes)[kAffineBlock]);

// Writes codes one after the other as a stream of bits, lowest first. codes.size() * bits is a multiple of 8.
void PackAffineCodes(std::span<const uint8_t> codes, uint32_t bits, std::byte* out);

}  // namespace millrace::weights
