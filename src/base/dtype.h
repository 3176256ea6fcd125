// Element types of weights and the byte layout of their blocks. One row per type; readers, kernels and ActiveBytes all ask here.
// Block layouts follow the GGUF specification (ggml-org/ggml, docs/gguf.md and ggml-common.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

enum class DType : uint8_t { kF32, kF16, kBF16, kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0, kQ4_K, kQ5_K, kQ6_K };

struct DTypeInfo {
  std::string_view name;
  uint32_t block_elements;  // columns of one row that share a block
  uint32_t block_bytes;
  uint32_t gguf_id;  // ggml_type
};

const DTypeInfo& Info(DType type);
std::optional<DType> DTypeFromGguf(uint32_t gguf_id);

// Blocks as they lie in a file, little-endian, packed. Halves are IEEE binary16 bits.
struct BlockQ4_1 {  // w = d * q + m
  uint16_t d;
  uint16_t m;
  uint8_t qs[16];  // element i: low nibble of qs[i]; element 16 + i: high nibble
};
struct BlockQ8_0 {  // w = d * q
  uint16_t d;
  int8_t qs[32];
};
static_assert(sizeof(BlockQ4_1) == 20 && sizeof(BlockQ8_0) == 34);

}  // namespace millrace
