// Reads the blocks of a file's matrix, whatever its type: 32 codes at a time, and where a block's scales stand. Private to this folder.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/packed.h"
#include "kernels/packed_layout.h"

namespace millrace::kernels {

// The numbers of a block, still in their own type: the scale (or d) and the bias (or minimum, or dmin); nullptr where the type has none.
struct FileScales {
  const std::byte* scale = nullptr;
  const std::byte* bias = nullptr;
};

// The second level of Q4_K and Q5_K: 8 scales and minima of 6 bits.
struct SecondLevel {
  uint8_t scales[8];
  uint8_t minima[8];
};

// One row of a quantised matrix that has passed PackedMatrixOf.
class FileRow {
 public:
  FileRow() = default;
  FileRow(const FileMatrix& file, uint64_t row);

  // Codes of columns [32 group, 32 group + 32) as a packed form stores them: unsigned, except those of 8 bits (int8_t in a byte; of an
  // affine type minus kAffine8Zero).
  void ReadCodes(uint32_t group, uint8_t (&codes)[kGroupCols]) const;

  // Of a block, counted along the row.
  FileScales Scales(uint32_t block) const;
  SecondLevel ReadSecondLevel(uint32_t block) const;  // kQ4_K, kQ5_K
  const std::byte* HalfScales(uint32_t block) const;  // kQ6_K: 16 signed ones

 private:
  DType dtype_ = DType::kF32;
  const std::byte* blocks_ = nullptr;
  uint32_t block_bytes_ = 0;
  uint32_t number_bytes_ = 0;  // of an affine type
  const std::byte* scales_ = nullptr;
  const std::byte* biases_ = nullptr;
};

}  // namespace millrace::kernels
