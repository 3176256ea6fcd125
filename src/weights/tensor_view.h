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
// type's block, that no dimension is 0, and that data.size() is exactly rows * cols / block_elements * block_bytes.
struct TensorView {
  std::string_view name;
  DType dtype = DType::kF32;
  uint32_t rank = 1;
  std::array<uint64_t, kMaxTensorRank> dims{1, 1, 1, 1};  // innermost first: dims[0] == cols; 1 beyond rank
  uint64_t rows = 1;
  uint64_t cols = 1;
  std::span<const std::byte> data;

  uint64_t row_bytes() const { return cols / Info(dtype).block_elements * Info(dtype).block_bytes; }
};

}  // namespace millrace::weights
