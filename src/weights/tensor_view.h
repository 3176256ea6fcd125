// TensorView: one tensor of a weight file, described and checked, its bytes still where the reader found them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/dtype.h"

namespace millrace::weights {

inline constexpr uint32_t kMaxTensorRank = 4;

// A view: `name` and `data` point into the bytes that the reader was given and die with them.
//
// A matrix is [rows = outputs][cols = inputs], cols contiguous; a vector is one row. A tensor of higher rank is its matrices one
// after the other, so that `rows` counts all of their rows. Whoever made the view has checked that cols is a multiple of the
// type's block, that no dimension is 0, that data.size() is exactly rows * cols / block_elements * block_bytes, and the same of scales
// and biases.
// Scales and biases of an affine tensor, each [rows, cols / group] in `dtype`: w = scale * code + bias.
struct AffineGroups {
  uint32_t group = 0;         // columns that share a scale: 32, 64 or 128; divides cols
  DType dtype = DType::kF32;  // kF32, kF16 or kBF16
  std::span<const std::byte> scales;
  std::span<const std::byte> biases;
};

struct TensorView {
  std::string_view name;
  DType dtype = DType::kF32;
  uint32_t rank = 1;
  std::array<uint64_t, kMaxTensorRank> dims{1, 1, 1, 1};  // innermost first: dims[0] == cols; 1 beyond rank
  uint64_t rows = 1;
  uint64_t cols = 1;
  std::span<const std::byte> data;  // of an affine type: the codes
  AffineGroups affine{};            // of an affine type only
  float offset = 0;                 // of a vector: added to every element (norm weights that are stored as w - 1)

  uint64_t row_bytes() const { return cols / Info(dtype).block_elements * Info(dtype).block_bytes; }
  // What the tensor takes in its file, scales and biases included.
  uint64_t source_bytes() const { return data.size() + affine.scales.size() + affine.biases.size(); }
};

// Rows [begin, begin + count) of a matrix. The range lies inside it.
TensorView SliceRows(const TensorView& tensor, uint64_t begin, uint64_t count);

}  // namespace millrace::weights
