// The matrix products of quantised forms with AVX2: one template over forms, instantiated in matmul_avx2_*.cc a few forms each. Included
// only by files that are compiled for AVX2; of packed_layout.h it uses constants only.
#pragma once

#if defined(__AVX2__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/lanes_avx2.h"
#include "kernels/matmul_dot_avx2.h"
#include "kernels/matmul_forms_avx2.h"
#include "kernels/matmul_prefetch.h"
#include "kernels/matmul_scales_avx2.h"
#include "kernels/packed_layout.h"

namespace millrace::kernels {
namespace {

template <PackedForm kForm, int kM, int kS>
[[gnu::always_inline]] inline void AddGroup(const Tile<kM, kS>& tile, const BlockScales<kForm> (&scales)[kS], size_t in_block,
                                            const Sums<kM, kS>& dot, __m256 (&total)[kS][kM]) {
  constexpr ScaleKind kKind = InfoOf(kForm).scales;
  for (int s = 0; s < kS; ++s) {
    const __m256 scale_w = scales[s].Scale(in_block);
    __m256 bias_w;
    if constexpr (kKind == ScaleKind::kAffine || kKind == ScaleKind::kTwoLevel) bias_w = scales[s].Bias(in_block);
    for (int i = 0; i < kM; ++i) {
      total[s][i] = _mm256_fmadd_ps(_mm256_mul_ps(scale_w, tile.Scale(i)), _mm256_cvtepi32_ps(dot[s][i]), total[s][i]);
      if constexpr (kKind == ScaleKind::kAffine || kKind == ScaleKind::kTwoLevel) {
        total[s][i] = _mm256_fmadd_ps(bias_w, tile.Sum(i), total[s][i]);
      }
    }
  }
}

// What a call of Matmul works on.
struct Job {
  const PackedMatrix& w;
  const QuantRows& x;
  const OutputRows& y;
  size_t strip_bytes;
};

template <int kM, int kS>
[[gnu::always_inline]] inline void Store(const Job& job, size_t m, size_t strip, const __m256 (&total)[kS][kM]) {
  for (int s = 0; s < kS; ++s) {
    const size_t row = (strip + size_t(s)) * kStripRows;
    const size_t count = job.w.rows - row;
    for (int i = 0; i < kM; ++i) {
      float* at = job.y.data + (m + size_t(i)) * job.y.stride + row;
      StoreFirst(at, count, job.y.add ? _mm256_add_ps(LoadFirst(at, count), total[s][i]) : total[s][i]);
    }
  }
}

// Activation rows from m on, strips from `strip` on. kGroups: groups of a block; 0 where only the matrix knows.
template <PackedForm kForm, int kGroups, int kM, int kS>
[[gnu::noinline]] void RunTile(const Job& job, size_t m, size_t strip) {
  constexpr uint32_t kBits = InfoOf(kForm).bits;
  constexpr size_t kPlanes = PlaneBytes(kForm);
  const size_t in_blocks = kGroups != 0 ? kGroups : job.w.group / kGroupCols;
  const size_t groups = job.w.cols / kGroupCols;
  const size_t ahead = PrefetchDistance<kS>(job.strip_bytes);
  const bool first = m == 0;
  Tile<kM, kS> tile{.planes = job.w.data + strip * job.strip_bytes,
                    .strip_bytes = job.strip_bytes,
                    .codes = job.x.codes + m * job.w.cols,
                    .scales = job.x.scales + m * groups,
                    .sums = job.x.sums + m * groups,
                    .minus_sums = job.x.minus_sums + m * groups * kMinusSums,
                    .cols = job.w.cols,
                    .groups = groups};
  __m256 total[kS][kM] = {};
  for (size_t left = groups; left > 0; left -= in_blocks) {
    BlockScales<kForm> scales[kS];
    const std::byte* half_scales = tile.planes + 16;
    for (int s = 0; s < kS; ++s) {
      if (first) Prefetch<ScaleBytes(kForm)>(tile.Planes(s) + ahead);
      if constexpr (kGroups != 1) scales[s].Begin(tile.Planes(s));
    }
    tile.planes += ScaleBytes(kForm);
    for (size_t in_block = 0; in_block < in_blocks; ++in_block, tile.Next(kPlanes), half_scales += 16) {
      for (int s = 0; s < kS && first; ++s) Prefetch<kPlanes>(tile.Planes(s) + ahead);
      Sums<kM, kS> dot;
      if constexpr (kBits == 8) {
        DotSigned(tile, dot);
      } else if constexpr (kBits == 6) {
        DotHalves<kForm>(tile, half_scales, dot);
      } else {
        DotChained<kForm>(tile, dot);
      }
      if constexpr (kGroups == 1) {  // only now: there are too few registers to keep them
        for (int s = 0; s < kS; ++s) scales[s].Begin(tile.Planes(s) - ScaleBytes(kForm));
      }
      AddGroup<kForm>(tile, scales, in_block, dot, total);
    }
  }
  Store(job, m, strip, total);
}

// All rows times kS strips.
template <PackedForm kForm, int kGroups, int kS>
void RunRows(const Job& job, size_t rows, size_t strip) {
  size_t m = 0;
  for (; rows - m >= 4; m += 4) RunTile<kForm, kGroups, 4, kS>(job, m, strip);
  if (rows - m == 3) return RunTile<kForm, kGroups, 3, kS>(job, m, strip);
  if (rows - m == 2) return RunTile<kForm, kGroups, 2, kS>(job, m, strip);
  if (rows - m == 1) RunTile<kForm, kGroups, 1, kS>(job, m, strip);
}

// Strips outside, so that a strip is read from memory once and from the first-level cache for all further activation rows. A single row
// takes one strip after the other: one stream, and its loads keep up with memory.
template <PackedForm kForm, int kGroups>
void RunStrips(const PackedMatrix& w, IndexRange strips, const QuantRows& x, uint32_t rows, const OutputRows& y) {
  const size_t strip_bytes = size_t{w.cols} / w.group * (ScaleBytes(kForm) + size_t{w.group} / kGroupCols * PlaneBytes(kForm));
  const Job job{w, x, y, strip_bytes};
  size_t strip = strips.begin;
  for (; rows > 1 && strip + 2 <= strips.end; strip += 2) RunRows<kForm, kGroups, 2>(job, rows, strip);
  for (; strip < strips.end; ++strip) RunRows<kForm, kGroups, 1>(job, rows, strip);
}

}  // namespace

template <PackedForm kForm>
void avx2::Matmul(const PackedMatrix& w, IndexRange strips, const InputRows& x, uint32_t rows, const OutputRows& y) {
  if constexpr (InfoOf(kForm).scales == ScaleKind::kTwoLevel || InfoOf(kForm).scales == ScaleKind::kHalves) {
    return RunStrips<kForm, 8>(w, strips, x.quant, rows, y);
  } else if (InfoOf(kForm).scales == ScaleKind::kScale || w.group == kGroupCols) {
    return RunStrips<kForm, 1>(w, strips, x.quant, rows, y);
  }
  if constexpr (InfoOf(kForm).scales == ScaleKind::kAffine) RunStrips<kForm, 0>(w, strips, x.quant, rows, y);
}

}  // namespace millrace::kernels

#endif  // __AVX2__
