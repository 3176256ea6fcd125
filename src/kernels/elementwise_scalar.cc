// The definition of the kernels of elementwise.h.
#include <cmath>

#include "kernels/elementwise.h"
#include "kernels/exp_scalar.h"
#include "kernels/kernel_constants.h"
#include "kernels/lanes_scalar.h"

namespace millrace::kernels::scalar {
namespace {

float Gelu(float x) { return x / (1.0F + Exp(std::fma(x * x, kGeluCubic, kGeluLinear) * x)); }

}  // namespace

void LayerNorm(const float* x, const float* weight, const float* bias, uint32_t count, float epsilon, float* y) {
  float lanes[kLanes] = {};
  for (uint32_t i = 0; i < count; ++i) lanes[i % kLanes] += x[i];
  const float mean = SumLanes(lanes) / static_cast<float>(count);
  float squares[kLanes] = {};
  for (uint32_t i = 0; i < count; ++i) squares[i % kLanes] = std::fma(x[i] - mean, x[i] - mean, squares[i % kLanes]);
  const float scale = 1.0F / std::sqrt(SumLanes(squares) / static_cast<float>(count) + epsilon);
  for (uint32_t i = 0; i < count; ++i) {
    const float scaled = (x[i] - mean) * scale;
    y[i] = bias != nullptr ? std::fma(scaled, weight[i], bias[i]) : scaled * weight[i];
  }
}

void Silu(const float* x, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = x[i] / (1.0F + Exp(-x[i]));
}

void GeluTanh(const float* x, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = Gelu(x[i]);
}

void GeluTanhMul(const float* gate, const float* up, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = Gelu(gate[i]) * up[i];
}

void SoftcapAll(const float* x, size_t count, float scale, float cap, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = Softcap(x[i] * scale, cap);
}

}  // namespace millrace::kernels::scalar
