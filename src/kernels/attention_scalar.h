// The attention kernels of kernels_scalar.cc's table.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace millrace::kernels::scalar {

void AttendTileF16(const AttendTileArgs<uint16_t>& args);
void AttendTileF32(const AttendTileArgs<float>& args);
void AttendMerge(float* state, const float* next, uint32_t head_dim);
void AttendFinish(const float* state, uint32_t head_dim, float* out);

}  // namespace millrace::kernels::scalar
