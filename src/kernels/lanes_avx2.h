// What the AVX2 files share. Included only by files that are compiled for AVX2, each of which gets its own copy: an inline function
// with one copy for the whole program could end up in code that runs before the CPU was asked.
#pragma once

#if defined(__AVX2__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "kernels/kernel_constants.h"

namespace millrace::kernels {
namespace {

// fn(0), …, fn(kCount - 1) with constants for arguments. Arrays of vectors that only such constants index are kept in registers; in a
// plain loop GCC stores them back to memory at every step.
template <int kCount, typename Fn>
[[gnu::always_inline]] inline void Unroll(Fn&& fn) {
  [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) __attribute__((always_inline)) {
    (fn(std::integral_constant<int, kIndex>{}), ...);
  }(std::make_integer_sequence<int, kCount>{});
}

// kTailMask + 8 - n is a mask of the first n lanes.
alignas(32) constexpr int32_t kTailMask[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

inline __m256i FirstLanes(size_t n) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kTailMask + 8 - n)); }

inline __m256 LoadFirst(const float* x, size_t n) { return n >= 8 ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, FirstLanes(n)); }

inline void StoreFirst(float* x, size_t n, __m256 value) {
  if (n >= 8) {
    _mm256_storeu_ps(x, value);
  } else {
    _mm256_maskstore_ps(x, FirstLanes(n), value);
  }
}

inline __m256 LoadHalves(const void* x) { return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(x))); }

// Lanes 0-7 in `low`, 8-15 in `high`; the tree of the definition.
inline float SumLanes(__m256 low, __m256 high) {
  const __m256 eight = _mm256_add_ps(low, high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

inline __m256 Exp(__m256 x) {
  __m256 c = _mm256_max_ps(x, _mm256_set1_ps(kExpLow));
  c = _mm256_min_ps(c, _mm256_set1_ps(kExpHigh));
  const __m256 round = _mm256_set1_ps(kExpRound);
  const __m256 n = _mm256_sub_ps(_mm256_fmadd_ps(c, _mm256_set1_ps(kExpLog2E), round), round);
  __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-kExpLn2High), c);
  r = _mm256_fmadd_ps(n, _mm256_set1_ps(-kExpLn2Low), r);
  __m256 p = _mm256_set1_ps(kExpPolynomial[0]);
  for (int i = 1; i < 6; ++i) p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExpPolynomial[i]));
  const __m256 mantissa = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), _mm256_set1_ps(1.0F));
  const __m256i raised = _mm256_add_epi32(_mm256_castps_si256(mantissa), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23));
  const __m256 in_range = _mm256_cmp_ps(x, _mm256_set1_ps(kExpLow), _CMP_GE_OQ);
  return _mm256_and_ps(_mm256_castsi256_ps(raised), in_range);
}

inline __m256 Tanh(__m256 x) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  const __m256 magnitude = _mm256_andnot_ps(sign, x);
  const __m256 c = _mm256_min_ps(_mm256_set1_ps(kTanhHigh), _mm256_add_ps(magnitude, magnitude));  // in this order a NaN stays
  const __m256 round = _mm256_set1_ps(kExpRound);
  const __m256 n = _mm256_sub_ps(_mm256_fmadd_ps(c, _mm256_set1_ps(kExpLog2E), round), round);
  __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-kExpLn2High), c);
  r = _mm256_fmadd_ps(n, _mm256_set1_ps(-kExpLn2Low), r);
  __m256 p = _mm256_set1_ps(kExpPolynomial[0]);
  for (int i = 1; i < 6; ++i) p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExpPolynomial[i]));
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  const __m256 power = _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
  const __m256 small = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r);
  const __m256 e = _mm256_fmadd_ps(small, power, _mm256_sub_ps(power, _mm256_set1_ps(1.0F)));
  return _mm256_or_ps(_mm256_div_ps(e, _mm256_add_ps(e, _mm256_set1_ps(2.0F))), _mm256_and_ps(x, sign));
}

inline __m256 Softcap(__m256 x, __m256 cap) { return _mm256_mul_ps(cap, Tanh(_mm256_div_ps(x, cap))); }

}  // namespace
}  // namespace millrace::kernels

#endif  // __AVX2__
