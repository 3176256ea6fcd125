// The definition of every kernel: plain C++, one operation after the other, std::fma where the fast versions fuse. Slow on
// purpose; what it computes is what all other files of this folder must compute, bit for bit.
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/half.h"
#include "kernels/kernel_constants.h"
#include "kernels/kernel_tables.h"
#include "kernels/lanes_scalar.h"
#include "kernels/matmul_tables.h"

namespace millrace::kernels {
namespace {

float LoadFloat(uint16_t half) { return HalfToFloat(half); }
float LoadFloat(float value) { return value; }

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
    .matmul = kScalarMatmul,
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
