// Weight matrices in the layout that the matrix kernels read, and how to get there from a file's blocks.
//
// Float matrices (F32, F16, BF16) stay as they are: rows one after the other. Everything quantised is cut into strips of 8 rows (the
// last one padded with zero rows), a strip into blocks of as many columns as share a scale in the file (32, 64, 128 or 256), and a block
// into groups of 32 columns, the unit in which activations are quantised. A strip is one contiguous stream:
//
//   block = scales of the 8 rows, then the code planes of each group in turn.
//
// Code planes of one group; c = 0..3 is a column of a run of four, r = 0..7 a row of the strip:
//   4 bits, 128 bytes   4 loads of 32 bytes; byte 4 r + c of load j: low nibble = code of column 4 j + c, high nibble = column 16 + 4 j + c
//   5 bits, 160 bytes   the low four bits as above, then 32 bytes of high bits: byte 4 r + c: bit j = bit 4 of column 4 j + c,
//                       bit 4 + j = bit 4 of column 16 + 4 j + c
//   6 bits, 192 bytes   the low four bits as above, then twice 32 bytes of two high bits: byte 4 r + c of the first: bits 2 j and 2 j + 1 =
//                       bits 4 and 5 of column 4 j + c; the second: of column 16 + 4 j + c
//   8 bits, 256 bytes   8 loads of 32 bytes; byte 4 r + c of load j = code of column 4 j + c, signed
// One 32-byte load thus meets four activations that are broadcast to all rows, and no sum across lanes is ever needed.
//
// Scales of one block:
//   scale      8 x binary16
//   affine     8 scales, then 8 biases, both in the type of the file: binary16, bfloat16 or binary32
//   two-level  8 d, then 8 dmin (binary16); of the 64 six-bit scales and minima, number i = 8 * group + row: 32 bytes with the low four bits
//              of scales i (low nibble) and 32 + i (high nibble), 32 bytes the same of the minima, 32 bytes with the two high bits of scale i,
//              scale 32 + i, minimum i, minimum 32 + i (lowest bits first)
//   halves     8 d (binary16); per group 16 signed bytes: scales of the columns 0-15 and 16-31, for rows 0-3: first, second, then rows 4-7
//
// What a weight means, q its code, and with how much each form multiplies it out (kernel_table.h has the order of additions):
//
//   form         from                     block  weight                              integer that meets the activations
//   kQ4_0        Q4_0                        32  d (q - 8)                           q - 8
//   kQ5_0        Q5_0                        32  d (q - 16)                          q - 16
//   kQ8_0        Q8_0                        32  d q                                 q
//   kAffine4*    Q4_1, MLX 4 bits   32, 64, 128  scale q + bias                      q
//   kAffine5F16  Q5_1                        32  scale q + bias                      q
//   kAffine6*    MLX 6 bits         32, 64, 128  scale q + bias                      q
//   kAffine8*    MLX 8 bits         32, 64, 128  scale q + bias; stored as q - 128   q - 128, with the bias fma(128, scale, bias)
//   kQ4_K kQ5_K  Q4_K, Q5_K                 256  (d scale) q - (dmin minimum)        q
//   kQ6_K        Q6_K                       256  d scale (q - 32)                    scale (q - 32)
//
// Every weight is rounded once, in the addition of the bias: all products above are exact in binary32, except those of a binary32
// scale, where the weight is fma(scale, q, bias).
//
// No form is larger than its source, apart from the padding rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/dtype.h"
#include "base/status.h"

namespace millrace::kernels {

inline constexpr uint32_t kStripRows = 8;
inline constexpr uint32_t kGroupCols = 32;

enum class PackedForm : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ5_0,
  kQ8_0,
  kAffine4F16,
  kAffine4BF16,
  kAffine4F32,
  kAffine5F16,
  kAffine6F16,
  kAffine6BF16,
  kAffine6F32,
  kAffine8F16,
  kAffine8BF16,
  kAffine8F32,
  kQ4_K,
  kQ5_K,
  kQ6_K
};
inline constexpr size_t kPackedForms = 19;

std::string_view FormName(PackedForm form);

// Whether the form is multiplied with activations of 8 bits; else with floats.
constexpr bool WantsQuantisedRows(PackedForm form) { return form > PackedForm::kBF16; }

// A matrix as it lies in a file, row-major, checked by whoever read the file: every pointer has the bytes that the shape demands.
struct FileMatrix {
  DType dtype = DType::kF32;
  uint64_t rows = 0;
  uint64_t cols = 0;
  const std::byte* codes = nullptr;  // the blocks; of an affine type, the bit stream of codes
  // Of an affine type only: [rows, cols / group] each.
  const std::byte* scales = nullptr;
  const std::byte* biases = nullptr;
  DType scale_dtype = DType::kF32;  // kF32, kF16 or kBF16
  uint32_t group = 0;               // 32, 64 or 128
};

// A view of one packed matrix [rows, cols]; the bytes belong to whoever made it, aligned to 64.
struct PackedMatrix {
  PackedForm form = PackedForm::kF32;
  uint32_t group = 0;  // columns of a block; 0 for the float forms
  uint32_t rows = 0;
  uint32_t cols = 0;  // a multiple of group
  const std::byte* data = nullptr;
};

// Strips of the matrix; of a float form a strip is simply 8 rows, the last one possibly fewer.
constexpr uint32_t Strips(uint32_t rows) { return rows / kStripRows + (rows % kStripRows != 0 ? 1 : 0); }

// The form and shape in which the kernels take the file's matrix; `data` is not set. kInvalidArgument for a shape that the type cannot
// have or that does not fit the address space, kUnsupported for scales of other types or groups. The bytes of `file` are not touched.
Result<PackedMatrix> PackedMatrixOf(const FileMatrix& file);

// Bytes of one strip (float forms: of 8 rows), and of the whole matrix. `data` does not matter; the shape comes from PackedMatrixOf.
size_t StripBytes(const PackedMatrix& matrix);
size_t PackedBytes(const PackedMatrix& matrix);

// Packs strips [begin, end) of `file` into `packed`, which has PackedBytes(matrix) bytes and is the start of the whole matrix.
// Threads may pack different strips at the same time.
struct PackJob {
  FileMatrix file;
  PackedMatrix matrix;  // PackedMatrixOf(file)
  std::byte* packed;
};
void PackStrips(const PackJob& job, uint32_t begin, uint32_t end);

// One row as floats, the value that every kernel means by these weights. The shape has passed PackedMatrixOf.
void DequantizeFileRow(const FileMatrix& file, uint64_t row, float* out);

// The same of a packed matrix, bit for bit (embedding lookup; tests).
void DequantizePackedRow(const PackedMatrix& matrix, uint32_t row, float* out);

}  // namespace millrace::kernels
