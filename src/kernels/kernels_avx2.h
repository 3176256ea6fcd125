// The kernels of kernels_avx2.cc, which the tables of wider instruction sets take too where more lanes gain nothing. They need AVX2, FMA and F16C.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

namespace millrace::kernels::avx2 {

void QuantizeRow(const float* x, const QuantRows& out, uint32_t row);
void RmsNorm(const float* x, const float* weight, uint32_t count, float epsilon, float* y);
void SiluMul(const float* gate, const float* up, size_t count, float* out);
void Rope(float* head, const RopeArgs& args);
void ToHalf(const float* x, size_t count, uint16_t* out);
void ExpAll(const float* x, size_t count, float* out);
uint64_t ReadSum(const std::byte* data, size_t bytes);

}  // namespace millrace::kernels::avx2
