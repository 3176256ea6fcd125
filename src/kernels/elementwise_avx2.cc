// The kernels of elementwise.h with AVX2 and FMA; the rules of kernels_avx2.cc hold here, too.
#if defined(__x86_64__)

#include "kernels/elementwise.h"

#include <immintrin.h>

#include "kernels/kernel_constants.h"
#include "kernels/lanes_avx2.h"

namespace millrace::kernels {
namespace {

// 1 / sigmoid x.
__m256 OnePlusExp(__m256 minus_x) { return _mm256_add_ps(_mm256_set1_ps(1.0F), Exp(minus_x)); }

__m256 SiluOf(__m256 x) { return _mm256_div_ps(x, OnePlusExp(_mm256_xor_ps(x, _mm256_set1_ps(-0.0F)))); }

__m256 GeluOf(__m256 x) {
  const __m256 slope = _mm256_fmadd_ps(_mm256_mul_ps(x, x), _mm256_set1_ps(kGeluCubic), _mm256_set1_ps(kGeluLinear));
  return _mm256_div_ps(x, OnePlusExp(_mm256_mul_ps(slope, x)));
}

// Sums of 16 lanes; fn(eight values, mask of those that exist, sum so far) -> sum.
template <typename Fn>
float SumRow(const float* x, uint32_t count, Fn fn) {
  __m256 low = _mm256_setzero_ps();
  __m256 high = _mm256_setzero_ps();
  for (uint32_t at = 0; at < count; at += 16) {
    const uint32_t left = count - at;
    low = fn(LoadFirst(x + at, left), _mm256_castsi256_ps(FirstLanes(left < 8 ? left : 8)), low);
    if (left > 8) {
      high = fn(LoadFirst(x + at + 8, left - 8), _mm256_castsi256_ps(FirstLanes(left < 16 ? left - 8 : 8)), high);
    }
  }
  return SumLanes(low, high);
}

}  // namespace

namespace avx2 {

void LayerNorm(const float* x, const float* weight, const float* bias, uint32_t count, float epsilon, float* y) {
  const float sum = SumRow(x, count, [](__m256 value, __m256, __m256 so_far) { return _mm256_add_ps(so_far, value); });
  const __m256 mean = _mm256_set1_ps(sum / static_cast<float>(count));
  const float squares = SumRow(x, count, [mean](__m256 value, __m256 mask, __m256 so_far) {
    const __m256 centred = _mm256_and_ps(_mm256_sub_ps(value, mean), mask);
    return _mm256_fmadd_ps(centred, centred, so_far);
  });
  const __m256 scale = _mm256_set1_ps(1.0F / __builtin_sqrtf(squares / static_cast<float>(count) + epsilon));
  for (uint32_t at = 0; at < count; at += 8) {
    const uint32_t left = count - at;
    const __m256 scaled = _mm256_mul_ps(_mm256_sub_ps(LoadFirst(x + at, left), mean), scale);
    const __m256 weights = LoadFirst(weight + at, left);
    StoreFirst(y + at, left,
               bias != nullptr ? _mm256_fmadd_ps(scaled, weights, LoadFirst(bias + at, left)) : _mm256_mul_ps(scaled, weights));
  }
}

void Silu(const float* x, size_t count, float* out) {
  for (size_t at = 0; at < count; at += 8) StoreFirst(out + at, count - at, SiluOf(LoadFirst(x + at, count - at)));
}

void GeluTanh(const float* x, size_t count, float* out) {
  for (size_t at = 0; at < count; at += 8) StoreFirst(out + at, count - at, GeluOf(LoadFirst(x + at, count - at)));
}

void GeluTanhMul(const float* gate, const float* up, size_t count, float* out) {
  for (size_t at = 0; at < count; at += 8) {
    const __m256 gelu = GeluOf(LoadFirst(gate + at, count - at));
    StoreFirst(out + at, count - at, _mm256_mul_ps(gelu, LoadFirst(up + at, count - at)));
  }
}

void SoftcapAll(const float* x, size_t count, float scale, float cap, float* out) {
  const __m256 factor = _mm256_set1_ps(scale);
  const __m256 caps = _mm256_set1_ps(cap);
  for (size_t at = 0; at < count; at += 8) {
    StoreFirst(out + at, count - at, Softcap(_mm256_mul_ps(LoadFirst(x + at, count - at), factor), caps));
  }
}

}  // namespace avx2
}  // namespace millrace::kernels

#endif  // __x86_64__
