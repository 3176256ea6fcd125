// The kernels: one table of functions per instruction set, chosen once per model, so that no kernel asks which CPU it runs on.
//
// kernels_scalar.cc is the definition: every other table gives the same bits for the same arguments, whatever the number of rows,
// the strips or the threads. What makes that possible:
//   - integer dot products are exact; per output row there is one float accumulator, groups are added in ascending order,
//     and each addition is one fused multiply-add (std::fma in the definition);
//   - float sums over a row (norms, F32 dot products, softmax denominators) run in 16 virtual lanes, element i in lane i mod 16,
//     which are added by one fixed tree: i + 8, i + 4, i + 2, i + 1;
//   - exp is one polynomial, tanh and gelu are made of it (kernel_constants.h); division and square root are the exact ones; nothing is contracted (-ffp-contract=off).
// The promise is for finite numbers: where a NaN comes in, a NaN comes out, but its sign and payload are unspecified.
//
// To add an instruction set: one file kernels_NAME.cc (or a few), one enumerator, one row in kernel_table.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "kernels/index_range.h"
#include "kernels/packed.h"

namespace millrace::kernels {

enum class Isa : uint8_t { kScalar, kAvx2, kAvx512Vnni };

inline constexpr uint32_t kMinusSums = 6;  // numbers of QuantRows::minus_sums a group

// Activation rows quantised to 8 bits, one scale per group of 32 columns, rows contiguous. x is about scale * code.
// Biases and minima are multiplied with `sums`, made of the rounded codes: with the exact float sums the rounding errors of the
// code part would no longer cancel, and the rms error would be about 2.4 times as large.
//
// `minus_sums` lets a kernel subtract a constant from all codes of a group for nothing: its integer sums begin with that multiple of
// minus the activations. Three pairs a group: of the columns 0-15, of 16-31, of both; the first of a pair sums the columns 0 and 1 of
// each run of four, the second the columns 2 and 3, as a multiplication of bytes into 16 bits leaves them.
struct QuantRows {
  int8_t* codes = nullptr;        // [rows, cols], -127..127
  float* scales = nullptr;        // [rows, cols / 32]
  float* sums = nullptr;          // [rows, cols / 32]: scale * (integer sum of the group's codes)
  int16_t* minus_sums = nullptr;  // [rows, cols / 32, 3, 2]
  uint32_t cols = 0;              // a multiple of 32

  // The same without the first `rows` rows.
  QuantRows After(size_t rows) const {
    const size_t groups = rows * (cols / 32);
    return {codes + rows * cols, scales + groups, sums + groups, minus_sums + groups * kMinusSums, cols};
  }
};

// Activations of a matrix product: what the form of the matrix wants (WantsQuantisedRows) must be there.
struct InputRows {
  const float* floats = nullptr;  // [rows, cols]
  QuantRows quant;
};

// Where a matrix product goes: element (m, row) at data[m * stride + row].
struct OutputRows {
  float* data = nullptr;
  size_t stride = 0;
  bool add = false;  // += instead of =
};

inline constexpr uint32_t kTilePositions = 256;  // softmax tiles stand at multiples of this, whatever the batch
inline constexpr uint32_t kBlockPositions = 32;  // positions of one KV block
inline constexpr uint32_t kTileBlocks = kTilePositions / kBlockPositions;
inline constexpr uint32_t kMaxTileQueries = 32;  // queries of one AttendTile call

// One tile of attention: queries that share the keys and values of one KV head. T is uint16_t (binary16) or float.
//   K block: [2][head_dim][16 positions]   V block: [32 positions][head_dim]
// A query sees positions [first, visible) of the tile. What lies outside of them in a block is never read as a value that counts.
template <typename T>
struct AttendTileArgs {
  const T* const* k_blocks = nullptr;  // kTileBlocks pointers, as many valid as the longest query needs
  const T* const* v_blocks = nullptr;
  const T* next_keys[2] = {};             // K blocks that the caller will read after this tile, or nullptr: only prefetched
  const float* const* queries = nullptr;  // each [head_dim]
  const uint32_t* first = nullptr;        // per query, below visible; nullptr = 0 for all
  const uint32_t* visible = nullptr;      // per query, 1..kTilePositions
  uint32_t query_count = 0;               // 1..kMaxTileQueries
  uint32_t head_dim = 0;                  // a multiple of 8
  float scale = 0;
  float softcap = 0;         // a score s becomes softcap * tanh(s / softcap); 0 = it stays
  float* scratch = nullptr;  // [query_count, kTilePositions], aligned to 32 bytes
  float* states = nullptr;   // out: [query_count, head_dim + 2], see AttendState
};

// Softmax in the making for one query: head_dim weighted sums of values, then the maximum score, then the denominator.
constexpr size_t AttendStateFloats(uint32_t head_dim) { return size_t{head_dim} + 2; }

// One rotated pair per i in [0, dims / 2): (x0, x1) -> (x0 cos - x1 sin, x1 cos + x0 sin).
struct RopeArgs {
  const float* cos = nullptr;  // [dims / 2]
  const float* sin = nullptr;
  uint32_t dims = 0;
  bool adjacent = false;  // pairs (2 i, 2 i + 1); else (i, i + dims / 2)
};

// y[m, r] (+)= W[r] . x[m], for the rows of strips [begin, end) and the first `rows` rows of x. Strips are independent of each other.
//   quantised forms: the groups of 32 columns in ascending order, each
//     sum = fma(scale_w * scale_x, float(integer dot product), sum), then, where the form has biases, sum = fma(bias_w, sum_x, sum)
//     (packed.h says which integers, scales and biases; the bias of kAffine8* is fma(128, scale, bias));
//   float forms: 16 lanes, each lane = fma(w, x, lane), and the tree.
using MatmulFn = void (*)(const PackedMatrix& w, IndexRange strips, const InputRows& x, uint32_t rows, const OutputRows& y);

struct KernelTable {
  Isa isa;

  // x [cols] -> row `row` of `out`. Codes are rounded to nearest even, scale = amax / 127. A group whose amax is below 2^-100
  // becomes zero; a group with a NaN or an infinity gets the scale NaN, so that every output that reads it is NaN.
  void (*quantize_row)(const float* x, const QuantRows& out, uint32_t row);

  const std::array<MatmulFn, kPackedForms>& matmul;  // by PackedForm
  MatmulFn MatmulOf(PackedForm form) const { return matmul[static_cast<size_t>(form)]; }

  // y = x * (1 / sqrt(mean(x^2) + epsilon)) * weight, each [count]. y may be x.
  void (*rms_norm)(const float* x, const float* weight, uint32_t count, float epsilon, float* y);
  // out = gate / (1 + exp(-gate)) * up, each [count]. out may be gate or up.
  void (*silu_mul)(const float* gate, const float* up, size_t count, float* out);
  // y = (x - mean) * (1 / sqrt(mean((x - mean)^2) + epsilon)) * weight + bias, each [count]; bias may be nullptr. y may be x.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, uint32_t count, float epsilon, float* y);
  // Activations without a gate, and gelu with one; out may be an input.
  void (*silu)(const float* x, size_t count, float* out);
  void (*gelu_tanh)(const float* x, size_t count, float* out);
  void (*gelu_tanh_mul)(const float* gate, const float* up, size_t count, float* out);
  // out = cap * tanh(x * scale / cap), each [count]. out may be x.
  void (*softcap)(const float* x, size_t count, float scale, float cap, float* out);
  void (*rope)(float* head, const RopeArgs& args);
  void (*to_half)(const float* x, size_t count, uint16_t* out);
  void (*exp)(const float* x, size_t count, float* out);

  void (*attend_tile_f16)(const AttendTileArgs<uint16_t>& args);
  void (*attend_tile_f32)(const AttendTileArgs<float>& args);
  // state = state merged with the next tile's; tiles are merged in ascending order.
  void (*attend_merge)(float* state, const float* next, uint32_t head_dim);
  // out[head_dim] = weighted sums / denominator.
  void (*attend_finish)(const float* state, uint32_t head_dim, float* out);

  // Sum of the 64-bit words of a buffer (a multiple of 64 bytes, aligned to 64), modulo 2^64: reads as fast as the machine can.
  uint64_t (*read_sum)(const std::byte* data, size_t bytes);
};

std::string_view IsaName(Isa isa);  // "scalar", "avx2", "avx512vnni"
std::optional<Isa> IsaFromName(std::string_view name);
// What this build and this CPU can run, slowest first.
std::span<const Isa> AvailableIsas();
Isa BestIsa();
// The table of an available instruction set.
const KernelTable& TableFor(Isa isa);

}  // namespace millrace::kernels
