// The tables that this build contains, one per kernels_*.cc; private to this folder.
#pragma once

#include "kernels/kernel_table.h"

namespace millrace::kernels {

extern const KernelTable kScalarTable;
#if defined(__x86_64__)
extern const KernelTable kAvx2Table;    // needs AVX2, FMA and F16C
extern const KernelTable kAvx512Table;  // needs AVX-512 F, BW, DQ, VL, VNNI and what AVX2 needs
#endif

}  // namespace millrace::kernels
