// AVX-512: affine forms of 4 and 5 bits.
#if defined(__x86_64__)

#include "kernels/matmul_avx512.h"

namespace millrace::kernels {

template void avx512::Matmul<PackedForm::kAffine4F16>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t,
                                                      const OutputRows&);
template void avx512::Matmul<PackedForm::kAffine4BF16>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t,
                                                       const OutputRows&);
template void avx512::Matmul<PackedForm::kAffine4F32>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t,
                                                      const OutputRows&);
template void avx512::Matmul<PackedForm::kAffine5F16>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t,
                                                      const OutputRows&);

}  // namespace millrace::kernels

#endif  // __x86_64__
