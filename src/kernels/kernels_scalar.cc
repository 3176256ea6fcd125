// The definition of every kernel: plain C++, one operation after the other, std::fma where the fast versions fuse. Slow on
// purpose; what it computes is what all other files of this folder must compute, bit for bit.
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/half.h"
#include "kernels/attention_scalar.h"
#include "kernels/elementwise.h"
#include "kernels/exp_scalar.h"
#include "kernels/kernel_constants.h"
#include "kernels/kernel_tables.h"
#include "kernels/lanes_scalar.h"
#include "kernels/matmul_tables.h"

namespace millrace::kernels {
namespace {

void QuantizeRow(const float* x, const QuantRows& out, uint32_t row) {
  const uint32_t groups = out.cols / kGroupCols;
  for (uint32_t group = 0; group < groups; ++group, x += kGroupCols) {
    int8_t* codes = out.codes + size_t{row} * out.cols + group * kGroupCols;
    const size_t index = size_t{row} * groups + group;
    int16_t* minus_sums = out.minus_sums + kMinusSums * index;
    uint32_t magnitude = 0;  // compared as integers, so that a NaN is larger than everything
    for (uint32_t i = 0; i < kGroupCols; ++i) {
      const uint32_t bits = std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFFU;
      magnitude = bits > magnitude ? bits : magnitude;
    }
    const float amax = std::bit_cast<float>(magnitude);
    if (magnitude >= 0x7F800000U || amax < kQuantFloor) {
      std::memset(codes, 0, kGroupCols);
      const float scale = amax < kQuantFloor ? 0.0F : std::numeric_limits<float>::quiet_NaN();
      out.scales[index] = scale;
      out.sums[index] = scale;
      std::memset(minus_sums, 0, kMinusSums * sizeof(int16_t));
      continue;
    }
    const float scale = amax / 127.0F;
    const float inverse = 127.0F / amax;
    int32_t sums[2][2] = {};  // of 16 columns each, by pairs of columns
    for (uint32_t i = 0; i < kGroupCols; ++i) {
      const float rounded = (x[i] * inverse + kExpRound) - kExpRound;  // |x * inverse| is at most 127 and an ulp
      const auto code = static_cast<int32_t>(rounded);
      codes[i] = static_cast<int8_t>(code);
      sums[i / 16][i % 4 / 2] += code;
    }
    for (uint32_t pair = 0; pair < 2; ++pair) {
      minus_sums[pair] = static_cast<int16_t>(-sums[0][pair]);
      minus_sums[2 + pair] = static_cast<int16_t>(-sums[1][pair]);
      minus_sums[4 + pair] = static_cast<int16_t>(-sums[0][pair] - sums[1][pair]);
    }
    out.scales[index] = scale;
    out.sums[index] = scale * static_cast<float>(sums[0][0] + sums[0][1] + sums[1][0] + sums[1][1]);
  }
}

void RmsNorm(const float* x, const float* weight, uint32_t count, float epsilon, float* y) {
  float lanes[kLanes] = {};
  for (uint32_t i = 0; i < count; ++i) lanes[i % kLanes] = std::fma(x[i], x[i], lanes[i % kLanes]);
  const float scale = 1.0F / std::sqrt(SumLanes(lanes) / static_cast<float>(count) + epsilon);
  for (uint32_t i = 0; i < count; ++i) y[i] = x[i] * scale * weight[i];
}

void SiluMul(const float* gate, const float* up, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = gate[i] / (1.0F + Exp(-gate[i])) * up[i];
}

void Rope(float* head, const RopeArgs& args) {
  const uint32_t pairs = args.dims / 2;
  for (uint32_t i = 0; i < pairs; ++i) {
    float& first = head[args.adjacent ? 2 * i : i];
    float& second = head[args.adjacent ? 2 * i + 1 : i + pairs];
    const float x0 = first;
    const float x1 = second;
    first = std::fma(x0, args.cos[i], -(x1 * args.sin[i]));
    second = std::fma(x1, args.cos[i], x0 * args.sin[i]);
  }
}

void ToHalf(const float* x, size_t count, uint16_t* out) {
  for (size_t i = 0; i < count; ++i) out[i] = FloatToHalf(x[i]);
}

void ExpAll(const float* x, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = Exp(x[i]);
}

uint64_t ReadSum(const std::byte* data, size_t bytes) {
  uint64_t sums[8] = {};
  for (size_t at = 0; at < bytes; at += 64) {
    uint64_t words[8];
    std::memcpy(words, data + at, sizeof(words));
    for (uint32_t i = 0; i < 8; ++i) sums[i] += words[i];
  }
  uint64_t sum = 0;
  for (const uint64_t part : sums) sum += part;
  return sum;
}

}  // namespace

constinit const KernelTable kScalarTable = {
    .isa = Isa::kScalar,
    .quantize_row = QuantizeRow,
    .matmul = kScalarMatmul,
    .rms_norm = RmsNorm,
    .silu_mul = SiluMul,
    .layer_norm = scalar::LayerNorm,
    .silu = scalar::Silu,
    .gelu_tanh = scalar::GeluTanh,
    .gelu_tanh_mul = scalar::GeluTanhMul,
    .softcap = scalar::SoftcapAll,
    .rope = Rope,
    .to_half = ToHalf,
    .exp = ExpAll,
    .attend_tile_f16 = scalar::AttendTileF16,
    .attend_tile_f32 = scalar::AttendTileF32,
    .attend_merge = scalar::AttendMerge,
    .attend_finish = scalar::AttendFinish,
    .read_sum = ReadSum,
};

}  // namespace millrace::kernels
