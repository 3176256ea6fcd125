// Scales and biases of one block of 8 rows, as vectors of 8 floats. Included only by files that are compiled for AVX2; of packed_layout.h
// it uses constants only.
#pragma once

#if defined(__AVX2__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/lanes_avx2.h"
#include "kernels/packed_layout.h"

namespace millrace::kernels {
namespace {

inline __m256i Load32(const std::byte* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }

template <DType kType>
[[gnu::always_inline]] inline __m256 LoadNumbers(const std::byte* from) {
  if constexpr (kType == DType::kF32) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(from));
  } else if constexpr (kType == DType::kF16) {
    return LoadHalves(from);
  } else {
    const __m128i upper = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(upper), 16));
  }
}

// Begin reads what the groups of a block share; Scale and Bias are of one of its groups.
template <PackedForm kForm, ScaleKind kKind = InfoOf(kForm).scales>
struct BlockScales {  // kScale and kHalves
  __m256 scale;

  [[gnu::always_inline]] void Begin(const std::byte* block) { scale = LoadHalves(block); }
  [[gnu::always_inline]] __m256 Scale(size_t) const { return scale; }
};

template <PackedForm kForm>
struct BlockScales<kForm, ScaleKind::kAffine> {
  __m256 scale;
  __m256 bias;

  [[gnu::always_inline]] void Begin(const std::byte* block) {
    constexpr DType kType = InfoOf(kForm).scale_type;
    scale = LoadNumbers<kType>(block);
    bias = LoadNumbers<kType>(block + ScaleBytes(kForm) / 2);
    if constexpr (InfoOf(kForm).bits == 8) bias = _mm256_fmadd_ps(_mm256_set1_ps(float{kAffine8Zero}), scale, bias);
  }
  [[gnu::always_inline]] __m256 Scale(size_t) const { return scale; }
  [[gnu::always_inline]] __m256 Bias(size_t) const { return bias; }
};

template <PackedForm kForm>
struct BlockScales<kForm, ScaleKind::kTwoLevel> {
  alignas(32) uint8_t scales[64];  // [group][row]
  alignas(32) uint8_t minima[64];
  __m256 d;
  __m256 minus_dmin;

  [[gnu::always_inline]] void Begin(const std::byte* block) {
    d = LoadHalves(block);
    minus_dmin = _mm256_xor_ps(LoadHalves(block + 16), _mm256_set1_ps(-0.0F));
    const __m256i low_scales = Load32(block + 32);
    const __m256i low_minima = Load32(block + 64);
    const __m256i high = Load32(block + 96);
    Unpack(low_scales, _mm256_slli_epi16(high, 4), scales);
    Unpack(_mm256_srli_epi16(low_scales, 4), _mm256_slli_epi16(high, 2), scales + 32);
    Unpack(low_minima, high, minima);
    Unpack(_mm256_srli_epi16(low_minima, 4), _mm256_srli_epi16(high, 2), minima + 32);
  }
  [[gnu::always_inline]] __m256 Scale(size_t group) const { return _mm256_mul_ps(d, Widen(scales + 8 * group)); }
  [[gnu::always_inline]] __m256 Bias(size_t group) const { return _mm256_mul_ps(minus_dmin, Widen(minima + 8 * group)); }

 private:
  // Bits 0-3 of `low` and 4-5 of `high`.
  [[gnu::always_inline]] static void Unpack(__m256i low, __m256i high, uint8_t* out) {
    const __m256i six =
        _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi8(0x0F)), _mm256_and_si256(high, _mm256_set1_epi8(0x30)));
    _mm256_store_si256(reinterpret_cast<__m256i*>(out), six);
  }
  [[gnu::always_inline]] static __m256 Widen(const uint8_t* from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
  }
};

}  // namespace
}  // namespace millrace::kernels

#endif  // __AVX2__
