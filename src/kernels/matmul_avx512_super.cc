// AVX-512: forms with scales of two levels, 256 columns a block.
#if defined(__x86_64__)

#include "kernels/matmul_avx512.h"

namespace millrace::kernels {

template void avx512::Matmul<PackedForm::kQ4_K>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t, const OutputRows&);
template void avx512::Matmul<PackedForm::kQ5_K>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t, const OutputRows&);
template void avx512::Matmul<PackedForm::kQ6_K>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t, const OutputRows&);

}  // namespace millrace::kernels

#endif  // __x86_64__
