// Attention with AVX-512: sixteen positions of a key block, or sixteen dimensions of a value, are one register.
#if defined(__x86_64__)

#include "kernels/attention_avx512.h"

#include <immintrin.h>

#include "kernels/attention_x86.h"
#include "kernels/lanes_avx512.h"

namespace millrace::kernels {
namespace {

__m512 Load16(const uint16_t* x) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x))); }
__m512 Load16(const float* x) { return _mm512_loadu_ps(x); }
__m512 LoadFirst16(const uint16_t* x, __mmask16 mask) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, x)); }
__m512 LoadFirst16(const float* x, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, x); }

// Scores of kQ queries for kH half-blocks of 16 positions from half-block `half` on. Each key is loaded (and widened) once for all queries.
template <typename T, int kQ, int kH>
void ScoreHalves(const AttendTileArgs<T>& args, uint32_t query, uint32_t half, const T* ahead) {
  const uint32_t head_dim = args.head_dim;
  const T* keys[kH];
  const float* queries[kQ];
  __m512 sum[kQ][kH];
  Unroll<kH>([&](auto h) { keys[h] = args.k_blocks[(half + h) / 2] + (half + h) % 2 * (size_t{16} * head_dim); });
  Unroll<kQ>([&](auto q) {
    queries[q] = args.queries[query + q];
    Unroll<kH>([&](auto h) { sum[q][h] = _mm512_setzero_ps(); });
  });
  for (uint32_t d = 0; d < head_dim; ++d) {
    if (ahead != nullptr) _mm_prefetch(ahead + kH * 16 * d, _MM_HINT_T0);
    Unroll<kH>([&](auto h) {
      const __m512 key = Load16(keys[h] + 16 * d);
      Unroll<kQ>([&](auto q) { sum[q][h] = _mm512_fmadd_ps(_mm512_set1_ps(queries[q][d]), key, sum[q][h]); });
    });
  }
  const __m512 scale = _mm512_set1_ps(args.scale);
  float* out = args.scratch + size_t{query} * kTilePositions + half * 16;
  Unroll<kQ>([&](auto q) {
    Unroll<kH>([&](auto h) { _mm512_storeu_ps(out + size_t{kTilePositions} * q + 16 * h, _mm512_mul_ps(sum[q][h], scale)); });
  });
}

template <typename T, int kQ>
void ScoreQueries(const AttendTileArgs<T>& args, uint32_t query) {
  uint32_t longest = 0;
  uint32_t earliest = kTilePositions;
  for (int q = 0; q < kQ; ++q) {
    longest = args.visible[query + q] > longest ? args.visible[query + q] : longest;
    earliest = FirstOf(args, query + q) < earliest ? FirstOf(args, query + q) : earliest;
  }
  const uint32_t halves = (longest + 15) / 16;
  uint32_t half = earliest / 16;
  for (; half + 2 <= halves; half += 2) ScoreHalves<T, kQ, 2>(args, query, half, AheadOfKeys(args, half / 2, (halves + 1) / 2));
  for (; half < halves; ++half) ScoreHalves<T, kQ, 1>(args, query, half, AheadOfKeys(args, half / 2, (halves + 1) / 2));
}

// Scores to weights, in place; maximum and denominator to the state. Lanes outside of [first, visible) become 0, as far as the groups
// of 16 reach in which they begin and end.
void SoftmaxTile(float* scores, uint32_t first_visible, uint32_t visible, float softcap, float* state_tail) {
  const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
  __m512 maxima = lowest;
  const uint32_t begin = first_visible / 16 * 16;
  for (uint32_t at = begin; at < visible; at += 16) {
    __m512 s = _mm512_loadu_ps(scores + at);
    if (softcap != 0) {
      const __m256 cap = _mm256_set1_ps(softcap);
      s = _mm512_insertf32x8(_mm512_castps256_ps512(Softcap(_mm512_castps512_ps256(s), cap)),
                             Softcap(_mm512_extractf32x8_ps(s, 1), cap), 1);
    }
    const __mmask16 hidden = FirstOf16(first_visible > at ? first_visible - at : 0);
    s = _mm512_mask_mov_ps(lowest, static_cast<__mmask16>(FirstOf16(visible - at) & ~hidden), s);
    _mm512_storeu_ps(scores + at, s);
    maxima = _mm512_max_ps(s, maxima);
  }
  const float maximum = _mm512_reduce_max_ps(maxima) + 0.0F;
  const __m512 shift = _mm512_set1_ps(maximum);
  __m512 sum = _mm512_setzero_ps();
  for (uint32_t at = begin; at < visible; at += 16) {
    const __m512 weights = Exp(_mm512_sub_ps(_mm512_loadu_ps(scores + at), shift));
    _mm512_storeu_ps(scores + at, weights);
    sum = _mm512_add_ps(sum, weights);
  }
  state_tail[0] = maximum;
  state_tail[1] = SumLanes(sum);
}

// Weighted sums for kQ queries and 16 * kD dimensions from `dim` on, of the last sixteen only those of `mask`.
template <typename T, int kQ, int kD>
void AddValues(const AttendTileArgs<T>& args, uint32_t query, uint32_t dim, __mmask16 mask, ValuePositions positions) {
  const size_t state_floats = AttendStateFloats(args.head_dim);
  const size_t head_dim = args.head_dim;
  float* states = args.states + query * state_floats + dim;
  const float* weights = args.scratch + size_t{query} * kTilePositions;
  const T* const* blocks = args.v_blocks;
  __m512 sum[kQ][kD];
  Unroll<kQ>([&](auto q) {
    Unroll<kD>([&](auto i) {
      sum[q][i] = positions.fresh ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, states + state_floats * q + 16 * i);
    });
  });
  const uint32_t end = positions.end;
  for (uint32_t position = positions.begin; position < end;) {
    const uint32_t block = position / kBlockPositions;
    const uint32_t stop = (block + 1) * kBlockPositions < end ? (block + 1) * kBlockPositions : end;
    const T* values = blocks[block] + position % kBlockPositions * head_dim + dim;
    const T* ahead = AheadOfValues(args, block, (end + kBlockPositions - 1) / kBlockPositions);
    ahead = ahead == nullptr ? values : ahead + (values - blocks[block]);
    for (; position < stop; ++position, values += head_dim, ahead += head_dim) {
      for (size_t line = 0; line < sizeof(T) * 16 * kD; line += 64) _mm_prefetch(ahead + line / sizeof(T), _MM_HINT_T0);
      Unroll<kD>([&](auto i) {
        const __m512 value = kD > 1 ? Load16(values + 16 * i) : LoadFirst16(values, mask);
        Unroll<kQ>([&](auto q) {
          sum[q][i] = _mm512_fmadd_ps(_mm512_set1_ps(weights[size_t{kTilePositions} * q + position]), value, sum[q][i]);
        });
      });
    }
  }
  Unroll<kQ>(
      [&](auto q) { Unroll<kD>([&](auto i) { _mm512_mask_storeu_ps(states + state_floats * q + 16 * i, mask, sum[q][i]); }); });
}

template <typename T, int kQ>
void ValueRange(const AttendTileArgs<T>& args, uint32_t query, ValuePositions positions) {
  uint32_t dim = 0;
  for (; dim + 64 <= args.head_dim; dim += 64) AddValues<T, kQ, 4>(args, query, dim, 0xFFFF, positions);
  for (; dim < args.head_dim; dim += 16) AddValues<T, kQ, 1>(args, query, dim, FirstOf16(args.head_dim - dim), positions);
}

template <typename T>
void AttendTile(const AttendTileArgs<T>& args) {
  uint32_t query = 0;
  for (; query + 6 <= args.query_count; query += 6) ScoreQueries<T, 6>(args, query);
  for (; query + 3 <= args.query_count; query += 3) ScoreQueries<T, 3>(args, query);
  for (; query + 2 <= args.query_count; query += 2) ScoreQueries<T, 2>(args, query);
  for (; query < args.query_count; ++query) ScoreQueries<T, 1>(args, query);
  for (uint32_t q = 0; q < args.query_count; ++q) {
    float* tail = args.states + q * AttendStateFloats(args.head_dim) + args.head_dim;
    SoftmaxTile(args.scratch + size_t{q} * kTilePositions, FirstOf(args, q), args.visible[q], args.softcap, tail);
  }
  query = 0;
  for (; query + 6 <= args.query_count; query += 6) ValueQueries<T, 6>(args, query);
  for (; query + 3 <= args.query_count; query += 3) ValueQueries<T, 3>(args, query);
  for (; query + 2 <= args.query_count; query += 2) ValueQueries<T, 2>(args, query);
  for (; query < args.query_count; ++query) ValueQueries<T, 1>(args, query);
}

}  // namespace

namespace avx512 {

void AttendTileF16(const AttendTileArgs<uint16_t>& args) { AttendTile(args); }
void AttendTileF32(const AttendTileArgs<float>& args) { AttendTile(args); }

}  // namespace avx512
}  // namespace millrace::kernels

#endif  // __x86_64__
