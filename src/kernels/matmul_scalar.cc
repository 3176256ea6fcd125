// The definition of every matrix product; see kernels_scalar.cc.
#include <array>
#include <cmath>
#include <utility>

#include "kernels/lanes_scalar.h"
#include "kernels/matmul_tables.h"
#include "kernels/packed_layout.h"

namespace millrace::kernels {
namespace {

void Store(const OutputRows& y, size_t m, size_t row, float value) {
  float& at = y.data[m * y.stride + row];
  at = y.add ? at + value : value;
}

// One group of one row: what the integer dot product is worth.
template <PackedForm kForm>
int32_t DotGroup(const std::byte* planes, uint32_t r, const GroupScales& scales, const int8_t* x) {
  constexpr FormInfo kInfo = InfoOf(kForm);
  int32_t halves[2] = {};
  for (uint32_t i = 0; i < kGroupCols; ++i) halves[i / 16] += (CodeAt(kInfo.bits, planes, r, i) - kInfo.zero) * x[i];
  // Of 16 columns at most 16 * 32 * 127, times 128: fits with room to spare.
  return scales.half_scale[0] * halves[0] + scales.half_scale[1] * halves[1];
}

// One output: row r of a strip times activation row m.
template <PackedForm kForm>
float DotRow(const PackedMatrix& w, const std::byte* strip, uint32_t r, const QuantRows& x, size_t m) {
  constexpr FormInfo kInfo = InfoOf(kForm);
  const uint32_t groups = w.group / kGroupCols;
  size_t at = m * (w.cols / kGroupCols);  // of scales and sums
  const int8_t* codes = x.codes + m * w.cols;
  float sum = 0.0F;
  for (const std::byte* end = strip + StripBytes(w); strip < end; strip += BlockBytes(kForm, w.group)) {
    for (uint32_t group = 0; group < groups; ++group, ++at, codes += kGroupCols) {
      const GroupScales scales = ScalesAt(kForm, strip, r, group);
      const int32_t dot = DotGroup<kForm>(strip + ScaleBytes(kForm) + size_t{group} * PlaneBytes(kForm), r, scales, codes);
      sum = std::fma(scales.scale * x.scales[at], static_cast<float>(dot), sum);
      if constexpr (kInfo.scales == ScaleKind::kAffine && kInfo.bits == 8) {
        sum = std::fma(std::fma(static_cast<float>(kAffine8Zero), scales.scale, scales.bias), x.sums[at], sum);
      } else if constexpr (kInfo.scales == ScaleKind::kAffine || kInfo.scales == ScaleKind::kTwoLevel) {
        sum = std::fma(scales.bias, x.sums[at], sum);
      }
    }
  }
  return sum;
}

template <PackedForm kForm>
float DotFloats(const PackedMatrix& w, size_t row, const float* x) {
  constexpr FormInfo kInfo = InfoOf(kForm);
  const std::byte* weights = w.data + row * w.cols * (kInfo.bits / 8);
  float lanes[kLanes] = {};
  for (uint32_t i = 0; i < w.cols; ++i) {
    lanes[i % kLanes] = std::fma(LoadNumber(kInfo.scale_type, weights + size_t{i} * (kInfo.bits / 8)), x[i], lanes[i % kLanes]);
  }
  return SumLanes(lanes);
}

template <PackedForm kForm>
void Matmul(const PackedMatrix& w, IndexRange strips, const InputRows& x, uint32_t rows, const OutputRows& y) {
  for (size_t row = strips.begin * kStripRows; row < strips.end * kStripRows && row < w.rows; ++row) {
    for (size_t m = 0; m < rows; ++m) {
      if constexpr (WantsQuantisedRows(kForm)) {
        Store(y, m, row, DotRow<kForm>(w, w.data + row / kStripRows * StripBytes(w), row % kStripRows, x.quant, m));
      } else {
        Store(y, m, row, DotFloats<kForm>(w, row, x.floats + m * w.cols));
      }
    }
  }
}

template <size_t... kIndex>
constexpr std::array<MatmulFn, kPackedForms> AllForms(std::index_sequence<kIndex...>) {
  return {Matmul<static_cast<PackedForm>(kIndex)>...};
}

}  // namespace

constinit const std::array<MatmulFn, kPackedForms> kScalarMatmul = AllForms(std::make_index_sequence<kPackedForms>());

}  // namespace millrace::kernels
