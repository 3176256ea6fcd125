// AVX2 with FMA and F16C. Compiled with those flags, so nothing here may run before the CPU was asked, and nothing inline from
// other headers is called: the linker could otherwise keep this file's copy of a function for the whole program.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "kernels/attention_avx2.h"
#include "kernels/elementwise.h"
#include "kernels/kernel_constants.h"
#include "kernels/kernel_tables.h"
#include "kernels/kernels_avx2.h"
#include "kernels/lanes_avx2.h"
#include "kernels/matmul_tables.h"

namespace millrace::kernels {

// ---- activations ----

namespace {

int32_t MaxOf(__m256i v) {
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4E));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xB1));
  return _mm_cvtsi128_si32(m);
}

// The pairs of sums of columns 0, 1 and 2, 3 of each run of four: in the low half of 16 columns each, in the order of the codes.
__m128i PairSums(__m256i codes) {
  __m256i sums = _mm256_maddubs_epi16(_mm256_set1_epi8(1), codes);  // of two columns each
  sums = _mm256_add_epi16(sums, _mm256_shuffle_epi32(sums, 0x4E));
  sums = _mm256_add_epi16(sums, _mm256_shuffle_epi32(sums, 0xB1));
  return _mm_unpacklo_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
}

// Codes of 32 floats, in order; stores minus their sums and returns the sum.
int32_t QuantizeGroup(const __m256 (&v)[4], float inverse, int8_t* codes, int16_t* minus_sums) {
  const __m256 factor = _mm256_set1_ps(inverse);
  const __m256i q0 = _mm256_cvtps_epi32(_mm256_mul_ps(v[0], factor));
  const __m256i q1 = _mm256_cvtps_epi32(_mm256_mul_ps(v[1], factor));
  const __m256i q2 = _mm256_cvtps_epi32(_mm256_mul_ps(v[2], factor));
  const __m256i q3 = _mm256_cvtps_epi32(_mm256_mul_ps(v[3], factor));
  // The packs work within 128-bit halves; the permutation puts the runs of four back in order.
  const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q0, q1), _mm256_packs_epi32(q2, q3));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i ordered = _mm256_permutevar8x32_epi32(packed, order);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), ordered);
  const __m128i halves = _mm_sub_epi16(_mm_setzero_si128(), PairSums(ordered));
  const __m128i both = _mm_add_epi16(halves, _mm_srli_epi64(halves, 32));  // in its first 32 bits
  _mm_storel_epi64(reinterpret_cast<__m128i*>(minus_sums), halves);
  const int32_t pair = _mm_cvtsi128_si32(both);
  std::memcpy(minus_sums + 4, &pair, sizeof(pair));
  return -(static_cast<int16_t>(pair) + (pair >> 16));
}

}  // namespace

void avx2::QuantizeRow(const float* x, const QuantRows& out, uint32_t row) {
  const uint32_t groups = out.cols / kGroupCols;
  const __m256i magnitude_bits = _mm256_set1_epi32(0x7FFFFFFF);
  int8_t* codes = out.codes + size_t{row} * out.cols;
  float* scales = out.scales + size_t{row} * groups;
  float* sums = out.sums + size_t{row} * groups;
  int16_t* minus_sums = out.minus_sums + size_t{row} * groups * kMinusSums;
  for (uint32_t group = 0; group < groups; ++group, x += kGroupCols, codes += kGroupCols, minus_sums += kMinusSums) {
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
      std::memset(minus_sums, 0, kMinusSums * sizeof(int16_t));
      continue;
    }
    const float scale = amax / 127.0F;
    const int32_t sum = QuantizeGroup(v, 127.0F / amax, codes, minus_sums);
    scales[group] = scale;
    sums[group] = scale * static_cast<float>(sum);
  }
}

// ---- elementwise ----

void avx2::RmsNorm(const float* x, const float* weight, uint32_t count, float epsilon, float* y) {
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

void avx2::SiluMul(const float* gate, const float* up, size_t count, float* out) {
  const __m256 one = _mm256_set1_ps(1.0F);
  const __m256 sign = _mm256_set1_ps(-0.0F);
  for (size_t at = 0; at < count; at += 8) {
    const __m256 g = LoadFirst(gate + at, count - at);
    const __m256 silu = _mm256_div_ps(g, _mm256_add_ps(one, Exp(_mm256_xor_ps(g, sign))));
    StoreFirst(out + at, count - at, _mm256_mul_ps(silu, LoadFirst(up + at, count - at)));
  }
}

namespace {

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

}  // namespace

void avx2::Rope(float* head, const RopeArgs& args) {
  if (args.adjacent) {
    RopeAdjacent(head, args);
  } else {
    RopeHalves(head, args);
  }
}

void avx2::ToHalf(const float* x, size_t count, uint16_t* out) {
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

void avx2::ExpAll(const float* x, size_t count, float* out) {
  for (size_t at = 0; at < count; at += 8) StoreFirst(out + at, count - at, Exp(LoadFirst(x + at, count - at)));
}

// ---- the roof ----

uint64_t avx2::ReadSum(const std::byte* data, size_t bytes) {
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

constinit const KernelTable kAvx2Table = {
    .isa = Isa::kAvx2,
    .quantize_row = avx2::QuantizeRow,
    .matmul = kAvx2Matmul,
    .rms_norm = avx2::RmsNorm,
    .silu_mul = avx2::SiluMul,
    .layer_norm = avx2::LayerNorm,
    .silu = avx2::Silu,
    .gelu_tanh = avx2::GeluTanh,
    .gelu_tanh_mul = avx2::GeluTanhMul,
    .softcap = avx2::SoftcapAll,
    .rope = avx2::Rope,
    .to_half = avx2::ToHalf,
    .exp = avx2::ExpAll,
    .attend_tile_f16 = avx2::AttendTileF16,
    .attend_tile_f32 = avx2::AttendTileF32,
    .attend_merge = avx2::AttendMerge,
    .attend_finish = avx2::AttendFinish,
    .read_sum = avx2::ReadSum,
};

}  // namespace millrace::kernels

#endif  // __x86_64__
