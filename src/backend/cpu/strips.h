// How the strips of a weight are divided into pieces of a parallel section.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "backend/cpu/weight_store.h"
#include "kernels/index_range.h"
#include "kernels/packed.h"
#include "kernels/thread_pool.h"

namespace millrace::backend_cpu {

// Strips are handed out in pairs, because the kernels take two at a time for many rows; in whole heads where a thread must own these.
inline constexpr size_t kUnitStrips = 2;

inline size_t TotalStrips(const StackedWeight& weight) {
  size_t total = 0;
  for (const WeightSegment& segment : weight.segments) total += kernels::Strips(segment.matrix.rows);
  return total;
}

inline size_t StripBytes(const StackedWeight& weight) { return weight.source_bytes * kernels::kStripRows / weight.rows; }

constexpr size_t UnitsOf(size_t strips, size_t unit = kUnitStrips) { return (strips + unit - 1) / unit; }

// A piece is some 16 KiB of weights for one row, less for many, so that it takes a few microseconds at least.
inline kernels::SectionSize PiecesOf(size_t strips, size_t strip_bytes, uint32_t rows, size_t unit = kUnitStrips) {
  const size_t grain = 16384 / std::max<size_t>(1, unit * strip_bytes) / std::max(1U, rows / 4);
  const size_t least = rows < 4 || unit > kUnitStrips ? 1 : 2;
  return {.items = UnitsOf(strips, unit), .grain = std::max(least, grain)};
}

constexpr kernels::IndexRange StripsOf(kernels::IndexRange units, size_t strips, size_t unit = kUnitStrips) {
  return {units.begin * unit, std::min(units.end * unit, strips)};
}

// Rows of a matrix in some of its strips.
constexpr kernels::IndexRange RowsOf(kernels::IndexRange strips, const kernels::PackedMatrix& matrix) {
  return {strips.begin * kernels::kStripRows, std::min<size_t>(strips.end * kernels::kStripRows, matrix.rows)};
}

// Asks for the first weights of a piece while the activations are made ready: memory answers after some hundred cycles, and each
// section begins cold.
inline void PrefetchStart(const WeightSegment& segment, size_t strip) {
  constexpr size_t kBytes = 2048;
  const std::byte* data = segment.matrix.data + strip * kernels::StripBytes(segment.matrix);
  for (size_t at = 0; at < kBytes; at += 64) __builtin_prefetch(data + at);
}

// Calls fn(segment, strips) for the parts of the segments that lie in `share` of all strips, counted through.
template <typename Fn>
void ForStrips(const StackedWeight& weight, kernels::IndexRange share, Fn fn) {
  size_t first = 0;
  for (const WeightSegment& segment : weight.segments) {
    const size_t strips = kernels::Strips(segment.matrix.rows);
    const size_t begin = std::clamp(share.begin, first, first + strips) - first;
    const size_t end = std::clamp(share.end, first, first + strips) - first;
    if (begin < end) fn(segment, kernels::IndexRange{begin, end});
    first += strips;
  }
}

}  // namespace millrace::backend_cpu
