// Reads the blocks of a file's matrix, whatever its type: 32 codes at a time, and where a block's scales stand. Private to this folder.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/packed.h"
#include "kernels/packed_layout.h"

namespace millrace::kernels {

// Codes of columns [32 group, 32 group + 32) of a row as a packed form stores them: unsigned, except those of 8 bits (int8_t in a byte;
// of an affine type minus kAffine8Zero).
void ReadCodes(const FileMatrix& file, uint64_t row, uint32_t group, uint8_t (&codes)[kGroupCols]);

// The numbers of a block of `file`, still in its own number type: the scale (or d) and the bias (or minimum, or dmin); nullptr where the
// type has none. `block` counts the blocks of a row.
struct FileScales {
  const std::byte* scale = nullptr;
  const std::byte* bias = nullptr;
};
FileScales ScalesOf(const FileMatrix& file, PackedForm form, uint64_t row, uint32_t block);

// The second level of Q4_K and Q5_K: 8 scales and minima of 6 bits.
struct SecondLevel {
  uint8_t scales[8];
  uint8_t minima[8];
};
SecondLevel SecondLevelOf(const FileMatrix& file, uint64_t row, uint32_t block);

// The second level of Q6_K: 16 signed scales.
const std::byte* HalfScalesOf(const FileMatrix& file, uint64_t row, uint32_t block);

}  // namespace millrace::kernels
