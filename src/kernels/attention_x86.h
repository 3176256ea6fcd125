// What attention does alike on every x86 instruction set: which positions a query sees, what is prefetched, and how queries share the values
// that they read. Included only by the files of one instruction set each, which define ValueRange and get their own copies.
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

namespace millrace::kernels {
namespace {

// How far ahead of the loads keys and values are prefetched: the blocks of a sequence are scattered, so that the hardware's own
// prefetching starts anew at each of them.
constexpr uint32_t kBlocksAhead = 2;

template <typename T>
uint32_t FirstOf(const AttendTileArgs<T>& args, uint32_t query) {
  return args.first != nullptr ? args.first[query] : 0;
}

// The block that is prefetched while key block `block` of `blocks` is read: further keys, then the first values.
template <typename T>
const T* AheadOfKeys(const AttendTileArgs<T>& args, uint32_t block, uint32_t blocks) {
  const uint32_t ahead = block + kBlocksAhead;
  if (ahead < blocks) return args.k_blocks[ahead];
  return ahead - blocks < blocks ? args.v_blocks[ahead - blocks] : nullptr;
}

// The same while values are read: further values, then the next tile's first keys.
template <typename T>
const T* AheadOfValues(const AttendTileArgs<T>& args, uint32_t block, uint32_t blocks) {
  const uint32_t ahead = block + kBlocksAhead;
  return ahead < blocks ? args.v_blocks[ahead] : args.next_keys[ahead - blocks];
}

// Positions [begin, end) whose values are added to what the states hold; `fresh` where that is nothing yet.
struct ValuePositions {
  uint32_t begin;
  uint32_t end;
  bool fresh;
};

// Adds the values at the positions, weighted, to the states of kQ queries; the including file has it.
template <typename T, int kQ>
void ValueRange(const AttendTileArgs<T>& args, uint32_t query, ValuePositions positions);

// What all kQ queries see is read once for all; what lies before and after each query reads for itself, so that no weight of zero ever
// meets a value that is not this sequence's (zero times infinity would not be zero). Positions come in ascending order for each.
template <typename T, int kQ>
void ValueQueries(const AttendTileArgs<T>& args, uint32_t query) {
  uint32_t begin = 0;
  uint32_t end = args.visible[query];
  bool fresh = true;
  for (int q = 0; q < kQ; ++q) {
    begin = FirstOf(args, query + q) > begin ? FirstOf(args, query + q) : begin;
    end = args.visible[query + q] < end ? args.visible[query + q] : end;
  }
  if (end < begin) end = begin;
  for (uint32_t q = query; q < query + kQ; ++q) fresh = fresh && FirstOf(args, q) == begin;
  if (!fresh) {
    for (uint32_t q = query; q < query + kQ; ++q) {
      const uint32_t stop = args.visible[q] < begin ? args.visible[q] : begin;
      ValueRange<T, 1>(args, q, {FirstOf(args, q), stop, true});
    }
  }
  ValueRange<T, kQ>(args, query, {begin, end, fresh});
  for (uint32_t q = query; q < query + kQ; ++q) {
    if (args.visible[q] > end) ValueRange<T, 1>(args, q, {end, args.visible[q], false});
  }
}

}  // namespace
}  // namespace millrace::kernels

#endif  // __x86_64__
