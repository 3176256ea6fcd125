// Element types of weights and the byte layout of their blocks. One row per type; readers, kernels and ActiveBytes all ask here.
// Block layouts follow the GGUF specification (ggml-org/ggml, docs/gguf.md and ggml-common.h).
//
// The affine types are MLX's: w = scale * q + bias with one scale and one bias per group of 32, 64 or 128 columns, which lie in tensors
// of their own (weights/tensor_view.h). Their codes are a stream of bits, the lowest bit first, rows padded to nothing: a "block" here
// is 32 codes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kAffine4,
  kAffine6,
  kAffine8
};

inline constexpr uint32_t kNoGgufId = UINT32_MAX;

struct DTypeInfo {
  std::string_view name;
  uint32_t block_elements;  // columns of one row that share a block
  uint32_t block_bytes;
  uint32_t gguf_id;  // ggml_type; kNoGgufId where GGUF has no such type
};

constexpr bool IsAffine(DType type) { return type >= DType::kAffine4; }
constexpr bool IsFloat(DType type) { return type <= DType::kBF16; }

const DTypeInfo& Info(DType type);
std::optional<DType> DTypeFromGguf(uint32_t gguf_id);

// Blocks as they lie in a file, little-endian, packed. Halves are IEEE binary16 bits.
struct BlockQ4_1 {  // w = d * q + m
  uint16_t d;
  uint16_t m;
  uint8_t qs[16];  // element i: low nibble of qs[i]; element 16 + i: high nibble
};
struct BlockQ4_0 {  // w = d * (q - 8), nibbles as in Q4_1
  uint16_t d;
  uint8_t qs[16];
};
struct BlockQ5_0 {  // w = d * (q - 16): nibbles as in Q4_1, bit i of qh is bit 4 of element i
  uint16_t d;
  uint8_t qh[4];
  uint8_t qs[16];
};
struct BlockQ5_1 {  // w = d * q + m
  uint16_t d;
  uint16_t m;
  uint8_t qh[4];
  uint8_t qs[16];
};
struct BlockQ8_0 {  // w = d * q
  uint16_t d;
  int8_t qs[32];
};
// 256 elements in 8 groups of 32: w = d * scale[j] * q - dmin * min[j], scales and minima of 6 bits.
//   j < 4:  scale = scales[j] & 63,  min = scales[j + 4] & 63
//   else:   scale = (scales[j + 4] & 15) | (scales[j - 4] >> 6) << 4,  min = (scales[j + 4] >> 4) | (scales[j] >> 6) << 4
struct BlockQ4_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qs[128];  // groups 2 i and 2 i + 1: low and high nibbles of qs[32 i .. 32 i + 31]
};
struct BlockQ5_K {  // as Q4_K; bit j of qh[i] is bit 4 of element i of group j
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
// 256 elements in 16 groups of 16: w = d * scales[j] * (q - 32). Half h holds elements 128 h .. 128 h + 127; element 32 k + l of it takes
// its low nibble from ql[64 h + 32 (k & 1) + l] (k < 2: low, else high nibble) and its two high bits from qh[32 h + l] >> 2 k.
struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22 && sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ8_0) == 34 && sizeof(BlockQ4_K) == 144 && sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);

}  // namespace millrace
