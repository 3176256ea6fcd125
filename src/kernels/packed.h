// Weight matrices in the layout that the matrix kernels read, and how to get there from a file's blocks.
//
// A quantised matrix is cut into strips of 8 rows (the last one padded with zero rows) and a strip into groups of 32 columns;
// groups follow each other, so that a thread that owns consecutive strips reads one contiguous stream. Per group:
//
//   Q4_1, 160 bytes   8 scales (binary16), 8 minima (binary16), then 4 x 32 bytes of codes.
//                     Byte 4 r + c of load j: low nibble = code of row r, column 4 j + c; high nibble = column 16 + 4 j + c.
//   Q8_0, 272 bytes   8 scales (binary16), then 8 x 32 bytes of codes.
//                     Byte 4 r + c of load j: code of row r, column 4 j + c.
//   F32               no strips: rows one after the other, cols floats each.
//
// One 32-byte load thus meets four activations that are broadcast to all rows, and no sum across lanes is ever needed. The
// layouts are exactly as large as the file's blocks (20 and 34 bytes per row and group), apart from the padding rows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "base/status.h"

namespace millrace::kernels {

inline constexpr uint32_t kStripRows = 8;
inline constexpr uint32_t kGroupCols = 32;
inline constexpr uint32_t kQ4_1GroupBytes = 160;
inline constexpr uint32_t kQ8_0GroupBytes = 272;

// A view of one packed matrix [rows, cols]; the bytes belong to whoever made it, aligned to 64.
struct PackedMatrix {
  DType dtype = DType::kF32;  // kF32, kQ4_1 or kQ8_0
  uint32_t rows = 0;
  uint32_t cols = 0;  // quantised: a multiple of kGroupCols
  const std::byte* data = nullptr;
};

// Strips of the matrix; for F32 a strip is simply 8 rows, the last one possibly fewer.
constexpr uint32_t Strips(uint32_t rows) { return rows / kStripRows + (rows % kStripRows != 0 ? 1 : 0); }

// Bytes of one strip (F32: of 8 rows).
size_t StripBytes(DType dtype, uint32_t cols);

// Bytes that a packed matrix occupies. kUnsupported for other types; kInvalidArgument for a shape that the type cannot have.
Result<size_t> PackedBytes(DType dtype, uint64_t rows, uint64_t cols);

// Packs strips [begin, end) of a matrix of file blocks (row-major, `dtype` of the file) into `packed`, the start of the whole
// packed matrix. Threads may pack different strips at the same time. The shape has passed PackedBytes.
struct PackJob {
  DType dtype;
  uint32_t rows;
  uint32_t cols;
  const std::byte* source;
  std::byte* packed;
};
void PackStrips(const PackJob& job, uint32_t begin, uint32_t end);

// One row of a file matrix as floats: w = d * q + m rounded once, the value that every kernel means by this weight.
// `source` is the row's first block; kF32, kQ4_1, kQ8_0.
void DequantizeFileRow(DType dtype, const std::byte* source, uint32_t cols, float* out);

// The same for a row of a packed matrix (embedding lookup; tests).
void DequantizePackedRow(const PackedMatrix& matrix, uint32_t row, float* out);

}  // namespace millrace::kernels
