// The matrix products of matmul_avx2_*.cc. They need AVX2, FMA and F16C.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace millrace::kernels::avx2 {

template <PackedForm kForm>
void Matmul(const PackedMatrix& w, IndexRange strips, const InputRows& x, uint32_t rows, const OutputRows& y);

}  // namespace millrace::kernels::avx2
