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
    tiles_ = std::max(tiles_, TilesFor(span.first_position + span.token_count));
    for (uint32_t row = 0; row < span.token_count; row += rows_each) {
      const uint32_t rows = std::min(rows_each, span.token_count - row);
      for (uint32_t head = 0; head < input.shape.heads;) {
        const uint32_t heads = std::min(heads_each, group - head % group);
        units_.push_back({&span, row, rows, head, heads});
        head += heads;
      }
    }
  }
}

uint32_t Attention::ComputeTile(const Pass& pass, const Unit& unit, uint32_t tile, float* scores, float* states) const {
  const model::LayerConfig& shape = pass.input.shape;
  const uint32_t kv_head = unit.first_head / (shape.heads / shape.kv_heads);
  const uint32_t tile_begin = tile * kTilePositions;
  const float* queries[kMaxTileQueries];
  uint32_t visible[kMaxTileQueries];
  uint32_t first = 0;
  uint32_t count = 0;
  for (uint32_t i = 0; i < unit.rows * unit.heads; ++i) {
    const uint32_t row = unit.first_row + i / unit.heads;
    const uint32_t positions = unit.span->first_position + row + 1;
    if (positions <= tile_begin) {
      first = i + 1;
      continue;
    }
    const uint32_t head = unit.first_head + i % unit.heads;
    queries[count] = pass.input.q + (unit.span->token_begin + row) * pass.input.q_stride + size_t{head} * shape.head_dim;
    visible[count++] = std::min(positions - tile_begin, kTilePositions);
  }
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
                                 .visible = visible,
                                 .query_count = count,
                                 .head_dim = shape.head_dim,
                                 .scale = pass.input.scale,
                                 .scratch = scores,
                                 .states = states + first * pass.state_floats});
  };
  if (pass.kv.shape().type == model::KvType::kF16) {
    attend(uint16_t{});
  } else {
    attend(float{});
  }
  return first;
}

void Attention::WalkTiles(const Pass& pass, const Unit& unit, const ThreadMemory& memory) const {
  const uint32_t head_dim = pass.input.shape.head_dim;
  const uint32_t queries = unit.rows * unit.heads;
  const uint32_t tiles = TilesFor(unit.span->first_position + unit.first_row + unit.rows);
  ComputeTile(pass, unit, 0, memory.scores, memory.state);
  for (uint32_t tile = 1; tile < tiles; ++tile) {
    for (uint32_t i = ComputeTile(pass, unit, tile, memory.scores, memory.tile); i < queries; ++i) {
      pass.kernels.attend_merge(memory.state + i * pass.state_floats, memory.tile + i * pass.state_floats, head_dim);
    }
  }
  for (uint32_t i = 0; i < queries; ++i) {
    const size_t token = unit.span->token_begin + unit.first_row + i / unit.heads;
    float* out = pass.input.out + (token * pass.input.shape.heads + unit.first_head + i % unit.heads) * head_dim;
    pass.kernels.attend_finish(memory.state + i * pass.state_floats, head_dim, out);
  }
}

float* Attention::PartialState(uint32_t unit, uint32_t tile) const {
  return partials_ + (size_t{unit} * tiles_ + tile) * kMaxTileQueries * kernels::AttendStateFloats(limits_.max_head_dim);
}

void Attention::MergeTiles(const Pass& pass, const Unit& unit, uint32_t unit_index) const {
  const uint32_t head_dim = pass.input.shape.head_dim;
  for (uint32_t i = 0; i < unit.rows * unit.heads; ++i) {
    const uint32_t row = unit.first_row + i / unit.heads;
    float* state = PartialState(unit_index, 0) + i * pass.state_floats;
    for (uint32_t tile = 1; tile < TilesFor(unit.span->first_position + row + 1); ++tile) {
      pass.kernels.attend_merge(state, PartialState(unit_index, tile) + i * pass.state_floats, head_dim);
    }
    const size_t token = unit.span->token_begin + row;
    float* out = pass.input.out + (token * pass.input.shape.heads + unit.first_head + i % unit.heads) * head_dim;
    pass.kernels.attend_finish(state, head_dim, out);
  }
}

void Attention::RunSplit(kernels::ThreadPool& pool, const Pass& pass) const {
  const size_t pieces = units_.size() * tiles_;
  kernels::ForEach(pool, "attend", {.items = pieces, .grain = 1}, [&](uint32_t thread, size_t piece) {
    const auto unit = static_cast<uint32_t>(piece / tiles_);
    const auto tile = static_cast<uint32_t>(piece % tiles_);
    const Unit& work = units_[unit];
    if (tile >= TilesFor(work.span->first_position + work.first_row + work.rows)) return;
    ComputeTile(pass, work, tile, threads_[thread].scores, PartialState(unit, tile));
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
