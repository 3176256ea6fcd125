// KvStore: the bytes of the KV blocks, and which blocks each sequence slot consists of.
//
// A block holds 32 positions of every layer. Layout of the pool: [block][layer][kv head]{K: [2][head_dim][16 positions],
// V: [32 positions][head_dim]}. Blocks are whole stretches of memory, so that a short sequence touches few pages and copying or
// moving a block is one copy.
//
// A key's elements lie 16 positions apart: while scores are computed, positions run across vector lanes and nothing is summed across
// lanes. Which blocks are in use, and by whom, is the engine's business.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "model/config.h"
#include "model/model_runner.h"
#include "os/mapping.h"

namespace millrace::backend_cpu {

inline constexpr uint32_t kBlockTokens = 32;

struct KvShape {
  model::KvType type = model::KvType::kF16;
  uint32_t blocks = 0;
  uint32_t slots = 0;
  uint32_t context = 0;  // positions per slot
};

class KvStore {
 public:
  KvStore() = default;  // holds nothing

  // Reserves the whole pool; memory is committed as blocks are first written.
  static Result<KvStore> Create(const model::ModelConfig& config, const KvShape& shape);

  // Checks all changes, then enters them. kInvalidArgument names the first one that is out of range.
  Status ApplyChanges(std::span<const model::BlockChange> changes);
  Status CheckCopies(std::span<const model::KvCopy> copies) const;
  void Copy(const model::KvCopy& copy);

  // Whether the slot has a block for every position below `positions`, itself within the context.
  Status CheckSlot(uint32_t slot, uint64_t positions) const;

  // Both need a position that CheckSlot has passed. T is what Create's type says: uint16_t or float.
  template <typename T>
  T* Keys(uint32_t slot, uint32_t block_index, uint32_t layer, uint32_t kv_head) {
    return reinterpret_cast<T*>(Piece(slot, block_index, layer, kv_head));
  }
  template <typename T>
  T* Values(uint32_t slot, uint32_t block_index, uint32_t layer, uint32_t kv_head) {
    return Keys<T>(slot, block_index, layer, kv_head) + size_t{kBlockTokens} * layers_[layer].head_dim;
  }

  const KvShape& shape() const { return shape_; }
  uint64_t pool_bytes() const { return pool_.size(); }

 private:
  struct Layer {
    size_t offset = 0;      // within a block
    size_t head_bytes = 0;  // keys and values of one head
    uint32_t head_dim = 0;
  };

  std::byte* Piece(uint32_t slot, uint32_t block_index, uint32_t layer, uint32_t kv_head) {
    const uint32_t block = tables_[size_t{slot} * table_blocks_ + block_index];
    return pool_.data() + block * block_bytes_ + layers_[layer].offset + kv_head * layers_[layer].head_bytes;
  }

  KvShape shape_;
  std::vector<Layer> layers_;
  std::vector<uint32_t> tables_;  // [slots, table_blocks_]; kNoBlock where nothing was entered
  uint32_t table_blocks_ = 0;
  size_t block_bytes_ = 0;
  HugeBuffer pool_;
};

}  // namespace millrace::backend_cpu
