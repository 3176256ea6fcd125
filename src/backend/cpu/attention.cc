#include "backend/cpu/attention.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace millrace::backend_cpu {
namespace {

using kernels::kMaxTileQueries;
using kernels::kTileBlocks;
using kernels::kTilePositions;

// With fewer units than this per thread, tiles are spread instead of units.
constexpr uint32_t kUnitsPerThread = 4;

uint32_t TilesFor(uint32_t positions) { return (positions + kTilePositions - 1) / kTilePositions; }

uint32_t FirstVisible(uint32_t window, uint32_t position) { return window == 0 || position < window ? 0 : position + 1 - window; }

void AttendTile(const kernels::KernelTable& kernels, const kernels::AttendTileArgs<uint16_t>& args) {
  kernels.attend_tile_f16(args);
}
void AttendTile(const kernels::KernelTable& kernels, const kernels::AttendTileArgs<float>& args) {
  kernels.attend_tile_f32(args);
}

}  // namespace

// What is the same for all units of one call.
struct Attention::Pass {
  const kernels::KernelTable& kernels;
  KvStore& kv;
  const AttentionInput& input;
  size_t state_floats;

  uint32_t PositionOf(const Unit& unit, uint32_t query) const {
    return unit.span->first_position + unit.first_row + query / unit.heads;
  }
  // A query's result is its first tile's, merged with those that follow.
  uint32_t FirstTile(const Unit& unit, uint32_t query) const {
    return FirstVisible(input.window, PositionOf(unit, query)) / kTilePositions;
  }
  float* OutOf(const Unit& unit, uint32_t query) const {
    const size_t token = unit.span->token_begin + unit.first_row + query / unit.heads;
    return input.out + (token * input.shape.heads + unit.first_head + query % unit.heads) * input.shape.head_dim;
  }
};

void Attention::TakeScratch(const AttentionLimits& limits, Scratch& scratch) {
  limits_ = limits;
  const size_t states = kMaxTileQueries * kernels::AttendStateFloats(limits.max_head_dim);
  threads_.clear();
  for (uint32_t i = 0; i < limits.threads; ++i) {
    threads_.push_back({.scores = scratch.Take<float>(size_t{kMaxTileQueries} * kTilePositions),
                        .tile = scratch.Take<float>(states),
                        .state = scratch.Take<float>(states)});
  }
  const size_t split_units = size_t{kUnitsPerThread} * limits.threads;
  partials_ = scratch.Take<float>(split_units * TilesFor(limits.context) * states);
  units_.reserve(std::max(size_t{limits.max_tokens} * limits.max_heads, split_units));
}

void Attention::PlanUnits(const AttentionInput& input) {
  const uint32_t group = input.shape.heads / input.shape.kv_heads;
  const uint32_t heads_each = std::min(group, kMaxTileQueries);
  const uint32_t rows_each = std::max(1U, kMaxTileQueries / heads_each);
  units_.clear();
  tiles_ = 0;
  for (const model::SpanOfTokens& span : input.spans) {
    for (uint32_t row = 0; row < span.token_count; row += rows_each) {
      const uint32_t rows = std::min(rows_each, span.token_count - row);
      const uint32_t first_tile = FirstVisible(input.window, span.first_position + row) / kTilePositions;
      const uint32_t end_tile = TilesFor(span.first_position + row + rows);
      tiles_ = std::max(tiles_, end_tile - first_tile);
      for (uint32_t head = 0; head < input.shape.heads;) {
        const uint32_t heads = std::min(heads_each, group - head % group);
        units_.push_back({&span, row, rows, head, heads, first_tile, end_tile});
        head += heads;
      }
    }
  }
}

Attention::Queries Attention::ComputeTile(const Pass& pass, const Unit& unit, uint32_t tile, float* scores, float* states) const {
  const model::LayerConfig& shape = pass.input.shape;
  const uint32_t kv_head = unit.first_head / (shape.heads / shape.kv_heads);
  const uint32_t tile_begin = tile * kTilePositions;
  const float* queries[kMaxTileQueries];
  uint32_t first[kMaxTileQueries];
  uint32_t visible[kMaxTileQueries];
  uint32_t begin = 0;
  uint32_t count = 0;
  bool all_from_0 = true;
  for (uint32_t i = 0; i < unit.rows * unit.heads; ++i) {
    const uint32_t position = pass.PositionOf(unit, i);
    if (position < tile_begin) {
      begin = i + 1;
      continue;
    }
    const uint32_t from = FirstVisible(pass.input.window, position);
    if (from >= tile_begin + kTilePositions) break;  // this row, and those behind it, begin further on
    const uint32_t head = unit.first_head + i % unit.heads;
    const size_t token = unit.span->token_begin + unit.first_row + i / unit.heads;
    queries[count] = pass.input.q + token * pass.input.q_stride + size_t{head} * shape.head_dim;
    first[count] = from > tile_begin ? from - tile_begin : 0;
    all_from_0 = all_from_0 && first[count] == 0;
    visible[count++] = std::min(position + 1 - tile_begin, kTilePositions);
  }
  if (count == 0) return {begin, begin};
  const auto attend = [&]<typename T>(T) {
    const T* keys[kTileBlocks];
    const T* values[kTileBlocks];
    const uint32_t blocks = (visible[count - 1] + kBlockTokens - 1) / kBlockTokens;  // the last row sees most
    const uint32_t slot = unit.span->slot;
    for (uint32_t i = 0; i < blocks; ++i) {
      keys[i] = pass.kv.Keys<T>(slot, tile * kTileBlocks + i, pass.input.layer, kv_head);
      values[i] = pass.kv.Values<T>(slot, tile * kTileBlocks + i, pass.input.layer, kv_head);
    }
    const auto next_key = [&](uint32_t block) -> const T* {
      const bool exists = block * kBlockTokens < unit.span->first_position + unit.span->token_count;
      return exists ? pass.kv.Keys<T>(slot, block, pass.input.layer, kv_head) : nullptr;
    };
    AttendTile(pass.kernels, kernels::AttendTileArgs<T>{
                                 .k_blocks = keys,
                                 .v_blocks = values,
                                 .next_keys = {next_key((tile + 1) * kTileBlocks), next_key((tile + 1) * kTileBlocks + 1)},
                                 .queries = queries,
                                 .first = all_from_0 ? nullptr : first,
                                 .visible = visible,
                                 .query_count = count,
                                 .head_dim = shape.head_dim,
                                 .scale = pass.input.scale,
                                 .softcap = pass.input.softcap,
                                 .scratch = scores,
                                 .states = states + begin * pass.state_floats});
  };
  if (pass.kv.shape().type == model::KvType::kF16) {
    attend(uint16_t{});
  } else {
    attend(float{});
  }
  return {begin, begin + count};
}

void Attention::WalkTiles(const Pass& pass, const Unit& unit, const ThreadMemory& memory) const {
  const uint32_t head_dim = pass.input.shape.head_dim;
  ComputeTile(pass, unit, unit.first_tile, memory.scores, memory.state);
  for (uint32_t tile = unit.first_tile + 1; tile < unit.end_tile; ++tile) {
    const Queries queries = ComputeTile(pass, unit, tile, memory.scores, memory.tile);
    for (uint32_t i = queries.begin; i < queries.end; ++i) {
      float* state = memory.state + i * pass.state_floats;
      const float* next = memory.tile + i * pass.state_floats;
      if (tile == pass.FirstTile(unit, i)) {
        std::memcpy(state, next, pass.state_floats * sizeof(float));
      } else {
        pass.kernels.attend_merge(state, next, head_dim);
      }
    }
  }
  for (uint32_t i = 0; i < unit.rows * unit.heads; ++i) {
    pass.kernels.attend_finish(memory.state + i * pass.state_floats, head_dim, pass.OutOf(unit, i));
  }
}

float* Attention::PartialState(uint32_t unit, uint32_t tile) const {
  return partials_ + (size_t{unit} * tiles_ + tile) * kMaxTileQueries * kernels::AttendStateFloats(limits_.max_head_dim);
}

void Attention::MergeTiles(const Pass& pass, const Unit& unit, uint32_t unit_index) const {
  const uint32_t head_dim = pass.input.shape.head_dim;
  const auto state_of = [&](uint32_t query, uint32_t tile) {
    return PartialState(unit_index, tile - unit.first_tile) + query * pass.state_floats;
  };
  for (uint32_t i = 0; i < unit.rows * unit.heads; ++i) {
    const uint32_t first = pass.FirstTile(unit, i);
    float* state = state_of(i, first);
    for (uint32_t tile = first + 1; tile <= pass.PositionOf(unit, i) / kTilePositions; ++tile) {
      pass.kernels.attend_merge(state, state_of(i, tile), head_dim);
    }
    pass.kernels.attend_finish(state, head_dim, pass.OutOf(unit, i));
  }
}

void Attention::RunSplit(kernels::ThreadPool& pool, const Pass& pass) const {
  const size_t pieces = units_.size() * tiles_;
  kernels::ForEach(pool, "attend", {.items = pieces, .grain = 1}, [&](uint32_t thread, size_t piece) {
    const auto unit = static_cast<uint32_t>(piece / tiles_);
    const auto index = static_cast<uint32_t>(piece % tiles_);
    const Unit& work = units_[unit];
    if (work.first_tile + index >= work.end_tile) return;
    ComputeTile(pass, work, work.first_tile + index, threads_[thread].scores, PartialState(unit, index));
  });
  kernels::ForEach(pool, "attend_merge", {.items = units_.size(), .grain = 1},
                   [&](uint32_t, size_t unit) { MergeTiles(pass, units_[unit], static_cast<uint32_t>(unit)); });
}

void Attention::RunWhole(kernels::ThreadPool& pool, const Pass& pass) const {
  kernels::ForEach(pool, "attend", {.items = units_.size(), .grain = 1},
                   [&](uint32_t thread, size_t unit) { WalkTiles(pass, units_[unit], threads_[thread]); });
}

void Attention::Run(kernels::ThreadPool& pool, const kernels::KernelTable& kernels, KvStore& kv, const AttentionInput& input) {
  PlanUnits(input);
  const Pass pass{kernels, kv, input, kernels::AttendStateFloats(input.shape.head_dim)};
  if (tiles_ > 1 && units_.size() < size_t{kUnitsPerThread} * pool.threads()) {
    RunSplit(pool, pass);
  } else {
    RunWhole(pool, pass);
  }
}

}  // namespace millrace::backend_cpu
