// The table of AVX-512 with VNNI: matrix products and attention of its own, the rest as with AVX2.
#if defined(__x86_64__)

#include "kernels/attention_avx2.h"
#include "kernels/attention_avx512.h"
#include "kernels/elementwise.h"
#include "kernels/kernel_tables.h"
#include "kernels/kernels_avx2.h"
#include "kernels/matmul_tables.h"

namespace millrace::kernels {

constinit const KernelTable kAvx512Table = {
    .isa = Isa::kAvx512Vnni,
    .quantize_row = avx2::QuantizeRow,
    .matmul = kAvx512Matmul,
    .rms_norm = avx2::RmsNorm,
    .silu_mul = avx2::SiluMul,
    .layer_norm = avx2::LayerNorm,
    .silu = avx2::Silu,
    .gelu_tanh = avx2::GeluTanh,
    .gelu_tanh_mul = avx2::GeluTanhMul,
    .softcap = avx2::SoftcapAll,
    .rope = avx2::Rope,
    .to_half = avx2::ToHalf,
    .exp = avx2::ExpAll,
    .attend_tile_f16 = avx512::AttendTileF16,
    .attend_tile_f32 = avx512::AttendTileF32,
    .attend_merge = avx2::AttendMerge,
    .attend_finish = avx2::AttendFinish,
    .read_sum = avx2::ReadSum,
};

}  // namespace millrace::kernels

#endif  // __x86_64__
