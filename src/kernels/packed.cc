#include "kernels/packed.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "base/checked.h"
#include "kernels/file_blocks.h"
#include "kernels/packed_layout.h"

namespace millrace::kernels {
namespace {

constexpr uint32_t kEachByte = 0x01010101U;

PackedForm OfScaleType(DType type, PackedForm f16, PackedForm bf16, PackedForm f32) {
  if (type == DType::kF16) return f16;
  return type == DType::kBF16 ? bf16 : f32;
}

PackedForm FormOf(const FileMatrix& file) {
  using Form = PackedForm;
  switch (file.dtype) {
    case DType::kF32:
      return Form::kF32;
    case DType::kF16:
      return Form::kF16;
    case DType::kBF16:
      return Form::kBF16;
    case DType::kQ4_0:
      return Form::kQ4_0;
    case DType::kQ4_1:
      return Form::kAffine4F16;
    case DType::kQ5_0:
      return Form::kQ5_0;
    case DType::kQ5_1:
      return Form::kAffine5F16;
    case DType::kQ8_0:
      return Form::kQ8_0;
    case DType::kQ4_K:
      return Form::kQ4_K;
    case DType::kQ5_K:
      return Form::kQ5_K;
    case DType::kQ6_K:
      return Form::kQ6_K;
    case DType::kAffine4:
      return OfScaleType(file.scale_dtype, Form::kAffine4F16, Form::kAffine4BF16, Form::kAffine4F32);
    case DType::kAffine6:
      return OfScaleType(file.scale_dtype, Form::kAffine6F16, Form::kAffine6BF16, Form::kAffine6F32);
    case DType::kAffine8:
      return OfScaleType(file.scale_dtype, Form::kAffine8F16, Form::kAffine8BF16, Form::kAffine8F32);
  }
  CheckFailed(__FILE__, __LINE__, "FormOf", "a type that is none");
}

// Columns of a block; 0 for the float types.
uint32_t GroupOf(const FileMatrix& file) {
  if (IsFloat(file.dtype)) return 0;
  return IsAffine(file.dtype) ? file.group : Info(file.dtype).block_elements;
}

Status CheckAffine(const FileMatrix& file) {
  if (file.group != 32 && file.group != 64 && file.group != 128) {
    return Error(Code::kUnsupported, "{} matrix with groups of {} columns: expected 32, 64 or 128", Info(file.dtype).name,
                 file.group);
  }
  if (!IsFloat(file.scale_dtype)) {
    return Error(Code::kUnsupported, "{} matrix with scales of type {}: expected F16, BF16 or F32", Info(file.dtype).name,
                 Info(file.scale_dtype).name);
  }
  return {};
}

// ---- one row of a group ----

// Spreads 32 codes over the planes of a group; the bytes of the other rows stay.
void WriteCodes(uint32_t bits, const uint8_t (&codes)[kGroupCols], uint32_t r, std::byte* planes) {
  uint32_t words[8];  // four columns each
  std::memcpy(words, codes, sizeof(words));
  std::byte* at = planes + 4 * r;
  if (bits == 8) {
    for (uint32_t j = 0; j < 8; ++j) std::memcpy(at + 32 * j, &words[j], 4);
    return;
  }
  uint32_t high[2] = {};
  for (uint32_t j = 0; j < 4; ++j) {
    const uint32_t first = words[j];
    const uint32_t second = words[4 + j];
    const uint32_t nibbles = (first & 15 * kEachByte) | (second & 15 * kEachByte) << 4;
    std::memcpy(at + 32 * j, &nibbles, 4);
    if (bits == 5) high[0] |= (first >> 4 & kEachByte) << j | (second >> 4 & kEachByte) << (4 + j);
    if (bits == 6) {
      high[0] |= (first >> 4 & 3 * kEachByte) << (2 * j);
      high[1] |= (second >> 4 & 3 * kEachByte) << (2 * j);
    }
  }
  for (uint32_t plane = 0; plane < bits - 4; ++plane) std::memcpy(at + 128 + 32 * plane, &high[plane], 4);
}

void WriteSixBits(std::byte* scales, uint32_t i, bool minimum, uint8_t value) {
  const uint32_t upper = i / 32;
  std::byte& low = scales[(minimum ? 32 : 0) + i % 32];
  std::byte& high = scales[64 + i % 32];
  low |= static_cast<std::byte>((value & 15U) << (4 * upper));
  high |= static_cast<std::byte>((value >> 4) << (2 * upper + (minimum ? 4 : 0)));
}

// Scales of row r of a block that is zero so far.
void WriteScales(const FormInfo& info, const FileRow& row, uint32_t r, uint32_t block, std::byte* out) {
  const uint32_t size = NumberBytes(info.scale_type);
  const FileScales numbers = row.Scales(block);
  std::memcpy(out + size_t{size} * r, numbers.scale, size);
  if (numbers.bias != nullptr) std::memcpy(out + size_t{size} * (kStripRows + r), numbers.bias, size);
  if (info.scales == ScaleKind::kTwoLevel) {
    const SecondLevel level = row.ReadSecondLevel(block);
    for (uint32_t group = 0; group < 8; ++group) {
      WriteSixBits(out + 32, 8 * group + r, false, level.scales[group]);
      WriteSixBits(out + 32, 8 * group + r, true, level.minima[group]);
    }
  }
  if (info.scales == ScaleKind::kHalves) {
    const std::byte* scales = row.HalfScales(block);
    for (uint32_t half = 0; half < 16; ++half) out[16 + 16 * (half / 2) + HalfScaleAt(r) + half % 2 * 4] = scales[half];
  }
}

// The rows of one strip, as many as the matrix has there.
struct StripRows {
  FileRow rows[kStripRows];
  uint32_t count = 0;
};

void PackBlock(const PackedMatrix& matrix, const StripRows& strip, uint32_t block, std::byte* out) {
  const FormInfo& info = InfoOf(matrix.form);
  const uint32_t groups = matrix.group / kGroupCols;
  std::memset(out, 0, BlockBytes(matrix.form, matrix.group));
  for (uint32_t r = 0; r < strip.count; ++r) {
    WriteScales(info, strip.rows[r], r, block, out);
    for (uint32_t group = 0; group < groups; ++group) {
      uint8_t codes[kGroupCols];
      strip.rows[r].ReadCodes(block * groups + group, codes);
      WriteCodes(info.bits, codes, r, out + ScaleBytes(matrix.form) + size_t{group} * PlaneBytes(matrix.form));
    }
  }
}

// ---- back to floats ----

void DequantizeFloats(DType type, const std::byte* from, size_t count, float* out) {
  if (type == DType::kF32) {
    std::memcpy(out, from, count * sizeof(float));
    return;
  }
  for (size_t i = 0; i < count; ++i) out[i] = LoadNumber(type, from + 2 * i);
}

// The definition of a weight's value: one rounding. Products with scales of 16 bits are exact, so the slow fma is for the others. `codes`
// as ReadCodes gives them.
void DequantizeGroup(PackedForm form, const int32_t (&codes)[kGroupCols], const GroupScales& scales, float* out) {
  const FormInfo& info = InfoOf(form);
  const int32_t zero = info.bits == 8 && info.scales == ScaleKind::kAffine ? -kAffine8Zero : info.zero;
  const bool exact = info.scale_type != DType::kF32;
  for (uint32_t i = 0; i < kGroupCols; ++i) {
    const uint32_t half = i / 16;
    const float scale = scales.scale * static_cast<float>(scales.half_scale[half]);
    const auto code = static_cast<float>(codes[i] - zero);
    out[i] = exact ? scale * code + scales.bias : std::fma(scale, code, scales.bias);
  }
}

// Scales of a group of the row; `groups` make a block.
GroupScales FileScalesAt(const FormInfo& info, const FileRow& row, uint32_t group, uint32_t groups) {
  const uint32_t block = group / groups;
  const uint32_t within = group % groups;
  const FileScales numbers = row.Scales(block);
  GroupScales scales;
  scales.scale = LoadNumber(info.scale_type, numbers.scale);
  if (info.scales == ScaleKind::kAffine) scales.bias = LoadNumber(info.scale_type, numbers.bias);
  if (info.scales == ScaleKind::kTwoLevel) {
    const SecondLevel level = row.ReadSecondLevel(block);
    scales.scale *= static_cast<float>(level.scales[within]);
    scales.bias = -(LoadNumber(info.scale_type, numbers.bias) * static_cast<float>(level.minima[within]));
  }
  if (info.scales == ScaleKind::kHalves) {
    const std::byte* halves = row.HalfScales(block) + size_t{2} * within;
    for (uint32_t i = 0; i < 2; ++i) scales.half_scale[i] = LoadAs<int8_t>(halves + i);
  }
  return scales;
}

}  // namespace

std::string_view FormName(PackedForm form) { return InfoOf(form).name; }

Result<PackedMatrix> PackedMatrixOf(const FileMatrix& file) {
  constexpr uint64_t kMax = std::numeric_limits<uint32_t>::max() - kStripRows;
  if (file.rows == 0 || file.cols == 0 || file.rows > kMax || file.cols > kMax) {
    return Error(Code::kInvalidArgument, "{} matrix of {} x {}: expected 1 to {} rows and columns", Info(file.dtype).name,
                 file.rows, file.cols, kMax);
  }
  if (IsAffine(file.dtype)) RETURN_IF_ERROR(CheckAffine(file));
  const PackedMatrix matrix{.form = FormOf(file),
                            .group = GroupOf(file),
                            .rows = static_cast<uint32_t>(file.rows),
                            .cols = static_cast<uint32_t>(file.cols),
                            .data = nullptr};
  if (matrix.group != 0 && matrix.cols % matrix.group != 0) {
    return Error(Code::kInvalidArgument, "{} matrix with {} columns: expected a multiple of {}", Info(file.dtype).name, file.cols,
                 matrix.group);
  }
  if (!CheckedMul<size_t>(StripBytes(matrix), Strips(matrix.rows))) {
    return Error(Code::kInvalidArgument, "{} matrix of {} x {} does not fit the address space", Info(file.dtype).name, file.rows,
                 file.cols);
  }
  return matrix;
}

size_t StripBytes(const PackedMatrix& matrix) {
  if (!WantsQuantisedRows(matrix.form)) return size_t{kStripRows} * matrix.cols * (InfoOf(matrix.form).bits / 8);
  return size_t{matrix.cols} / matrix.group * BlockBytes(matrix.form, matrix.group);
}

size_t PackedBytes(const PackedMatrix& matrix) {
  if (!WantsQuantisedRows(matrix.form)) return size_t{matrix.rows} * matrix.cols * (InfoOf(matrix.form).bits / 8);
  return StripBytes(matrix) * Strips(matrix.rows);
}

void PackStrips(const PackJob& job, uint32_t begin, uint32_t end) {
  const PackedMatrix& matrix = job.matrix;
  const size_t strip_bytes = StripBytes(matrix);
  if (!WantsQuantisedRows(matrix.form)) {
    const size_t first = begin * strip_bytes;
    const size_t last = std::min(end * strip_bytes, PackedBytes(matrix));
    if (first < last) std::memcpy(job.packed + first, job.file.codes + first, last - first);
    return;
  }
  const size_t block_bytes = BlockBytes(matrix.form, matrix.group);
  for (uint32_t strip = begin; strip < end; ++strip) {
    const uint64_t first = uint64_t{strip} * kStripRows;
    StripRows rows;
    for (; rows.count < kStripRows && first + rows.count < matrix.rows; ++rows.count) {
      rows.rows[rows.count] = FileRow(job.file, first + rows.count);
    }
    std::byte* out = job.packed + strip * strip_bytes;
    for (uint32_t block = 0; block < matrix.cols / matrix.group; ++block, out += block_bytes) PackBlock(matrix, rows, block, out);
  }
}

void DequantizeFileRow(const FileMatrix& file, uint64_t row, float* out) {
  if (IsFloat(file.dtype)) {
    DequantizeFloats(file.dtype, file.codes + row * file.cols * NumberBytes(file.dtype), file.cols, out);
    return;
  }
  const PackedForm form = FormOf(file);
  const bool is_signed = InfoOf(form).bits == 8;
  const FileRow from(file, row);
  for (uint32_t group = 0; group < file.cols / kGroupCols; ++group, out += kGroupCols) {
    uint8_t stored[kGroupCols];
    from.ReadCodes(group, stored);
    int32_t codes[kGroupCols];
    for (uint32_t i = 0; i < kGroupCols; ++i) codes[i] = is_signed ? static_cast<int8_t>(stored[i]) : int32_t{stored[i]};
    DequantizeGroup(form, codes, FileScalesAt(InfoOf(form), from, group, GroupOf(file) / kGroupCols), out);
  }
}

void DequantizePackedRow(const PackedMatrix& matrix, uint32_t row, float* out) {
  const FormInfo& info = InfoOf(matrix.form);
  if (!WantsQuantisedRows(matrix.form)) {
    DequantizeFloats(info.scale_type, matrix.data + size_t{row} * matrix.cols * (info.bits / 8), matrix.cols, out);
    return;
  }
  const uint32_t r = row % kStripRows;
  const uint32_t groups = matrix.group / kGroupCols;
  const std::byte* block = matrix.data + row / kStripRows * StripBytes(matrix);
  for (uint32_t col = 0; col < matrix.cols; col += matrix.group, block += BlockBytes(matrix.form, matrix.group)) {
    for (uint32_t group = 0; group < groups; ++group, out += kGroupCols) {
      const std::byte* planes = block + ScaleBytes(matrix.form) + size_t{group} * PlaneBytes(matrix.form);
      int32_t codes[kGroupCols];
      for (uint32_t i = 0; i < kGroupCols; ++i) codes[i] = CodeAt(info.bits, planes, r, i);
      DequantizeGroup(matrix.form, codes, ScalesAt(matrix.form, block, r, group), out);
    }
  }
}

}  // namespace millrace::kernels
