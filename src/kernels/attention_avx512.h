// The attention kernels of kernels_avx512.cc's table. They need AVX-512 F, BW, DQ and VL.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace millrace::kernels::avx512 {

void AttendTileF16(const AttendTileArgs<uint16_t>& args);
void AttendTileF32(const AttendTileArgs<float>& args);

}  // namespace millrace::kernels::avx512
