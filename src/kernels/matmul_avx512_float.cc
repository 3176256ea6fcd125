// AVX-512: float forms, and the table of all matrix products. The sixteen lanes of the definition are one register.
#if defined(__x86_64__)

#include <immintrin.h>

#include <array>
#include <utility>

#include "kernels/lanes_avx512.h"
#include "kernels/matmul_forms_avx512.h"
#include "kernels/matmul_tables.h"
#include "kernels/packed_layout.h"

namespace millrace::kernels {
namespace {

// Weights and activations that are not there count as zero times zero, which changes no sum.
template <DType kType>
__m512 LoadWeights(const std::byte* from, __mmask16 mask) {
  if constexpr (kType == DType::kF32) return _mm512_maskz_loadu_ps(mask, from);
  const __m256i bits = _mm256_maskz_loadu_epi16(mask, from);
  if constexpr (kType == DType::kF16) return _mm512_cvtph_ps(bits);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

// kRows weight rows times kM activation rows; out[m][row].
template <DType kType, int kRows, int kM>
void DotRows(const std::byte* weights, size_t cols, const float* x, float (&out)[kM][kStripRows], size_t first) {
  constexpr size_t kSize = NumberBytes(kType);
  __m512 sum[kRows][kM] = {};
  const auto step = [&](size_t at, __mmask16 mask) __attribute__((always_inline)) {
    __m512 w[kRows];
    for (int r = 0; r < kRows; ++r) w[r] = LoadWeights<kType>(weights + (size_t(r) * cols + at) * kSize, mask);
    for (int m = 0; m < kM; ++m) {
      const __m512 values = _mm512_maskz_loadu_ps(mask, x + size_t(m) * cols + at);
      for (int r = 0; r < kRows; ++r) sum[r][m] = _mm512_fmadd_ps(w[r], values, sum[r][m]);
    }
  };
  size_t at = 0;
  for (; at + 16 <= cols; at += 16) step(at, 0xFFFF);
  if (at < cols) step(at, FirstOf16(cols - at));
  for (int r = 0; r < kRows; ++r) {
    for (int m = 0; m < kM; ++m) out[m][first + size_t(r)] = SumLanes(sum[r][m]);
  }
}

// One strip, kM activation rows from row m on.
template <DType kType, int kM>
void FloatStrip(const PackedMatrix& w, size_t strip, const float* x, size_t m, const OutputRows& y) {
  constexpr int kRows = 4;
  const size_t cols = w.cols;
  const size_t row = strip * kStripRows;
  const size_t count = w.rows - row < kStripRows ? w.rows - row : kStripRows;
  const std::byte* weights = w.data + row * cols * NumberBytes(kType);
  alignas(32) float out[kM][kStripRows] = {};
  size_t r = 0;
  for (; r + kRows <= count; r += kRows)
    DotRows<kType, kRows>(weights + r * cols * NumberBytes(kType), cols, x + m * cols, out, r);
  for (; r < count; ++r) DotRows<kType, 1>(weights + r * cols * NumberBytes(kType), cols, x + m * cols, out, r);
  for (int i = 0; i < kM; ++i) {
    float* at = y.data + (m + size_t(i)) * y.stride + row;
    const __m256 value = _mm256_load_ps(out[i]);
    StoreFirst(at, count, y.add ? _mm256_add_ps(LoadFirst(at, count), value) : value);
  }
}

template <DType kType>
void MatmulFloat(const PackedMatrix& w, IndexRange strips, const InputRows& x, uint32_t rows, const OutputRows& y) {
  for (size_t strip = strips.begin; strip < strips.end; ++strip) {
    size_t m = 0;
    for (; m + 4 <= rows; m += 4) FloatStrip<kType, 4>(w, strip, x.floats, m, y);
    for (; m < rows; ++m) FloatStrip<kType, 1>(w, strip, x.floats, m, y);
  }
}

template <PackedForm kForm>
constexpr MatmulFn MatmulOf() {
  if constexpr (WantsQuantisedRows(kForm)) {
    return avx512::Matmul<kForm>;
  } else {
    return MatmulFloat<InfoOf(kForm).scale_type>;
  }
}

template <size_t... kIndex>
constexpr std::array<MatmulFn, kPackedForms> AllForms(std::index_sequence<kIndex...>) {
  return {MatmulOf<static_cast<PackedForm>(kIndex)>()...};
}

}  // namespace

constinit const std::array<MatmulFn, kPackedForms> kAvx512Matmul = AllForms(std::make_index_sequence<kPackedForms>());

}  // namespace millrace::kernels

#endif  // __x86_64__
