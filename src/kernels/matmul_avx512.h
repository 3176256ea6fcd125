// The matrix products of quantised forms with AVX-512 and its VNNI: one template over forms, instantiated in matmul_avx512_*.cc a few forms
// each. Included only by files that are compiled for AVX-512; of packed_layout.h it uses constants only.
//
// The layout is that of AVX2 (packed.h): strips of 8 rows. One strip fills a register of 256 bits; several activation rows work on two
// strips at once, one in each half of 512 bits, so that 16 rows of weights share what is done for one.
//
// Unsigned codes times signed activations, four products a lane, go to 32 bits without saturation. Codes that stand for q - z begin with -z
// times the sum of the activations, 8-bit codes are read as q + 128: at most 32 * 255 * 127 = 1,036,320, far from 2^31.
#pragma once

#if defined(__AVX512VNNI__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/lanes_avx2.h"
#include "kernels/matmul_forms_avx512.h"
#include "kernels/matmul_prefetch.h"
#include "kernels/matmul_scales_avx2.h"
#include "kernels/packed_layout.h"
#include "kernels/strips_avx512.h"

namespace millrace::kernels {
namespace {

[[gnu::always_inline]] inline int32_t FourBytes(const void* x) {
  int32_t four;
  std::memcpy(&four, x, sizeof(four));
  return four;
}

// kM activation rows times the strips of S. All pointers are those of the group at hand, of the first row and strip.
template <int kM, typename S>
struct WideTile {
  const std::byte* planes;
  size_t strip_bytes;
  const int8_t* codes;
  const float* scales;
  const float* sums;
  const int16_t* minus_sums;
  size_t cols;
  size_t groups;

  using Int = typename S::Int;
  using Float = typename S::Float;

  [[gnu::always_inline]] const std::byte* Planes(int strip) const { return planes + size_t(strip) * strip_bytes; }
  // Four activations of row i for all lanes.
  [[gnu::always_inline]] Int Codes(int i, int col) const { return S::Broadcast(FourBytes(codes + size_t(i) * cols + col)); }
  [[gnu::always_inline]] Float Scale(int i) const { return S::Numbers(scales[size_t(i) * groups]); }
  [[gnu::always_inline]] Float Sum(int i) const { return S::Numbers(sums[size_t(i) * groups]); }
  // -zero times the activations of row i. Pair 0: columns 0-15, 1: 16-31, 2: all.
  template <int kZero>
  [[gnu::always_inline]] Int Begin(int i, int pair) const {
    if constexpr (kZero == 0) return S::Broadcast(0);
    return S::AddPairs(S::Broadcast(FourBytes(minus_sums + kMinusSums * size_t(i) * groups + 2 * pair)),
                       S::Words(int16_t{kZero}));
  }
  [[gnu::always_inline]] void Next(size_t plane_bytes) {
    planes += plane_bytes;
    codes += kGroupCols;
    scales += 1;
    sums += 1;
    minus_sums += kMinusSums;
  }
};

// Columns 4 j + c (kHalf 0) or 16 + 4 j + c (kHalf 1) of 4, 5 or 6 bits.
template <typename S, uint32_t kBits, int kJ, int kHalf>
[[gnu::always_inline]] inline typename S::Int UnpackWide(typename S::Int both, const std::byte* planes, size_t strip_bytes) {
  using Int = typename S::Int;
  const Int low = S::And(kHalf == 0 ? both : S::template Right<4>(both), S::Bytes(0x0F));
  if constexpr (kBits == 4) return low;
  if constexpr (kBits == 5) {
    const Int high = S::LoadCodes(planes + 128, strip_bytes);
    const Int bit = kHalf == 0 ? S::template Left<4 - kJ>(high) : S::template Right<kJ>(high);
    return S::Or(low, S::And(bit, S::Bytes(0x10)));
  }
  const Int high = S::LoadCodes(planes + 128 + 32 * kHalf, strip_bytes);
  if constexpr (kJ < 2) {
    return S::Or(low, S::And(S::template Left<4 - 2 * kJ>(high), S::Bytes(0x30)));
  } else {
    return S::Or(low, S::And(S::template Right<2 * kJ - 4>(high), S::Bytes(0x30)));
  }
}

// The sums of the columns 0-15 go to `low`, those of 16-31 to `high`; they may be the same array.
template <uint32_t kBits, int kM, typename S>
[[gnu::always_inline]] inline void AddNibbles(const WideTile<kM, S>& tile, typename S::Int (&low)[kM],
                                              typename S::Int (&high)[kM]) {
  Unroll<4>([&](auto j) __attribute__((always_inline)) {
    const auto both = S::LoadCodes(tile.planes + 32 * j, tile.strip_bytes);
    const auto first = UnpackWide<S, kBits, j, 0>(both, tile.planes, tile.strip_bytes);
    const auto second = UnpackWide<S, kBits, j, 1>(both, tile.planes, tile.strip_bytes);
    Unroll<kM>([&](auto i) __attribute__((always_inline)) {
      low[i] = S::AddDot(low[i], first, tile.Codes(i, 4 * j));
      Pin(low[i]);
      high[i] = S::AddDot(high[i], second, tile.Codes(i, 16 + 4 * j));
      Pin(high[i]);
    });
  });
}

template <int kM, typename S>
[[gnu::always_inline]] inline void AddBytes(const WideTile<kM, S>& tile, typename S::Int (&sum)[kM]) {
  Unroll<8>([&](auto j) __attribute__((always_inline)) {
    const auto codes = S::Xor(S::LoadCodes(tile.planes + 32 * j, tile.strip_bytes), S::Bytes(static_cast<char>(0x80)));
    Unroll<kM>([&](auto i) __attribute__((always_inline)) {
      sum[i] = S::AddDot(sum[i], codes, tile.Codes(i, 4 * j));
      Pin(sum[i]);
    });
  });
}

// Half scales of 8 rows; half_scales: 16 bytes of a group in a strip's block (packed_layout.h).
[[gnu::always_inline]] inline __m256i HalfScales(const std::byte* half_scales, int half) {
  const __m128i order = half == 0 ? _mm_setr_epi8(0, 1, 2, 3, 8, 9, 10, 11, 0, 0, 0, 0, 0, 0, 0, 0)
                                  : _mm_setr_epi8(4, 5, 6, 7, 12, 13, 14, 15, 0, 0, 0, 0, 0, 0, 0, 0);
  return _mm256_cvtepi8_epi32(_mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(half_scales)), order));
}

// The integer that the scale of the group meets, for each row.
template <PackedForm kForm, int kM, typename S>
[[gnu::always_inline]] inline void DotGroup(const WideTile<kM, S>& tile, const std::byte* half_scales,
                                            typename S::Int (&dot)[kM]) {
  constexpr uint32_t kBits = InfoOf(kForm).bits;
  constexpr int kZero = kBits == 8 ? kAffine8Zero : InfoOf(kForm).zero;
  if constexpr (InfoOf(kForm).scales == ScaleKind::kHalves) {
    typename S::Int high[kM];
    Unroll<kM>([&](auto i) __attribute__((always_inline)) {
      dot[i] = tile.template Begin<kZero>(i, 0);
      high[i] = tile.template Begin<kZero>(i, 1);
    });
    AddNibbles<kBits>(tile, dot, high);
    __m256i scales[2][S::kStrips];
    for (int s = 0; s < S::kStrips; ++s) {
      scales[0][s] = HalfScales(half_scales + size_t(s) * tile.strip_bytes, 0);
      scales[1][s] = HalfScales(half_scales + size_t(s) * tile.strip_bytes, 1);
    }
    const auto first = S::Join(scales[0]);
    const auto second = S::Join(scales[1]);
    Unroll<kM>([&](auto i)
                   __attribute__((always_inline)) { dot[i] = S::Add(S::Multiply(dot[i], first), S::Multiply(high[i], second)); });
    return;
  }
  Unroll<kM>([&](auto i) __attribute__((always_inline)) { dot[i] = tile.template Begin<kZero>(i, 2); });
  if constexpr (kBits == 8) {
    AddBytes(tile, dot);
  } else {
    AddNibbles<kBits>(tile, dot, dot);
  }
}

template <PackedForm kForm, int kM, typename S>
[[gnu::always_inline]] inline void AddScaled(const WideTile<kM, S>& tile, const BlockScales<kForm> (&scales)[S::kStrips],
                                             size_t in_block, const typename S::Int (&dot)[kM], typename S::Float (&total)[kM]) {
  constexpr bool kHasBias = InfoOf(kForm).scales == ScaleKind::kAffine || InfoOf(kForm).scales == ScaleKind::kTwoLevel;
  __m256 parts[S::kStrips];
  for (int s = 0; s < S::kStrips; ++s) parts[s] = scales[s].Scale(in_block);
  const auto scale = S::Join(parts);
  typename S::Float bias;
  if constexpr (kHasBias) {
    for (int s = 0; s < S::kStrips; ++s) parts[s] = scales[s].Bias(in_block);
    bias = S::Join(parts);
  }
  Unroll<kM>([&](auto i) __attribute__((always_inline)) {
    total[i] = S::MultiplyAdd(S::Multiply(scale, tile.Scale(i)), S::ToFloat(dot[i]), total[i]);
    if constexpr (kHasBias) total[i] = S::MultiplyAdd(bias, tile.Sum(i), total[i]);
  });
}

// What a call of Matmul works on.
struct WideJob {
  const PackedMatrix& w;
  const QuantRows& x;
  const OutputRows& y;
  size_t strip_bytes;
};

template <int kM, typename S>
[[gnu::always_inline]] inline void StoreWide(const WideJob& job, size_t m, size_t strip, const typename S::Float (&total)[kM]) {
  for (int s = 0; s < S::kStrips; ++s) {
    const size_t row = (strip + size_t(s)) * kStripRows;
    const size_t count = job.w.rows - row;
    for (int i = 0; i < kM; ++i) {
      float* at = job.y.data + (m + size_t(i)) * job.y.stride + row;
      const __m256 value = S::Part(total[i], s);
      StoreFirst(at, count, job.y.add ? _mm256_add_ps(LoadFirst(at, count), value) : value);
    }
  }
}

// Activation rows from m on, strips from `strip` on. kGroups: groups of a block; 0 where only the matrix knows.
template <PackedForm kForm, int kGroups, int kM, typename S>
[[gnu::noinline]] void RunWideTile(const WideJob& job, size_t m, size_t strip) {
  constexpr size_t kPlanes = PlaneBytes(kForm);
  const size_t in_blocks = kGroups != 0 ? kGroups : job.w.group / kGroupCols;
  const size_t groups = job.w.cols / kGroupCols;
  const size_t ahead = PrefetchDistance<S::kStrips>(job.strip_bytes);
  const bool first = m == 0;
  WideTile<kM, S> tile{.planes = job.w.data + strip * job.strip_bytes,
                       .strip_bytes = job.strip_bytes,
                       .codes = job.x.codes + m * job.w.cols,
                       .scales = job.x.scales + m * groups,
                       .sums = job.x.sums + m * groups,
                       .minus_sums = job.x.minus_sums + m * groups * kMinusSums,
                       .cols = job.w.cols,
                       .groups = groups};
  typename S::Float total[kM] = {};
  for (size_t left = groups; left > 0; left -= in_blocks) {
    BlockScales<kForm> scales[S::kStrips];
    const std::byte* half_scales = tile.planes + 16;
    for (int s = 0; s < S::kStrips; ++s) {
      if (first) Prefetch<ScaleBytes(kForm)>(tile.Planes(s) + ahead);
      scales[s].Begin(tile.Planes(s));
    }
    tile.planes += ScaleBytes(kForm);
    for (size_t in_block = 0; in_block < in_blocks; ++in_block, tile.Next(kPlanes), half_scales += 16) {
      for (int s = 0; s < S::kStrips && first; ++s) Prefetch<kPlanes>(tile.Planes(s) + ahead);
      typename S::Int dot[kM];
      DotGroup<kForm>(tile, half_scales, dot);
      AddScaled<kForm>(tile, scales, in_block, dot, total);
    }
  }
  StoreWide<kM, S>(job, m, strip, total);
}

template <PackedForm kForm, int kGroups, typename S>
void RunWideRows(const WideJob& job, size_t rows, size_t strip) {
  size_t m = 0;
  for (; rows - m >= 8; m += 8) RunWideTile<kForm, kGroups, 8, S>(job, m, strip);
  if (rows - m >= 4) {
    RunWideTile<kForm, kGroups, 4, S>(job, m, strip);
    m += 4;
  }
  if (rows - m >= 2) {
    RunWideTile<kForm, kGroups, 2, S>(job, m, strip);
    m += 2;
  }
  if (rows > m) RunWideTile<kForm, kGroups, 1, S>(job, m, strip);
}

// Strips outside, so that a strip is read from memory once and from the caches for all further activation rows. A single row takes one strip
// after the other: one stream, and its loads keep up with memory.
template <PackedForm kForm, int kGroups>
void RunWideStrips(const PackedMatrix& w, IndexRange strips, const QuantRows& x, uint32_t rows, const OutputRows& y) {
  const size_t strip_bytes = size_t{w.cols} / w.group * (ScaleBytes(kForm) + size_t{w.group} / kGroupCols * PlaneBytes(kForm));
  const WideJob job{w, x, y, strip_bytes};
  size_t strip = strips.begin;
  for (; rows > 1 && strip + 2 <= strips.end; strip += 2) RunWideRows<kForm, kGroups, TwoStrips>(job, rows, strip);
  for (; strip < strips.end; ++strip) RunWideRows<kForm, kGroups, OneStrip>(job, rows, strip);
}

}  // namespace

template <PackedForm kForm>
void avx512::Matmul(const PackedMatrix& w, IndexRange strips, const InputRows& x, uint32_t rows, const OutputRows& y) {
  if constexpr (InfoOf(kForm).scales == ScaleKind::kTwoLevel || InfoOf(kForm).scales == ScaleKind::kHalves) {
    return RunWideStrips<kForm, 8>(w, strips, x.quant, rows, y);
  } else if (InfoOf(kForm).scales == ScaleKind::kScale || w.group == kGroupCols) {
    return RunWideStrips<kForm, 1>(w, strips, x.quant, rows, y);
  }
  if constexpr (InfoOf(kForm).scales == ScaleKind::kAffine) RunWideStrips<kForm, 0>(w, strips, x.quant, rows, y);
}

}  // namespace millrace::kernels

#endif  // __AVX512VNNI__
