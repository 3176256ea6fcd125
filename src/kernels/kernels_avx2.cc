// AVX2 with FMA and F16C. Compiled with those flags, so nothing here may run before the CPU was asked, and nothing inline from
// other headers is called: the linker could otherwise keep this file's copy of a function for the whole program.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "kernels/attention_avx2.h"
#include "kernels/elementwise.h"
#include "kernels/kernel_constants.h"
#include "kernels/kernel_tables.h"
#include "kernels/lanes_avx2.h"

namespace millrace::kernels {
namespace {

// How far ahead of the loads weights are prefetched: about the latency of memory at full bandwidth.
constexpr size_t kPrefetchBytes = 2048;
// Two short strips that are read side by side: the next two instead, for what lies 2 KiB ahead of one is the other.
constexpr size_t kMaxPrefetchBytes = 16384;

// Four activations for all rows.
__m256i Broadcast4(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, sizeof(four));
  return _mm256_set1_epi32(four);
}

// ---- activations ----

int32_t MaxOf(__m256i v) {
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4E));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xB1));
  return _mm_cvtsi128_si32(m);
}

int32_t SumOf(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1));
  return _mm_cvtsi128_si32(s);
}

// Codes of 32 floats, in order; returns their sum.
int32_t QuantizeGroup(const __m256 (&v)[4], float inverse, int8_t* codes) {
  const __m256 factor = _mm256_set1_ps(inverse);
  const __m256i q0 = _mm256_cvtps_epi32(_mm256_mul_ps(v[0], factor));
  const __m256i q1 = _mm256_cvtps_epi32(_mm256_mul_ps(v[1], factor));
  const __m256i q2 = _mm256_cvtps_epi32(_mm256_mul_ps(v[2], factor));
  const __m256i q3 = _mm256_cvtps_epi32(_mm256_mul_ps(v[3], factor));
  // The packs work within 128-bit halves; the permutation puts the runs of four back in order.
  const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q0, q1), _mm256_packs_epi32(q2, q3));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), _mm256_permutevar8x32_epi32(packed, order));
  return SumOf(_mm256_add_epi32(_mm256_add_epi32(q0, q1), _mm256_add_epi32(q2, q3)));
}

void QuantizeRow(const float* x, const QuantRows& out, uint32_t row) {
  const uint32_t groups = out.cols / kGroupCols;
  const __m256i magnitude_bits = _mm256_set1_epi32(0x7FFFFFFF);
  int8_t* codes = out.codes + size_t{row} * out.cols;
  float* scales = out.scales + size_t{row} * groups;
  float* sums = out.sums + size_t{row} * groups;
  for (uint32_t group = 0; group < groups; ++group, x += kGroupCols, codes += kGroupCols) {
    __m256 v[4];
    for (int i = 0; i < 4; ++i) v[i] = _mm256_loadu_ps(x + 8 * i);
    __m256i m[4];
    for (int i = 0; i < 4; ++i) m[i] = _mm256_and_si256(_mm256_castps_si256(v[i]), magnitude_bits);
    const int32_t magnitude = MaxOf(_mm256_max_epi32(_mm256_max_epi32(m[0], m[1]), _mm256_max_epi32(m[2], m[3])));
    float amax;
    std::memcpy(&amax, &magnitude, sizeof(amax));
    if (magnitude >= 0x7F800000 || amax < kQuantFloor) {
      std::memset(codes, 0, kGroupCols);
      const float scale = amax < kQuantFloor ? 0.0F : __builtin_nanf("");
      scales[group] = scale;
      sums[group] = scale;
      continue;
    }
    const float scale = amax / 127.0F;
    const int32_t sum = QuantizeGroup(v, 127.0F / amax, codes);
    scales[group] = scale;
    sums[group] = scale * static_cast<float>(sum);
  }
}

// ---- matrix products ----

// The eight rows of one strip for one activation row.
void StoreStrip(const PackedMatrix& w, const OutputRows& y, size_t m, size_t strip, __m256 value) {
  const size_t row = strip * kStripRows;
  float* at = y.data + m * y.stride + row;
  const size_t count = w.rows - row;
  if (y.add) value = _mm256_add_ps(LoadFirst(at, count), value);
  StoreFirst(at, count, value);
}

// kBytes of what lies ahead; once per group, so that consecutive groups leave no line out.
template <size_t kBytes>
void PrefetchGroup(const std::byte* ahead) {
  for (size_t at = 0; at < kBytes; at += 64) _mm_prefetch(ahead + at, _MM_HINT_T0);
}

template <int kStrips>
size_t PrefetchDistance(size_t strip_bytes) {
  const size_t next = strip_bytes * kStrips;
  return kStrips == 1 || next > kMaxPrefetchBytes ? kPrefetchBytes : next;
}

// Integer sums are free to be reordered, and GCC does: across the steps of a loop it keeps all products alive and spills most of
// them. This pins a sum where it stands.
void Pin(__m256i& value) { __asm__("" : "+x"(value)); }

// kM activation rows from row m on, times kS strips. The weights are unpacked once for all rows, and each broadcast of activations
// serves all strips: with one strip, four rows are bound by the loads.
template <int kM, int kS>
struct Tile {
  const PackedMatrix& w;
  const QuantRows& x;
  const OutputRows& y;
  size_t m;
  size_t strip;

  size_t groups() const { return w.cols / kGroupCols; }
  const int8_t* Codes(int i, size_t group) const { return x.codes + (m + size_t(i)) * x.cols + group * kGroupCols; }
  size_t ScaleIndex(int i, size_t group) const { return (m + size_t(i)) * groups() + group; }
  void Store(const __m256 (&total)[kS][kM]) const {
    for (int s = 0; s < kS; ++s) {
      for (int i = 0; i < kM; ++i) StoreStrip(w, y, m + size_t(i), strip + size_t(s), total[s][i]);
    }
  }
};

template <int kM, int kS>
void TileQ4_1(const Tile<kM, kS>& tile) {
  const size_t strip_bytes = tile.groups() * kQ4_1GroupBytes;
  const size_t ahead = PrefetchDistance<kS>(strip_bytes);
  const std::byte* data = tile.w.data + tile.strip * strip_bytes;
  const __m256i nibble = _mm256_set1_epi8(0xF);
  __m256 total[kS][kM] = {};
  for (size_t group = 0; group < tile.groups(); ++group, data += kQ4_1GroupBytes) {
    __m256i chain[kS][kM] = {};
    for (int s = 0; s < kS && tile.m == 0; ++s) PrefetchGroup<kQ4_1GroupBytes>(data + size_t(s) * strip_bytes + ahead);
    for (int j = 0; j < 4; ++j) {
      __m256i low[kS];
      __m256i high[kS];
      for (int s = 0; s < kS; ++s) {
        const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data + size_t(s) * strip_bytes + 32 + 32 * j));
        low[s] = _mm256_and_si256(both, nibble);
        high[s] = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
      }
      for (int i = 0; i < kM; ++i) {
        const __m256i first = Broadcast4(tile.Codes(i, group) + 4 * j);
        const __m256i second = Broadcast4(tile.Codes(i, group) + 16 + 4 * j);
        for (int s = 0; s < kS; ++s) {
          // A pair of products is at most 2 * 15 * 127 = 3,810: the eight pairs of a row and group fit 16 bits.
          chain[s][i] = _mm256_add_epi16(chain[s][i], _mm256_maddubs_epi16(low[s], first));
          chain[s][i] = _mm256_add_epi16(chain[s][i], _mm256_maddubs_epi16(high[s], second));
          Pin(chain[s][i]);
        }
      }
    }
    for (int s = 0; s < kS; ++s) {
      const __m256 scale_w = LoadHalves(data + size_t(s) * strip_bytes);
      const __m256 min_w = LoadHalves(data + size_t(s) * strip_bytes + 16);
      for (int i = 0; i < kM; ++i) {
        const size_t at = tile.ScaleIndex(i, group);
        const __m256 dot = _mm256_cvtepi32_ps(_mm256_madd_epi16(chain[s][i], _mm256_set1_epi16(1)));
        total[s][i] = _mm256_fmadd_ps(_mm256_mul_ps(scale_w, _mm256_broadcast_ss(tile.x.scales + at)), dot, total[s][i]);
        total[s][i] = _mm256_fmadd_ps(min_w, _mm256_broadcast_ss(tile.x.sums + at), total[s][i]);
      }
    }
  }
  tile.Store(total);
}

template <int kM, int kS>
void TileQ8_0(const Tile<kM, kS>& tile) {
  const size_t strip_bytes = tile.groups() * kQ8_0GroupBytes;
  const size_t ahead = PrefetchDistance<kS>(strip_bytes);
  const std::byte* data = tile.w.data + tile.strip * strip_bytes;
  const __m256i ones = _mm256_set1_epi16(1);
  __m256 total[kS][kM] = {};
  for (size_t group = 0; group < tile.groups(); ++group, data += kQ8_0GroupBytes) {
    __m256i sum[kS][kM] = {};
    for (int s = 0; s < kS && tile.m == 0; ++s) PrefetchGroup<kQ8_0GroupBytes>(data + size_t(s) * strip_bytes + ahead);
    for (int j = 0; j < 8; ++j) {
      __m256i code[kS];
      __m256i magnitude[kS];
      for (int s = 0; s < kS; ++s) {
        code[s] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data + size_t(s) * strip_bytes + 16 + 32 * j));
        magnitude[s] = _mm256_abs_epi8(code[s]);  // -128 becomes 128, read as unsigned
      }
      for (int i = 0; i < kM; ++i) {
        const __m256i four = Broadcast4(tile.Codes(i, group) + 4 * j);
        for (int s = 0; s < kS; ++s) {
          // A pair is at most 2 * 128 * 127 = 32,512: one product fits 16 bits, a second would not.
          const __m256i products = _mm256_maddubs_epi16(magnitude[s], _mm256_sign_epi8(four, code[s]));
          sum[s][i] = _mm256_add_epi32(sum[s][i], _mm256_madd_epi16(products, ones));
          Pin(sum[s][i]);
        }
      }
    }
    for (int s = 0; s < kS; ++s) {
      const __m256 scale_w = LoadHalves(data + size_t(s) * strip_bytes);
      for (int i = 0; i < kM; ++i) {
        const __m256 scale = _mm256_mul_ps(scale_w, _mm256_broadcast_ss(tile.x.scales + tile.ScaleIndex(i, group)));
        total[s][i] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(sum[s][i]), total[s][i]);
      }
    }
  }
  tile.Store(total);
}

template <bool kAffine, int kM, int kS>
void RunTile(const Tile<kM, kS>& tile) {
  if constexpr (kAffine) {
    TileQ4_1(tile);
  } else {
    TileQ8_0(tile);
  }
}

// Strips outside, so that a strip is read from memory once and from the first-level cache for all further activation rows.
template <bool kAffine>
void MatmulQuant(const PackedMatrix& w, IndexRange strips, const QuantRows& x, uint32_t rows, const OutputRows& y) {
  size_t strip = strips.begin;
  if (rows >= 4) {
    for (; strip + 2 <= strips.end; strip += 2) {
      size_t m = 0;
      for (; m + 4 <= rows; m += 4) RunTile<kAffine>(Tile<4, 2>{w, x, y, m, strip});
      for (; m < rows; ++m) RunTile<kAffine>(Tile<1, 2>{w, x, y, m, strip});
    }
  }
  for (; strip < strips.end; ++strip) {
    size_t m = 0;
    for (; m + 4 <= rows; m += 4) RunTile<kAffine>(Tile<4, 1>{w, x, y, m, strip});
    for (; m + 2 <= rows; m += 2) RunTile<kAffine>(Tile<2, 1>{w, x, y, m, strip});
    for (; m < rows; ++m) RunTile<kAffine>(Tile<1, 1>{w, x, y, m, strip});
  }
}

// kRows weight rows times one activation row.
template <int kRows>
void DotRowsF32(const float* weights, size_t cols, const float* x, float* out) {
  __m256 low[kRows];
  __m256 high[kRows];
  for (int r = 0; r < kRows; ++r) low[r] = high[r] = _mm256_setzero_ps();
  size_t at = 0;
  for (; at + 16 <= cols; at += 16) {
    const __m256 x_low = _mm256_loadu_ps(x + at);
    const __m256 x_high = _mm256_loadu_ps(x + at + 8);
    for (int r = 0; r < kRows; ++r) {
      const float* row = weights + size_t(r) * cols + at;
      low[r] = _mm256_fmadd_ps(_mm256_loadu_ps(row), x_low, low[r]);
      high[r] = _mm256_fmadd_ps(_mm256_loadu_ps(row + 8), x_high, high[r]);
    }
  }
  if (at < cols) {  // the missing columns count as zero times zero, which changes no sum
    const size_t left = cols - at;
    const __m256i first = FirstLanes(left < 8 ? left : 8);
    const __m256i second = FirstLanes(left < 8 ? 0 : left - 8);
    for (int r = 0; r < kRows; ++r) {
      const float* row = weights + size_t(r) * cols + at;
      low[r] = _mm256_fmadd_ps(_mm256_maskload_ps(row, first), _mm256_maskload_ps(x + at, first), low[r]);
      high[r] = _mm256_fmadd_ps(_mm256_maskload_ps(row + 8, second), _mm256_maskload_ps(x + at + 8, second), high[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) out[r] = SumLanes(low[r], high[r]);
}

void MatmulF32(const PackedMatrix& w, IndexRange strips, const float* x, uint32_t rows, const OutputRows& y) {
  const size_t cols = w.cols;
  for (size_t strip = strips.begin; strip < strips.end; ++strip) {
    const size_t row = strip * kStripRows;
    const float* weights = reinterpret_cast<const float*>(w.data) + row * cols;
    const size_t count = w.rows - row < kStripRows ? w.rows - row : kStripRows;
    for (size_t m = 0; m < rows; ++m) {
      alignas(32) float out[kStripRows] = {};
      size_t r = 0;
      for (; r + 4 <= count; r += 4) DotRowsF32<4>(weights + r * cols, cols, x + m * cols, out + r);
      for (; r < count; ++r) DotRowsF32<1>(weights + r * cols, cols, x + m * cols, out + r);
      StoreStrip(w, y, m, strip, _mm256_load_ps(out));
    }
  }
}

// ---- elementwise ----

void RmsNorm(const float* x, const float* weight, uint32_t count, float epsilon, float* y) {
  __m256 low = _mm256_setzero_ps();
  __m256 high = _mm256_setzero_ps();
  size_t at = 0;
  for (; at + 16 <= count; at += 16) {
    const __m256 first = _mm256_loadu_ps(x + at);
    const __m256 second = _mm256_loadu_ps(x + at + 8);
    low = _mm256_fmadd_ps(first, first, low);
    high = _mm256_fmadd_ps(second, second, high);
  }
  if (at < count) {
    const size_t left = count - at;
    const __m256 first = LoadFirst(x + at, left);
    low = _mm256_fmadd_ps(first, first, low);
    if (left > 8) {
      const __m256 second = LoadFirst(x + at + 8, left - 8);
      high = _mm256_fmadd_ps(second, second, high);
    }
  }
  const float scale = 1.0F / __builtin_sqrtf(SumLanes(low, high) / static_cast<float>(count) + epsilon);
  const __m256 factor = _mm256_set1_ps(scale);
  for (at = 0; at < count; at += 8) {
    const __m256 scaled = _mm256_mul_ps(LoadFirst(x + at, count - at), factor);
    StoreFirst(y + at, count - at, _mm256_mul_ps(scaled, LoadFirst(weight + at, count - at)));
  }
}

void SiluMul(const float* gate, const float* up, size_t count, float* out) {
  const __m256 one = _mm256_set1_ps(1.0F);
  const __m256 sign = _mm256_set1_ps(-0.0F);
  for (size_t at = 0; at < count; at += 8) {
    const __m256 g = LoadFirst(gate + at, count - at);
    const __m256 silu = _mm256_div_ps(g, _mm256_add_ps(one, Exp(_mm256_xor_ps(g, sign))));
    StoreFirst(out + at, count - at, _mm256_mul_ps(silu, LoadFirst(up + at, count - at)));
  }
}

void RopeOne(float* first, float* second, float cos, float sin) {
  const float x0 = *first;
  const float x1 = *second;
  *first = __builtin_fmaf(x0, cos, -(x1 * sin));
  *second = __builtin_fmaf(x1, cos, x0 * sin);
}

void RopeAdjacent(float* head, const RopeArgs& args) {
  const uint32_t pairs = args.dims / 2;
  const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
  uint32_t i = 0;
  for (; i + 4 <= pairs; i += 4) {
    const __m256 x = _mm256_loadu_ps(head + 2 * i);
    const __m256 cos = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(args.cos + i)), twice);
    const __m256 sin = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(args.sin + i)), twice);
    const __m256 crossed = _mm256_mul_ps(_mm256_permute_ps(x, 0xB1), sin);
    _mm256_storeu_ps(head + 2 * i, _mm256_fmaddsub_ps(x, cos, crossed));  // even lanes minus, odd lanes plus
  }
  for (; i < pairs; ++i) RopeOne(head + 2 * i, head + 2 * i + 1, args.cos[i], args.sin[i]);
}

void RopeHalves(float* head, const RopeArgs& args) {
  const uint32_t pairs = args.dims / 2;
  uint32_t i = 0;
  for (; i + 8 <= pairs; i += 8) {
    const __m256 x0 = _mm256_loadu_ps(head + i);
    const __m256 x1 = _mm256_loadu_ps(head + pairs + i);
    const __m256 cos = _mm256_loadu_ps(args.cos + i);
    const __m256 sin = _mm256_loadu_ps(args.sin + i);
    _mm256_storeu_ps(head + i, _mm256_fmsub_ps(x0, cos, _mm256_mul_ps(x1, sin)));
    _mm256_storeu_ps(head + pairs + i, _mm256_fmadd_ps(x1, cos, _mm256_mul_ps(x0, sin)));
  }
  for (; i < pairs; ++i) RopeOne(head + i, head + pairs + i, args.cos[i], args.sin[i]);
}

void Rope(float* head, const RopeArgs& args) {
  if (args.adjacent) {
    RopeAdjacent(head, args);
  } else {
    RopeHalves(head, args);
  }
}

void ToHalf(const float* x, size_t count, uint16_t* out) {
  size_t at = 0;
  for (; at + 8 <= count; at += 8) {
    const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(x + at), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + at), halves);
  }
  if (at < count) {
    alignas(16) uint16_t last[8];
    const __m128i halves = _mm256_cvtps_ph(LoadFirst(x + at, count - at), _MM_FROUND_TO_NEAREST_INT);
    _mm_store_si128(reinterpret_cast<__m128i*>(last), halves);
    std::memcpy(out + at, last, (count - at) * sizeof(uint16_t));
  }
}

void ExpAll(const float* x, size_t count, float* out) {
  for (size_t at = 0; at < count; at += 8) StoreFirst(out + at, count - at, Exp(LoadFirst(x + at, count - at)));
}

// ---- the roof ----

uint64_t ReadSum(const std::byte* data, size_t bytes) {
  __m256i sums[8];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  const auto* words = reinterpret_cast<const __m256i*>(data);
  size_t left = bytes / 64;
  for (; left >= 4; left -= 4, words += 8) {
    for (int i = 0; i < 8; ++i) sums[i] = _mm256_add_epi64(sums[i], _mm256_load_si256(words + i));
  }
  for (; left > 0; --left, words += 2) {
    for (int i = 0; i < 2; ++i) sums[i] = _mm256_add_epi64(sums[i], _mm256_load_si256(words + i));
  }
  for (int i = 1; i < 8; ++i) sums[0] = _mm256_add_epi64(sums[0], sums[i]);
  alignas(32) uint64_t parts[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(parts), sums[0]);
  return parts[0] + parts[1] + parts[2] + parts[3];
}

}  // namespace

constinit const KernelTable kAvx2Table = {
    .isa = Isa::kAvx2,
    .quantize_row = QuantizeRow,
    .matmul_q4_1 = MatmulQuant<true>,
    .matmul_q8_0 = MatmulQuant<false>,
    .matmul_f32 = MatmulF32,
    .rms_norm = RmsNorm,
    .silu_mul = SiluMul,
    .layer_norm = avx2::LayerNorm,
    .silu = avx2::Silu,
    .gelu_tanh = avx2::GeluTanh,
    .gelu_tanh_mul = avx2::GeluTanhMul,
    .softcap = avx2::SoftcapAll,
    .rope = Rope,
    .to_half = ToHalf,
    .exp = ExpAll,
    .attend_tile_f16 = avx2::AttendTileF16,
    .attend_tile_f32 = avx2::AttendTileF32,
    .attend_merge = avx2::AttendMerge,
    .attend_finish = avx2::AttendFinish,
    .read_sum = ReadSum,
};

}  // namespace millrace::kernels

#endif  // __x86_64__
