// The elementwise kernels of the tables that stand in files of their own; kernel_table.h says what each of them does.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace::kernels {

namespace scalar {
void LayerNorm(const float* x, const float* weight, const float* bias, uint32_t count, float epsilon, float* y);
void Silu(const float* x, size_t count, float* out);
void GeluTanh(const float* x, size_t count, float* out);
void GeluTanhMul(const float* gate, const float* up, size_t count, float* out);
void SoftcapAll(const float* x, size_t count, float scale, float cap, float* out);
}  // namespace scalar

namespace avx2 {  // need AVX2 and FMA
void LayerNorm(const float* x, const float* weight, const float* bias, uint32_t count, float epsilon, float* y);
void Silu(const float* x, size_t count, float* out);
void GeluTanh(const float* x, size_t count, float* out);
void GeluTanhMul(const float* gate, const float* up, size_t count, float* out);
void SoftcapAll(const float* x, size_t count, float scale, float cap, float* out);
}  // namespace avx2

}  // namespace millrace::kernels
