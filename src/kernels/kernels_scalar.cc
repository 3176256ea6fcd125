// The definition of every kernel: plain C++, one operation after the other, std::fma where the fast versions fuse. Slow on
// purpose; what it computes is what all other files of this folder must compute, bit for bit.
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/half.h"
#include "kernels/kernel_constants.h"
#include "kernels/kernel_tables.h"

namespace millrace::kernels {
namespace {

constexpr uint32_t kLanes = 16;

float LoadFloat(uint16_t half) { return HalfToFloat(half); }
float LoadFloat(float value) { return value; }

float HalfAt(const std::byte* data) {
  uint16_t bits;
  std::memcpy(&bits, data, sizeof(bits));
  return HalfToFloat(bits);
}

// The one tree of every float sum.
float SumLanes(const float (&lanes)[kLanes]) {
  float sums[kLanes / 2];
  for (uint32_t i = 0; i < 8; ++i) sums[i] = lanes[i] + lanes[i + 8];
  for (uint32_t i = 0; i < 4; ++i) sums[i] += sums[i + 4];
  for (uint32_t i = 0; i < 2; ++i) sums[i] += sums[i + 2];
  return sums[0] + sums[1];
}

float Exp(float x) {
  float c = x > kExpLow ? x : kExpLow;
  c = c < kExpHigh ? c : kExpHigh;
  const float n = std::fma(c, kExpLog2E, kExpRound) - kExpRound;
  float r = std::fma(n, -kExpLn2High, c);
  r = std::fma(n, -kExpLn2Low, r);
  float p = kExpPolynomial[0];
  for (uint32_t i = 1; i < 6; ++i) p = std::fma(p, r, kExpPolynomial[i]);
  const float mantissa = std::fma(p, r * r, r) + 1.0F;
  const uint32_t raised = std::bit_cast<uint32_t>(mantissa) + (static_cast<uint32_t>(static_cast<int32_t>(n)) << 23);
  return x >= kExpLow ? std::bit_cast<float>(raised) : 0.0F;
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

template <typename T>
float Score(const AttendTileArgs<T>& args, const float* query, uint32_t position) {
  const T* keys = args.k_blocks[position / kBlockPositions] + position % kBlockPositions / kLanes * (kLanes * args.head_dim);
  float sum = 0.0F;
  for (uint32_t d = 0; d < args.head_dim; ++d) sum = std::fma(query[d], LoadFloat(keys[d * kLanes + position % kLanes]), sum);
  return sum * args.scale;
}

template <typename T>
void AttendTile(const AttendTileArgs<T>& args) {
  for (uint32_t q = 0; q < args.query_count; ++q) {
    float* scores = args.scratch + size_t{q} * kTilePositions;
    float* state = args.states + q * AttendStateFloats(args.head_dim);
    float maximum = -std::numeric_limits<float>::infinity();
    for (uint32_t position = 0; position < args.visible[q]; ++position) {
      scores[position] = Score(args, args.queries[q], position);
      maximum = scores[position] > maximum ? scores[position] : maximum;
    }
    float lanes[kLanes] = {};
    for (uint32_t position = 0; position < args.visible[q]; ++position) {
      scores[position] = Exp(scores[position] - maximum);
      lanes[position % kLanes] += scores[position];
    }
    for (uint32_t d = 0; d < args.head_dim; ++d) {
      float sum = 0.0F;
      for (uint32_t position = 0; position < args.visible[q]; ++position) {
        const T* values = args.v_blocks[position / kBlockPositions] + position % kBlockPositions * args.head_dim;
        sum = std::fma(scores[position], LoadFloat(values[d]), sum);
      }
      state[d] = sum;
    }
    state[args.head_dim] = maximum + 0.0F;  // one zero only
    state[args.head_dim + 1] = SumLanes(lanes);
  }
}

void AttendMerge(float* state, const float* next, uint32_t head_dim) {
  const float maximum = state[head_dim] > next[head_dim] ? state[head_dim] : next[head_dim];
  const float keep = Exp(state[head_dim] - maximum);
  const float take = Exp(next[head_dim] - maximum);
  for (uint32_t d = 0; d < head_dim; ++d) state[d] = std::fma(next[d], take, state[d] * keep);
  state[head_dim] = maximum;
  state[head_dim + 1] = std::fma(next[head_dim + 1], take, state[head_dim + 1] * keep);
}

void AttendFinish(const float* state, uint32_t head_dim, float* out) {
  for (uint32_t d = 0; d < head_dim; ++d) out[d] = state[d] / state[head_dim + 1];
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
    .rope = Rope,
    .to_half = ToHalf,
    .exp = ExpAll,
    .attend_tile_f16 = AttendTile<uint16_t>,
    .attend_tile_f32 = AttendTile<float>,
    .attend_merge = AttendMerge,
    .attend_finish = AttendFinish,
    .read_sum = ReadSum,
};

}  // namespace millrace::kernels
