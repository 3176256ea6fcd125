// Quantised blocks of GGUF files in MLX's affine form: w = scale * code + bias, codes as a stream of bits, scales and biases in arrays of
// their own. Nothing is requantised: the codes stay what they are, so every weight keeps its value (scales as f32 hold the two-level
// scales of Q4_K and Q5_K exactly). Plain memory; MLX itself is not needed here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/dtype.h"

namespace millrace::backend_mlx {

struct AffineForm {
  uint32_t bits = 0;
  uint32_t group = 0;  // columns that share scale and bias
};

// What `dtype` becomes; nothing for floats, for types that are affine already, and for Q6_K, whose groups of 16 MLX does not have.
std::optional<AffineForm> AffineFormOf(DType dtype);

struct AffineMatrix {
  AffineForm form;
  std::vector<uint32_t> codes;  // [rows, cols * bits / 32]
  std::vector<float> scales;    // [rows, cols / group]
  std::vector<float> biases;    // [rows, cols / group]
};

// Appends `rows` rows of `cols` columns of a type that has an AffineForm. `cols` is a multiple of the type's block, and `data` holds
// exactly rows * cols elements; whoever made the view has checked both.
void AppendAffine(DType dtype, std::span<const std::byte> data, uint64_t rows, uint64_t cols, AffineMatrix& out);

// Appends rows as floats: of F32, F16, BF16 and every GGUF type.
void AppendFloats(DType dtype, std::span<const std::byte> data, std::vector<float>& out);

}  // namespace millrace::backend_mlx
