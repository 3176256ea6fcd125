// The attention kernels of kernels_avx2.cc's table. They need AVX2, FMA and F16C.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace millrace::kernels::avx2 {

void AttendTileF16(const AttendTileArgs<uint16_t>& args);
void AttendTileF32(const AttendTileArgs<float>& args);
void AttendMerge(float* state, const float* next, uint32_t head_dim);
void AttendFinish(const float* state, uint32_t head_dim, float* out);

}  // namespace millrace::kernels::avx2
