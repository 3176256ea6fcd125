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

namespace millrace::kernels {
namespace {

float HalfAt(const std::byte* data) {
  uint16_t bits;
  std::memcpy(&bits, data, sizeof(bits));
  return HalfToFloat(bits);
}

void QuantizeRow(const float* x, const QuantRows& out, uint32_t row) {
  const uint32_t groups = out.cols / kGroupCols;
  for (uint32_t group = 0; group < groups; ++group, x += kGroupCols) {
    int8_t* codes = out.codes + size_t{row} * out.cols + group * kGroupCols;
    const size_t index = size_t{row} * groups + group;
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
      continue;
    }
    const float scale = amax / 127.0F;
    const float inverse = 127.0F / amax;
    int32_t sum = 0;
    for (uint32_t i = 0; i < kGroupCols; ++i) {
      const float rounded = (x[i] * inverse + kExpRound) - kExpRound;  // |x * inverse| is at most 127 and an ulp
      const auto code = static_cast<int32_t>(rounded);
      codes[i] = static_cast<int8_t>(code);
      sum += code;
    }
    out.scales[index] = scale;
    out.sums[index] = scale * static_cast<float>(sum);
  }
}

void Store(const OutputRows& y, size_t m, size_t row, float value) {
  float& at = y.data[m * y.stride + row];
  at = y.add ? at + value : value;
}

// One output: row r of a strip times one activation row.
float DotQ4_1(const std::byte* strip, uint32_t r, const int8_t* x, const float* scales, const float* sums, uint32_t groups) {
  float sum = 0.0F;
  for (uint32_t group = 0; group < groups; ++group, strip += kQ4_1GroupBytes, x += kGroupCols) {
    int32_t dot = 0;
    for (uint32_t i = 0; i < 16; ++i) {
      const auto codes = static_cast<uint8_t>(strip[32 + i / 4 * 32 + 4 * r + i % 4]);
      dot += (codes & 0xF) * x[i] + (codes >> 4) * x[16 + i];
    }
    sum = std::fma(HalfAt(strip + 2 * r) * scales[group], static_cast<float>(dot), sum);
    sum = std::fma(HalfAt(strip + 16 + 2 * r), sums[group], sum);
  }
  return sum;
}

float DotQ8_0(const std::byte* strip, uint32_t r, const int8_t* x, const float* scales, uint32_t groups) {
  float sum = 0.0F;
  for (uint32_t group = 0; group < groups; ++group, strip += kQ8_0GroupBytes, x += kGroupCols) {
    int32_t dot = 0;
    for (uint32_t i = 0; i < kGroupCols; ++i) dot += static_cast<int8_t>(strip[16 + i / 4 * 32 + 4 * r + i % 4]) * x[i];
    sum = std::fma(HalfAt(strip + 2 * r) * scales[group], static_cast<float>(dot), sum);
  }
  return sum;
}

template <bool kAffine>
void MatmulQuant(const PackedMatrix& w, IndexRange strips, const QuantRows& x, uint32_t rows, const OutputRows& y) {
  const uint32_t groups = w.cols / kGroupCols;
  const size_t strip_bytes = size_t{groups} * (kAffine ? kQ4_1GroupBytes : kQ8_0GroupBytes);
  for (size_t strip = strips.begin; strip < strips.end; ++strip) {
    const std::byte* data = w.data + strip * strip_bytes;
    for (uint32_t r = 0; r < kStripRows && strip * kStripRows + r < w.rows; ++r) {
      for (size_t m = 0; m < rows; ++m) {
        const int8_t* codes = x.codes + m * x.cols;
        const float* scales = x.scales + m * groups;
        const float dot =
            kAffine ? DotQ4_1(data, r, codes, scales, x.sums + m * groups, groups) : DotQ8_0(data, r, codes, scales, groups);
        Store(y, m, strip * kStripRows + r, dot);
      }
    }
  }
}

void MatmulF32(const PackedMatrix& w, IndexRange strips, const float* x, uint32_t rows, const OutputRows& y) {
  const auto* weights = reinterpret_cast<const float*>(w.data);
  for (size_t row = strips.begin * kStripRows; row < strips.end * kStripRows && row < w.rows; ++row) {
    for (size_t m = 0; m < rows; ++m) {
      float lanes[kLanes] = {};
      for (uint32_t i = 0; i < w.cols; ++i) {
        lanes[i % kLanes] = std::fma(weights[row * w.cols + i], x[m * w.cols + i], lanes[i % kLanes]);
      }
      Store(y, m, row, SumLanes(lanes));
    }
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
    .matmul_q4_1 = MatmulQuant<true>,
    .matmul_q8_0 = MatmulQuant<false>,
    .matmul_f32 = MatmulF32,
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
