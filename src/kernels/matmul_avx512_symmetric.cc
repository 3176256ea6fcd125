// AVX-512: forms with one scale per 32 columns.
#if defined(__x86_64__)

#include "kernels/matmul_avx512.h"

namespace millrace::kernels {

template void avx512::Matmul<PackedForm::kQ4_0>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t, const OutputRows&);
template void avx512::Matmul<PackedForm::kQ5_0>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t, const OutputRows&);
template void avx512::Matmul<PackedForm::kQ8_0>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t, const OutputRows&);

}  // namespace millrace::kernels

#endif  // __x86_64__
