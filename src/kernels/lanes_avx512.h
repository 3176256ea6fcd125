// What the AVX-512 files share: the sixteen lanes of the definition are one register. Included only by files that are compiled for AVX-512,
// each of which gets its own copy, for the reason that lanes_avx2.h gives.
#pragma once

#if defined(__AVX512F__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_constants.h"
#include "kernels/lanes_avx2.h"

namespace millrace::kernels {
namespace {

// The first n lanes.
inline __mmask16 FirstOf16(size_t n) { return n >= 16 ? __mmask16{0xFFFF} : static_cast<__mmask16>((1U << n) - 1); }

inline float SumLanes(__m512 lanes) { return SumLanes(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1)); }

inline __m512 Exp(__m512 x) {
  __m512 c = _mm512_max_ps(x, _mm512_set1_ps(kExpLow));
  c = _mm512_min_ps(c, _mm512_set1_ps(kExpHigh));
  const __m512 round = _mm512_set1_ps(kExpRound);
  const __m512 n = _mm512_sub_ps(_mm512_fmadd_ps(c, _mm512_set1_ps(kExpLog2E), round), round);
  __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-kExpLn2High), c);
  r = _mm512_fmadd_ps(n, _mm512_set1_ps(-kExpLn2Low), r);
  __m512 p = _mm512_set1_ps(kExpPolynomial[0]);
  for (int i = 1; i < 6; ++i) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExpPolynomial[i]));
  const __m512 mantissa = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1.0F));
  const __m512i raised = _mm512_add_epi32(_mm512_castps_si512(mantissa), _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23));
  const __mmask16 in_range = _mm512_cmp_ps_mask(x, _mm512_set1_ps(kExpLow), _CMP_GE_OQ);
  return _mm512_maskz_mov_ps(in_range, _mm512_castsi512_ps(raised));
}

}  // namespace
}  // namespace millrace::kernels

#endif  // __AVX512F__
