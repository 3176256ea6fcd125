// The integer dot products of 1 to 4 activation rows with one or two strips, for one group of 32 columns. Included only by files that are
// compiled for AVX2; of packed_layout.h it uses constants only.
//
// 16-bit sums. A multiplication of bytes (maddubs) gives sums of two products q x, |x| <= 127, and must not exceed 32,767, for it
// saturates; additions of 16 bits wrap, so only the final value must fit. A row and group has 32 columns in two 16-bit lanes, i.e. 8 such
// pairs in each.
//   4 bits    pair at most 2 * 15 * 127 = 3,810; all 8: 30,480. Minus 8 (Q4_0): at most 8 * 2 * 8 * 127 = 16,256.
//   5 bits    pair at most 2 * 31 * 127 = 7,874; all 8 would not fit, but minus 16 they do: 8 * 2 * 16 * 127 = 32,512. So the chain begins
//             with -16 times the activations in its columns, and for unsigned codes that is added back in 32 bits.
//   6 bits    pair at most 2 * 63 * 127 = 16,002; minus 32, four pairs fit: 4 * 2 * 32 * 127 = 32,512. So the halves of a group (16
//             columns) are chains of their own, each beginning with -32 times its activations.
//   8 bits    |q| * (x with q's sign): a pair is at most 2 * 128 * 127 = 32,512, and each goes to 32 bits by itself.
// Q6_K: each lane times its scale, at most 32,512 * 128, four of them: 16,646,144 < 2^24, exact even as a float.
#pragma once

#if defined(__AVX2__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/kernel_table.h"
#include "kernels/lanes_avx2.h"
#include "kernels/matmul_scales_avx2.h"
#include "kernels/packed_layout.h"

namespace millrace::kernels {
namespace {

// Integer sums are free to be reordered, and GCC does: across the steps of a loop it keeps all products alive and spills most of
// them. This pins a sum where it stands.
[[gnu::always_inline]] inline void Pin(__m256i& value) { __asm__("" : "+x"(value)); }

// Four bytes, or two numbers of 16 bits, for all rows.
[[gnu::always_inline]] inline __m256i Broadcast4(const void* x) {
  int32_t four;
  std::memcpy(&four, x, sizeof(four));
  return _mm256_set1_epi32(four);
}

// kM activation rows times kS strips. The weights are unpacked once for all rows, and each broadcast of activations serves all strips: with
// one strip, four rows are bound by the loads. All pointers are those of the group at hand; Next moves on to the next one.
template <int kM, int kS>
struct Tile {
  const std::byte* planes;  // of the first strip
  size_t strip_bytes;
  const int8_t* codes;  // of the first row; so are the others
  const float* scales;
  const float* sums;
  const int16_t* minus_sums;
  size_t cols;
  size_t groups;

  [[gnu::always_inline]] const std::byte* Planes(int s) const { return planes + size_t(s) * strip_bytes; }
  [[gnu::always_inline]] const int8_t* Codes(int i) const { return codes + size_t(i) * cols; }
  [[gnu::always_inline]] __m256 Scale(int i) const { return _mm256_broadcast_ss(scales + size_t(i) * groups); }
  [[gnu::always_inline]] __m256 Sum(int i) const { return _mm256_broadcast_ss(sums + size_t(i) * groups); }
  // Pair 0: columns 0-15, 1: 16-31, 2: all.
  [[gnu::always_inline]] __m256i MinusSums(int i, int pair) const {
    return Broadcast4(minus_sums + kMinusSums * size_t(i) * groups + 2 * pair);
  }
  [[gnu::always_inline]] void Next(size_t plane_bytes) {
    planes += plane_bytes;
    codes += kGroupCols;
    scales += 1;
    sums += 1;
    minus_sums += kMinusSums;
  }
};

// ---- integer dot products of the group at hand ----

// Columns 4 j + c (half 0) or 16 + 4 j + c (half 1) of 4, 5 or 6 bits.
template <uint32_t kBits>
[[gnu::always_inline]] inline __m256i UnpackCodes(const std::byte* planes, int j, int half) {
  const __m256i both = Load32(planes + 32 * j);
  const __m256i low = _mm256_and_si256(half == 0 ? both : _mm256_srli_epi16(both, 4), _mm256_set1_epi8(0x0F));
  if constexpr (kBits == 4) return low;
  if constexpr (kBits == 5) {
    const __m256i high = Load32(planes + 128);
    const __m256i bit = half == 0 ? _mm256_slli_epi16(high, 4 - j) : _mm256_srli_epi16(high, j);
    return _mm256_or_si256(low, _mm256_and_si256(bit, _mm256_set1_epi8(0x10)));
  }
  const __m256i high = Load32(planes + 128 + 32 * half);
  const __m256i bits = j < 2 ? _mm256_slli_epi16(high, 4 - 2 * j) : _mm256_srli_epi16(high, 2 * j - 4);
  return _mm256_or_si256(low, _mm256_and_si256(bits, _mm256_set1_epi8(0x30)));
}

template <int kM, int kS>
using Sums = __m256i[kS][kM];

// 4 and 5 bits: one chain, which leaves half sums in 16 bits.
template <PackedForm kForm, int kM, int kS>
[[gnu::always_inline]] inline void DotChained(const Tile<kM, kS>& tile, Sums<kM, kS>& dot) {
  constexpr uint32_t kBits = InfoOf(kForm).bits;
  constexpr int kZeroBits = kBits == 5 ? 4 : InfoOf(kForm).zero == 8 ? 3 : 0;  // the chain begins with -2^kZeroBits times x
  __m256i chain[kS][kM];
  for (int i = 0; i < kM; ++i) {
    const __m256i begin = kZeroBits > 0 ? _mm256_slli_epi16(tile.MinusSums(i, 2), kZeroBits) : _mm256_setzero_si256();
    for (int s = 0; s < kS; ++s) chain[s][i] = begin;
  }
  Unroll<4>([&](auto j) __attribute__((always_inline)) {
    __m256i low[kS];
    __m256i high[kS];
    for (int s = 0; s < kS; ++s) {
      low[s] = UnpackCodes<kBits>(tile.Planes(s), j, 0);
      high[s] = UnpackCodes<kBits>(tile.Planes(s), j, 1);
    }
    for (int i = 0; i < kM; ++i) {
      const __m256i first = Broadcast4(tile.Codes(i) + 4 * j);
      const __m256i second = Broadcast4(tile.Codes(i) + 16 + 4 * j);
      for (int s = 0; s < kS; ++s) {
        chain[s][i] = _mm256_add_epi16(chain[s][i], _mm256_maddubs_epi16(low[s], first));
        Pin(chain[s][i]);
        chain[s][i] = _mm256_add_epi16(chain[s][i], _mm256_maddubs_epi16(high[s], second));
        Pin(chain[s][i]);
      }
    }
  });
  for (int i = 0; i < kM; ++i) {
    for (int s = 0; s < kS; ++s) dot[s][i] = _mm256_madd_epi16(chain[s][i], _mm256_set1_epi16(1));
    if constexpr (kBits == 5 && InfoOf(kForm).zero == 0) {
      const __m256i back = _mm256_madd_epi16(tile.MinusSums(i, 2), _mm256_set1_epi16(-16));
      for (int s = 0; s < kS; ++s) dot[s][i] = _mm256_add_epi32(dot[s][i], back);
    }
  }
}

// What the 16-bit sums of half a group are multiplied with: for Q6_K the half scales, twice each; else ones.
template <PackedForm kForm>
[[gnu::always_inline]] inline __m256i HalfFactor(const std::byte* half_scales, int half) {
  if constexpr (InfoOf(kForm).scales != ScaleKind::kHalves) return _mm256_set1_epi16(1);
  const __m256i words = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(half_scales)));
  return half == 0 ? _mm256_unpacklo_epi16(words, words) : _mm256_unpackhi_epi16(words, words);
}

// 6 bits: a chain for each half. half_scales: 16 bytes of the group in the first strip's block, for Q6_K.
template <PackedForm kForm, int kM, int kS>
[[gnu::always_inline]] inline void DotHalves(const Tile<kM, kS>& tile, const std::byte* half_scales, Sums<kM, kS>& dot) {
  Unroll<2>([&](auto half) __attribute__((always_inline)) {
    __m256i chain[kS][kM];
    for (int i = 0; i < kM; ++i) {
      const __m256i begin = _mm256_slli_epi16(tile.MinusSums(i, half), 5);
      for (int s = 0; s < kS; ++s) chain[s][i] = begin;
    }
    Unroll<4>([&](auto j) __attribute__((always_inline)) {
      __m256i codes[kS];
      for (int s = 0; s < kS; ++s) codes[s] = UnpackCodes<6>(tile.Planes(s), j, half);
      for (int i = 0; i < kM; ++i) {
        const __m256i four = Broadcast4(tile.Codes(i) + 16 * half + 4 * j);
        for (int s = 0; s < kS; ++s) {
          chain[s][i] = _mm256_add_epi16(chain[s][i], _mm256_maddubs_epi16(codes[s], four));
          Pin(chain[s][i]);
        }
      }
    });
    for (int s = 0; s < kS; ++s) {
      const __m256i factor = HalfFactor<kForm>(half_scales + size_t(s) * tile.strip_bytes, half);
      for (int i = 0; i < kM; ++i) {
        const __m256i sum = _mm256_madd_epi16(chain[s][i], factor);
        dot[s][i] = half == 0 ? sum : _mm256_add_epi32(dot[s][i], sum);
      }
    }
  });
  if constexpr (InfoOf(kForm).zero == 0) {
    for (int i = 0; i < kM; ++i) {
      const __m256i back = _mm256_madd_epi16(tile.MinusSums(i, 2), _mm256_set1_epi16(-32));
      for (int s = 0; s < kS; ++s) dot[s][i] = _mm256_add_epi32(dot[s][i], back);
    }
  }
}

template <int kM, int kS>
[[gnu::always_inline]] inline void DotSigned(const Tile<kM, kS>& tile, Sums<kM, kS>& dot) {
  for (int s = 0; s < kS; ++s) {
    for (int i = 0; i < kM; ++i) dot[s][i] = _mm256_setzero_si256();
  }
  for (int j = 0; j < 8; ++j) {
    __m256i code[kS];
    __m256i magnitude[kS];
    for (int s = 0; s < kS; ++s) {
      code[s] = Load32(tile.Planes(s) + 32 * j);
      magnitude[s] = _mm256_abs_epi8(code[s]);  // -128 becomes 128, read as unsigned
    }
    for (int i = 0; i < kM; ++i) {
      const __m256i four = Broadcast4(tile.Codes(i) + 4 * j);
      for (int s = 0; s < kS; ++s) {
        const __m256i products = _mm256_maddubs_epi16(magnitude[s], _mm256_sign_epi8(four, code[s]));
        dot[s][i] = _mm256_add_epi32(dot[s][i], _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
        Pin(dot[s][i]);
      }
    }
  }
}

}  // namespace
}  // namespace millrace::kernels

#endif  // __AVX2__
