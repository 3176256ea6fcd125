// The matrix products of matmul_avx512_*.cc. They need AVX-512 F, BW, DQ, VL and VNNI.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace millrace::kernels::avx512 {

template <PackedForm kForm>
void Matmul(const PackedMatrix& w, IndexRange strips, const InputRows& x, uint32_t rows, const OutputRows& y);

}  // namespace millrace::kernels::avx512
