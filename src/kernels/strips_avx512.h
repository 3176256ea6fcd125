// One strip of weights in 256 bits, or two in 512, under the same names, for the matrix products with AVX-512. Included only by files that
// are compiled for it.
#pragma once

#if defined(__AVX512VNNI__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/matmul_scales_avx2.h"

namespace millrace::kernels {
namespace {

// One strip: 8 lanes.
struct OneStrip {
  using Int = __m256i;
  using Float = __m256;
  static constexpr int kStrips = 1;

  [[gnu::always_inline]] static Int LoadCodes(const std::byte* at, size_t) { return Load32(at); }
  [[gnu::always_inline]] static Int Bytes(char value) { return _mm256_set1_epi8(value); }
  [[gnu::always_inline]] static Int Words(int16_t value) { return _mm256_set1_epi16(value); }
  [[gnu::always_inline]] static Int Broadcast(int32_t value) { return _mm256_set1_epi32(value); }
  [[gnu::always_inline]] static Int And(Int a, Int b) { return _mm256_and_si256(a, b); }
  [[gnu::always_inline]] static Int Or(Int a, Int b) { return _mm256_or_si256(a, b); }
  [[gnu::always_inline]] static Int Xor(Int a, Int b) { return _mm256_xor_si256(a, b); }
  template <int kBits>
  [[gnu::always_inline]] static Int Right(Int a) {
    return _mm256_srli_epi16(a, kBits);
  }
  template <int kBits>
  [[gnu::always_inline]] static Int Left(Int a) {
    return _mm256_slli_epi16(a, kBits);
  }
  [[gnu::always_inline]] static Int AddDot(Int sum, Int codes, Int x) { return _mm256_dpbusd_epi32(sum, codes, x); }
  [[gnu::always_inline]] static Int AddPairs(Int a, Int b) { return _mm256_madd_epi16(a, b); }
  [[gnu::always_inline]] static Int Add(Int a, Int b) { return _mm256_add_epi32(a, b); }
  [[gnu::always_inline]] static Int Multiply(Int a, Int b) { return _mm256_mullo_epi32(a, b); }
  [[gnu::always_inline]] static Float ToFloat(Int a) { return _mm256_cvtepi32_ps(a); }
  [[gnu::always_inline]] static Float Numbers(float value) { return _mm256_set1_ps(value); }
  [[gnu::always_inline]] static Float Multiply(Float a, Float b) { return _mm256_mul_ps(a, b); }
  [[gnu::always_inline]] static Float MultiplyAdd(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  [[gnu::always_inline]] static Float Join(const __m256 (&parts)[1]) { return parts[0]; }
  [[gnu::always_inline]] static Int Join(const __m256i (&parts)[1]) { return parts[0]; }
  [[gnu::always_inline]] static __m256 Part(Float a, int) { return a; }
};

// Two strips, one in each half: 16 lanes.
struct TwoStrips {
  using Int = __m512i;
  using Float = __m512;
  static constexpr int kStrips = 2;

  [[gnu::always_inline]] static Int LoadCodes(const std::byte* at, size_t strip_bytes) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(Load32(at)), Load32(at + strip_bytes), 1);
  }
  [[gnu::always_inline]] static Int Bytes(char value) { return _mm512_set1_epi8(value); }
  [[gnu::always_inline]] static Int Words(int16_t value) { return _mm512_set1_epi16(value); }
  [[gnu::always_inline]] static Int Broadcast(int32_t value) { return _mm512_set1_epi32(value); }
  [[gnu::always_inline]] static Int And(Int a, Int b) { return _mm512_and_si512(a, b); }
  [[gnu::always_inline]] static Int Or(Int a, Int b) { return _mm512_or_si512(a, b); }
  [[gnu::always_inline]] static Int Xor(Int a, Int b) { return _mm512_xor_si512(a, b); }
  template <int kBits>
  [[gnu::always_inline]] static Int Right(Int a) {
    return _mm512_srli_epi16(a, kBits);
  }
  template <int kBits>
  [[gnu::always_inline]] static Int Left(Int a) {
    return _mm512_slli_epi16(a, kBits);
  }
  [[gnu::always_inline]] static Int AddDot(Int sum, Int codes, Int x) { return _mm512_dpbusd_epi32(sum, codes, x); }
  [[gnu::always_inline]] static Int AddPairs(Int a, Int b) { return _mm512_madd_epi16(a, b); }
  [[gnu::always_inline]] static Int Add(Int a, Int b) { return _mm512_add_epi32(a, b); }
  [[gnu::always_inline]] static Int Multiply(Int a, Int b) { return _mm512_mullo_epi32(a, b); }
  [[gnu::always_inline]] static Float ToFloat(Int a) { return _mm512_cvtepi32_ps(a); }
  [[gnu::always_inline]] static Float Numbers(float value) { return _mm512_set1_ps(value); }
  [[gnu::always_inline]] static Float Multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
  [[gnu::always_inline]] static Float MultiplyAdd(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  [[gnu::always_inline]] static Float Join(const __m256 (&parts)[2]) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(parts[0]), parts[1], 1);
  }
  [[gnu::always_inline]] static Int Join(const __m256i (&parts)[2]) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(parts[0]), parts[1], 1);
  }
  [[gnu::always_inline]] static __m256 Part(Float a, int strip) {
    return strip == 0 ? _mm512_castps512_ps256(a) : _mm512_extractf32x8_ps(a, 1);
  }
};

// Integer sums are free to be reordered, and GCC does: it keeps products alive across the steps of a loop and spills most of them. This
// pins a sum where it stands.
template <typename Int>
[[gnu::always_inline]] inline void Pin(Int& value) {
  __asm__("" : "+v"(value));
}

}  // namespace
}  // namespace millrace::kernels

#endif  // __AVX512VNNI__
