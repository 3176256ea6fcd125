// AVX-512: affine forms of 6 and 8 bits.
#if defined(__x86_64__)

#include "kernels/matmul_avx512.h"

namespace millrace::kernels {

template void avx512::Matmul<PackedForm::kAffine6F16>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t,
                                                      const OutputRows&);
template void avx512::Matmul<PackedForm::kAffine6BF16>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t,
                                                       const OutputRows&);
template void avx512::Matmul<PackedForm::kAffine6F32>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t,
                                                      const OutputRows&);
template void avx512::Matmul<PackedForm::kAffine8F16>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t,
                                                      const OutputRows&);
template void avx512::Matmul<PackedForm::kAffine8BF16>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t,
                                                       const OutputRows&);
template void avx512::Matmul<PackedForm::kAffine8F32>(const PackedMatrix&, IndexRange, const InputRows&, uint32_t,
                                                      const OutputRows&);

}  // namespace millrace::kernels

#endif  // __x86_64__
