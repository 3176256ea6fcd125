// The matrix products of each instruction set, by PackedForm; private to this folder.
#pragma once

#include <array>

#include "kernels/kernel_table.h"

namespace millrace::kernels {

extern const std::array<MatmulFn, kPackedForms> kScalarMatmul;
#if defined(__x86_64__)
extern const std::array<MatmulFn, kPackedForms> kAvx2Matmul;
extern const std::array<MatmulFn, kPackedForms> kAvx512Matmul;
#endif

}  // namespace millrace::kernels
