// Attention with AVX2, FMA and F16C; the rules of kernels_avx2.cc hold here, too.
#if defined(__x86_64__)

#include "kernels/attention_avx2.h"

#include <immintrin.h>

#include "kernels/attention_x86.h"
#include "kernels/lanes_avx2.h"

namespace millrace::kernels {
namespace {

__m256 Load8(const uint16_t* x) { return LoadHalves(x); }
__m256 Load8(const float* x) { return _mm256_loadu_ps(x); }

float ExpOne(float x) { return _mm256_cvtss_f32(Exp(_mm256_set1_ps(x))); }

// Scores of kQ queries for kH half-blocks of 16 positions from half-block `half` on. Positions run across the lanes: no sum
// across lanes, and each key is loaded (and widened) once for all queries.
template <typename T, int kQ, int kH>
void ScoreHalves(const AttendTileArgs<T>& args, uint32_t query, uint32_t half, const T* ahead) {
  const uint32_t head_dim = args.head_dim;
  const T* keys[kH];
  const float* queries[kQ];
  __m256 sum[kQ * kH * 2];
  Unroll<kH>([&](auto h) { keys[h] = args.k_blocks[(half + h) / 2] + (half + h) % 2 * (size_t{16} * head_dim); });
  Unroll<kQ>([&](auto q) { queries[q] = args.queries[query + q]; });
  Unroll<kQ * kH * 2>([&](auto i) { sum[i] = _mm256_setzero_ps(); });
  for (uint32_t d = 0; d < head_dim; ++d) {
    // With kQ * kH * 2 = 12 sums this takes all sixteen registers: three queries and one key, or two keys and one query.
    if constexpr (kQ <= 3) {
      if (ahead != nullptr) _mm_prefetch(ahead + kH * 16 * d, _MM_HINT_T0);
      __m256 x[kQ];
      Unroll<kQ>([&](auto q) { x[q] = _mm256_broadcast_ss(queries[q] + d); });
      Unroll<kH * 2>([&](auto i) {
        const __m256 key = Load8(keys[i / 2] + 16 * d + i % 2 * 8);
        Unroll<kQ>([&](auto q) { sum[q * kH * 2 + i] = _mm256_fmadd_ps(x[q], key, sum[q * kH * 2 + i]); });
      });
    } else {
      static_assert(kH == 1);
      const __m256 low = Load8(keys[0] + 16 * d);
      const __m256 high = Load8(keys[0] + 16 * d + 8);
      Unroll<kQ>([&](auto q) {
        const __m256 x = _mm256_broadcast_ss(queries[q] + d);
        sum[q * 2] = _mm256_fmadd_ps(x, low, sum[q * 2]);
        sum[q * 2 + 1] = _mm256_fmadd_ps(x, high, sum[q * 2 + 1]);
      });
    }
  }
  const __m256 scale = _mm256_set1_ps(args.scale);
  float* out = args.scratch + size_t{query} * kTilePositions + half * 16;
  Unroll<kQ>([&](auto q) {
    Unroll<kH * 2>(
        [&](auto i) { _mm256_store_ps(out + size_t{kTilePositions} * q + 8 * i, _mm256_mul_ps(sum[q * kH * 2 + i], scale)); });
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
  constexpr int kTogether = kQ <= 3 ? 2 : 1;  // enough independent sums to hide the latency of the multiply-add
  uint32_t half = earliest / 16;
  for (; half + kTogether <= halves; half += kTogether)
    ScoreHalves<T, kQ, kTogether>(args, query, half, AheadOfKeys(args, half / 2, (halves + 1) / 2));
  for (; half < halves; ++half) ScoreHalves<T, kQ, 1>(args, query, half, AheadOfKeys(args, half / 2, (halves + 1) / 2));
}

// Scores to weights, in place; maximum and denominator to the state. Lanes outside of [first, visible) become 0, as far as the groups
// of 16 reach in which they begin and end.
void SoftmaxTile(float* scores, uint32_t first_visible, uint32_t visible, float softcap, float* state_tail) {
  const __m256 lowest = _mm256_set1_ps(-__builtin_inff());
  __m256 maxima = lowest;
  const uint32_t begin = first_visible / 16 * 16;
  const uint32_t padded = (visible + 15) / 16 * 16;
  for (uint32_t at = begin; at < padded; at += 8) {
    const uint32_t left = visible > at ? visible - at : 0;
    __m256 s = _mm256_load_ps(scores + at);
    if (left < 8 || first_visible > at || softcap != 0) {
      if (softcap != 0) s = Softcap(s, _mm256_set1_ps(softcap));
      const uint32_t hidden = first_visible > at ? first_visible - at : 0;
      s = _mm256_blendv_ps(lowest, s, _mm256_castsi256_ps(FirstLanes(left < 8 ? left : 8)));
      s = _mm256_blendv_ps(s, lowest, _mm256_castsi256_ps(FirstLanes(hidden < 8 ? hidden : 8)));
      _mm256_store_ps(scores + at, s);
    }
    maxima = _mm256_max_ps(s, maxima);
  }
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(maxima), _mm256_extractf128_ps(maxima, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  four = _mm_max_ss(four, _mm_movehdup_ps(four));
  const float maximum = _mm_cvtss_f32(four) + 0.0F;
  const __m256 shift = _mm256_set1_ps(maximum);
  __m256 low = _mm256_setzero_ps();
  __m256 high = _mm256_setzero_ps();
  for (uint32_t at = begin; at < padded; at += 16) {
    const __m256 first = Exp(_mm256_sub_ps(_mm256_load_ps(scores + at), shift));
    const __m256 second = Exp(_mm256_sub_ps(_mm256_load_ps(scores + at + 8), shift));
    _mm256_store_ps(scores + at, first);
    _mm256_store_ps(scores + at + 8, second);
    low = _mm256_add_ps(low, first);
    high = _mm256_add_ps(high, second);
  }
  state_tail[0] = maximum;
  state_tail[1] = SumLanes(low, high);
}

// Weighted sums for kQ queries and 8 * kD dimensions from `dim` on.
template <typename T, int kQ, int kD>
void AddValues(const AttendTileArgs<T>& args, uint32_t query, uint32_t dim, ValuePositions positions) {
  const size_t state_floats = AttendStateFloats(args.head_dim);
  const size_t head_dim = args.head_dim;
  float* states = args.states + query * state_floats + dim;
  const float* weights = args.scratch + size_t{query} * kTilePositions;
  const T* const* blocks = args.v_blocks;
  __m256 sum[kQ * kD];
  Unroll<kQ>([&](auto q) {
    Unroll<kD>([&](auto i) {
      sum[q * kD + i] = positions.fresh ? _mm256_setzero_ps() : _mm256_loadu_ps(states + state_floats * q + 8 * i);
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
      for (size_t line = 0; line < sizeof(T) * 8 * kD; line += 64) _mm_prefetch(ahead + line / sizeof(T), _MM_HINT_T0);
      __m256 weight[kQ];
      Unroll<kQ>([&](auto q) { weight[q] = _mm256_broadcast_ss(weights + size_t{kTilePositions} * q + position); });
      Unroll<kD>([&](auto i) {
        const __m256 value = Load8(values + 8 * i);
        Unroll<kQ>([&](auto q) { sum[q * kD + i] = _mm256_fmadd_ps(weight[q], value, sum[q * kD + i]); });
      });
    }
  }
  Unroll<kQ>([&](auto q) { Unroll<kD>([&](auto i) { _mm256_storeu_ps(states + state_floats * q + 8 * i, sum[q * kD + i]); }); });
}

template <typename T, int kQ>
void ValueRange(const AttendTileArgs<T>& args, uint32_t query, ValuePositions positions) {
  uint32_t dim = 0;
  if constexpr (kQ == 1) {
    for (; dim + 64 <= args.head_dim; dim += 64) AddValues<T, 1, 8>(args, query, dim, positions);
  }
  for (; dim + 32 <= args.head_dim; dim += 32) AddValues<T, kQ, 4>(args, query, dim, positions);
  for (; dim < args.head_dim; dim += 8) AddValues<T, kQ, 1>(args, query, dim, positions);
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
  for (; query + 3 <= args.query_count; query += 3) ValueQueries<T, 3>(args, query);
  for (; query + 2 <= args.query_count; query += 2) ValueQueries<T, 2>(args, query);
  for (; query < args.query_count; ++query) ValueQueries<T, 1>(args, query);
}

}  // namespace

namespace avx2 {

void AttendTileF16(const AttendTileArgs<uint16_t>& args) { AttendTile(args); }
void AttendTileF32(const AttendTileArgs<float>& args) { AttendTile(args); }

void AttendMerge(float* state, const float* next, uint32_t head_dim) {
  const float maximum = state[head_dim] > next[head_dim] ? state[head_dim] : next[head_dim];
  const float keep = ExpOne(state[head_dim] - maximum);
  const float take = ExpOne(next[head_dim] - maximum);
  const __m256 keep8 = _mm256_set1_ps(keep);
  const __m256 take8 = _mm256_set1_ps(take);
  for (uint32_t d = 0; d < head_dim; d += 8) {
    const __m256 kept = _mm256_mul_ps(_mm256_loadu_ps(state + d), keep8);
    _mm256_storeu_ps(state + d, _mm256_fmadd_ps(_mm256_loadu_ps(next + d), take8, kept));
  }
  state[head_dim] = maximum;
  state[head_dim + 1] = __builtin_fmaf(next[head_dim + 1], take, state[head_dim + 1] * keep);
}

void AttendFinish(const float* state, uint32_t head_dim, float* out) {
  const __m256 sum = _mm256_set1_ps(state[head_dim + 1]);
  for (uint32_t d = 0; d < head_dim; d += 8) _mm256_storeu_ps(out + d, _mm256_div_ps(_mm256_loadu_ps(state + d), sum));
}

}  // namespace avx2
}  // namespace millrace::kernels

#endif  // __x86_64__
