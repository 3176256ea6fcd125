// Quantisation to MLX's affine format: w = scale * code + bias, with one scale and one bias for a group of columns. The rule is that of
// mlx.core.quantize on a CPU, bit for bit.
//
// Of a group: the edge is its end (minimum or maximum) of larger magnitude, the scale (max - min) / (2^bits - 1), positive where the edge is
// the minimum and negative otherwise. The scale is then bent so that zero has a code: with n = round(edge / scale) not 0, scale = edge / n
// and bias = edge; else bias = 0. Codes come from the float scale and bias, before those are rounded to their stored type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "weights/tensor_view.h"

namespace millrace::weights {

// Quantises `values`, whole groups of `group` floats, to codes of `bits` (4, 6 or 8). Writes values.size() * bits / 8 bytes of codes (a
// stream of bits, lowest first) and one scale and bias of `dtype` (F32, F16 or BF16) for each group.
struct AffineOutput {
  std::span<std::byte> codes;
  std::span<std::byte> scales;
  std::span<std::byte> biases;
  DType dtype = DType::kF32;
};
void QuantizeAffine(std::span<const float> values, uint32_t bits, uint32_t group, const AffineOutput& out);

// A matrix quantised from one of floats: owns its bytes. Movable; the view stays valid.
class AffineMatrix {
 public:
  // Room for `source`, a float matrix whose columns the group divides, with scales and biases in its type, as MLX keeps them.
  // kInvalidArgument for another type, shape, group or number of bits.
  static Result<AffineMatrix> For(const TensorView& source, uint32_t bits, uint32_t group);

  // Fills rows [begin, end) from the source. Different rows may be filled by different threads.
  void FillRows(uint64_t begin, uint64_t end);

  // The name and shape of the source, of an affine type. Meaningful once every row was filled.
  const TensorView& view() const { return view_; }

 private:
  AffineMatrix() = default;
  TensorView source_;
  TensorView view_;
  uint32_t bits_ = 0;
  std::vector<std::byte> codes_, scales_, biases_;
};

// 64 where that divides the columns, else 32; 0 where neither does.
uint32_t AffineGroupFor(uint64_t cols);

}  // namespace millrace::weights
