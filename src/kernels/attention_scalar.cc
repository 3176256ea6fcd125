// The definition of attention.
#include "kernels/attention_scalar.h"

#include <cmath>
#include <limits>

#include "base/half.h"
#include "kernels/exp_scalar.h"
#include "kernels/lanes_scalar.h"

namespace millrace::kernels::scalar {
namespace {

float LoadFloat(uint16_t half) { return HalfToFloat(half); }
float LoadFloat(float value) { return value; }

template <typename T>
float Score(const AttendTileArgs<T>& args, const float* query, uint32_t position) {
  const T* keys = args.k_blocks[position / kBlockPositions] + position % kBlockPositions / kLanes * (kLanes * args.head_dim);
  float sum = 0.0F;
  for (uint32_t d = 0; d < args.head_dim; ++d) sum = std::fma(query[d], LoadFloat(keys[d * kLanes + position % kLanes]), sum);
  const float score = sum * args.scale;
  return args.softcap != 0 ? Softcap(score, args.softcap) : score;
}

template <typename T>
void AttendTile(const AttendTileArgs<T>& args) {
  for (uint32_t q = 0; q < args.query_count; ++q) {
    float* scores = args.scratch + size_t{q} * kTilePositions;
    float* state = args.states + q * AttendStateFloats(args.head_dim);
    const uint32_t first = args.first != nullptr ? args.first[q] : 0;
    float maximum = -std::numeric_limits<float>::infinity();
    for (uint32_t position = first; position < args.visible[q]; ++position) {
      scores[position] = Score(args, args.queries[q], position);
      maximum = scores[position] > maximum ? scores[position] : maximum;
    }
    float lanes[kLanes] = {};
    for (uint32_t position = first; position < args.visible[q]; ++position) {
      scores[position] = Exp(scores[position] - maximum);
      lanes[position % kLanes] += scores[position];
    }
    for (uint32_t d = 0; d < args.head_dim; ++d) {
      float sum = 0.0F;
      for (uint32_t position = first; position < args.visible[q]; ++position) {
        const T* values = args.v_blocks[position / kBlockPositions] + position % kBlockPositions * args.head_dim;
        sum = std::fma(scores[position], LoadFloat(values[d]), sum);
      }
      state[d] = sum;
    }
    state[args.head_dim] = maximum + 0.0F;  // one zero only
    state[args.head_dim + 1] = SumLanes(lanes);
  }
}

}  // namespace

void AttendTileF16(const AttendTileArgs<uint16_t>& args) { AttendTile(args); }
void AttendTileF32(const AttendTileArgs<float>& args) { AttendTile(args); }

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

}  // namespace millrace::kernels::scalar
