// AVX2: float forms, and the table of all matrix products.
#if defined(__x86_64__)

#include <immintrin.h>

#include <array>
#include <cstring>
#include <utility>

#include "kernels/lanes_avx2.h"
#include "kernels/matmul_forms_avx2.h"
#include "kernels/matmul_tables.h"
#include "kernels/packed_layout.h"

namespace millrace::kernels {
namespace {

// Eight weights, or the first `count` of them and zeros.
template <DType kType>
__m256 LoadWeights(const std::byte* from, size_t count) {
  if constexpr (kType == DType::kF32) {
    return LoadFirst(reinterpret_cast<const float*>(from), count);
  } else {
    __m128i bits;
    if (count >= 8) {
      bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    } else {
      bits = _mm_setzero_si128();
      std::memcpy(&bits, from, 2 * count);
    }
    if constexpr (kType == DType::kF16) return _mm256_cvtph_ps(bits);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
}

// kRows weight rows times kM activation rows; out[m][row].
template <DType kType, int kRows, int kM>
void DotRows(const std::byte* weights, size_t cols, const float* x, float (&out)[kM][kStripRows], size_t first) {
  constexpr size_t kSize = NumberBytes(kType);
  __m256 low[kRows][kM] = {};
  __m256 high[kRows][kM] = {};
  const auto step = [&](size_t at, size_t left) __attribute__((always_inline)) {
    const size_t right = left > 8 ? left - 8 : 0;
    __m256 w_low[kRows];
    __m256 w_high[kRows];
    for (int r = 0; r < kRows; ++r) {
      const std::byte* row = weights + (size_t(r) * cols + at) * kSize;
      w_low[r] = LoadWeights<kType>(row, left);
      w_high[r] = LoadWeights<kType>(row + 8 * kSize, right);
    }
    for (int m = 0; m < kM; ++m) {
      const __m256 x_low = LoadFirst(x + size_t(m) * cols + at, left);
      const __m256 x_high = LoadFirst(x + size_t(m) * cols + at + 8, right);
      for (int r = 0; r < kRows; ++r) {
        low[r][m] = _mm256_fmadd_ps(w_low[r], x_low, low[r][m]);
        high[r][m] = _mm256_fmadd_ps(w_high[r], x_high, high[r][m]);
      }
    }
  };
  size_t at = 0;
  for (; at + 16 <= cols; at += 16) step(at, 16);
  if (at < cols) step(at, cols - at);  // what is missing counts as zero times zero, which changes no sum
  for (int r = 0; r < kRows; ++r) {
    for (int m = 0; m < kM; ++m) out[m][first + size_t(r)] = SumLanes(low[r][m], high[r][m]);
  }
}

// One strip, kM activation rows from row m on.
template <DType kType, int kM>
void FloatStrip(const PackedMatrix& w, size_t strip, const float* x, size_t m, const OutputRows& y) {
  constexpr int kRows = kM == 1 ? 4 : 2;
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
    for (; m + 2 <= rows; m += 2) FloatStrip<kType, 2>(w, strip, x.floats, m, y);
    for (; m < rows; ++m) FloatStrip<kType, 1>(w, strip, x.floats, m, y);
  }
}

template <PackedForm kForm>
constexpr MatmulFn MatmulOf() {
  if constexpr (WantsQuantisedRows(kForm)) {
    return avx2::Matmul<kForm>;
  } else {
    return MatmulFloat<InfoOf(kForm).scale_type>;
  }
}

template <size_t... kIndex>
constexpr std::array<MatmulFn, kPackedForms> AllForms(std::index_sequence<kIndex...>) {
  return {MatmulOf<static_cast<PackedForm>(kIndex)>()...};
}

}  // namespace

constinit const std::array<MatmulFn, kPackedForms> kAvx2Matmul = AllForms(std::make_index_sequence<kPackedForms>());

}  // namespace millrace::kernels

#endif  // __x86_64__
