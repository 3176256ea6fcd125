#include "kernels/file_blocks.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "kernels/kernel_test_data.h"

namespace millrace::kernels {
namespace {

// One type of tests/golden_blocks/blocks.bin (tools/make_golden_blocks).
struct Golden {
  DType dtype = DType::kF32;
  uint32_t elements = 0;  // of a block; of a float type: as many as stand together
  uint32_t blocks = 0;
  std::vector<std::byte> bytes;
  std::vector<float> values;
};

std::vector<Golden> ReadGolden() {
  std::ifstream in(MILLRACE_SOURCE_DIR "/tests/golden_blocks/blocks.bin", std::ios::binary);
  std::vector<Golden> all;
  uint32_t header[4];  // ggml_type, bytes and elements of a block, blocks
  while (in.read(reinterpret_cast<char*>(header), sizeof(header))) {
    Golden golden{
        .dtype = DTypeFromGguf(header[0]).value(), .elements = header[2], .blocks = header[3], .bytes = {}, .values = {}};
    golden.bytes.resize(size_t{header[1]} * header[3]);
    golden.values.resize(size_t{header[2]} * header[3]);
    in.read(reinterpret_cast<char*>(golden.bytes.data()), static_cast<std::streamsize>(golden.bytes.size()));
    in.read(reinterpret_cast<char*>(golden.values.data()), static_cast<std::streamsize>(golden.values.size() * sizeof(float)));
    EXPECT_TRUE(in.good());
    all.push_back(std::move(golden));
  }
  return all;
}

// All products are exact and every weight is rounded once, there and here: bit for bit.
TEST(FileBlocks, MeanWhatTheGgufPackageMakesOfThem) {
  const std::vector<Golden> all = ReadGolden();
  ASSERT_EQ(all.size(), 11U) << "every type of GGUF that has a kernel";
  for (const Golden& golden : all) {
    const FileMatrix file{
        .dtype = golden.dtype, .rows = 2, .cols = uint64_t{golden.elements} * golden.blocks / 2, .codes = golden.bytes.data()};
    PackedMatrix matrix = PackedMatrixOf(file).value();
    std::vector<std::byte> packed(PackedBytes(matrix));
    PackStrips({file, matrix, packed.data()}, 0, 1);
    matrix.data = packed.data();
    for (uint32_t row = 0; row < 2; ++row) {
      const std::vector<float> expected(golden.values.begin() + static_cast<ptrdiff_t>(row * file.cols),
                                        golden.values.begin() + static_cast<ptrdiff_t>((row + 1) * file.cols));
      std::vector<float> found(file.cols);
      DequantizeFileRow(file, row, found.data());
      EXPECT_TRUE(SameBits(expected, found)) << Info(golden.dtype).name << " row " << row;
      DequantizePackedRow(matrix, row, found.data());
      EXPECT_TRUE(SameBits(expected, found)) << Info(golden.dtype).name << ", packed, row " << row;
    }
  }
}

}  // namespace
}  // namespace millrace::kernels
