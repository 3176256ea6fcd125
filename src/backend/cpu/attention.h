// Attention over the stored keys and values, for any mixture of prefill and decode rows.
//
// The work is cut into units: rows of one span x query heads of one KV head. A unit walks over the softmax tiles of 256 positions in
// ascending order, those before a window left out; when there are too few units for the threads, each tile becomes a piece of work of its own and the partial results
// are merged afterwards, in the same order. Both give the same bits, because a tile's result depends on nothing but its query.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/cpu/kv_store.h"
#include "backend/cpu/scratch.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"
#include "model/config.h"
#include "model/model_runner.h"

namespace millrace::backend_cpu {

struct AttentionLimits {
  uint32_t threads = 0;
  uint32_t max_tokens = 0;  // rows of one step
  uint32_t context = 0;
  uint32_t max_heads = 0;
  uint32_t max_head_dim = 0;
};

struct AttentionInput {
  std::span<const model::SpanOfTokens> spans;
  uint32_t layer = 0;
  model::LayerConfig shape;
  float scale = 0;
  uint32_t window = 0;  // positions that a token sees, its own included; 0 = all
  float softcap = 0;
  const float* q = nullptr;  // [tokens, heads * head_dim], rows q_stride apart
  size_t q_stride = 0;
  float* out = nullptr;  // [tokens, heads * head_dim]
};

class Attention {
 public:
  // Lays out its memory; call twice, see Scratch.
  void TakeScratch(const AttentionLimits& limits, Scratch& scratch);

  // One parallel section, or two. Every span's slot has passed KvStore::CheckSlot and its keys and values are stored.
  void Run(kernels::ThreadPool& pool, const kernels::KernelTable& kernels, KvStore& kv, const AttentionInput& input);

 private:
  struct Unit {
    const model::SpanOfTokens* span;
    uint32_t first_row;  // within the span
    uint32_t rows;
    uint32_t first_head;  // query head
    uint32_t heads;       // all of one KV head; rows * heads <= kMaxTileQueries
    uint32_t first_tile;  // those that some row sees
    uint32_t end_tile;
  };
  // Some of a unit's queries: row after row, in a row head after head.
  struct Queries {
    uint32_t begin;
    uint32_t end;
  };
  struct ThreadMemory {
    float* scores;  // [kMaxTileQueries, kTilePositions]
    float* tile;    // [kMaxTileQueries] states
    float* state;   // [kMaxTileQueries] states
  };
  struct Pass;

  void PlanUnits(const AttentionInput& input);
  void WalkTiles(const Pass& pass, const Unit& unit, const ThreadMemory& memory) const;
  // States of the queries that see anything of the tile; which these are is returned.
  Queries ComputeTile(const Pass& pass, const Unit& unit, uint32_t tile, float* scores, float* states) const;
  void RunWhole(kernels::ThreadPool& pool, const Pass& pass) const;
  void RunSplit(kernels::ThreadPool& pool, const Pass& pass) const;
  void MergeTiles(const Pass& pass, const Unit& unit, uint32_t unit_index) const;
  float* PartialState(uint32_t unit, uint32_t tile) const;

  AttentionLimits limits_;
  std::vector<Unit> units_;  // of the current call; capacity reserved
  uint32_t tiles_ = 0;       // of the current call's unit with the most tiles
  std::vector<ThreadMemory> threads_;
  float* partials_ = nullptr;  // [split units, tiles, kMaxTileQueries] states
};

}  // namespace millrace::backend_cpu
