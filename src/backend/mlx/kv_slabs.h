// KvSlabs: keys and values of each sequence in arrays of their own, [kv_heads, capacity, head_dim] per layer, which grow while the
// sequence does. MLX has no writes into shared memory: an update makes a new array and reuses the old one's memory where nobody else
// holds it, so what one sequence writes must not be part of what another one reads.
//
// The engine speaks of blocks of a pool. A block lives at the place of the slab for which it was last announced; a slab that no slot uses
// stays as long as one of its blocks may still be copied from. Announcing block 0 of a slot begins a new, clean slab.
//
// One thread. Throws what MLX throws.
#pragma once

#include <mlx/array.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/mlx/mlx_backend.h"
#include "base/status.h"
#include "model/config.h"
#include "model/model_runner.h"

namespace millrace::backend_mlx {

inline constexpr uint32_t kBlockTokens = MlxBackend::kBlockTokens;

struct SlabLimits {
  uint32_t blocks = 0;
  uint32_t slots = 0;
  uint32_t context = 0;  // positions per slot
};

class KvSlabs {
 public:
  KvSlabs(const model::ModelConfig& config, const SlabLimits& limits, mlx::core::Dtype dtype);

  // Checks all changes, then enters them. kInvalidArgument names the first one that is out of range or not the next of its slot.
  Status ApplyChanges(std::span<const model::BlockChange> changes);
  Status CheckCopies(std::span<const model::KvCopy> copies) const;
  void Copy(const model::KvCopy& copy);
  // Whether the slot has a block for every position below `positions`, itself within the context.
  Status CheckSlot(uint32_t slot, uint64_t positions) const;

  // Makes room for that many positions. The slot has passed CheckSlot; so in everything below.
  void Grow(uint32_t slot, uint32_t positions);
  // keys, values: [kv_heads, tokens, head_dim], stored from position `first` on.
  void Append(uint32_t slot, uint32_t layer, uint32_t first, const mlx::core::array& keys, const mlx::core::array& values);
  // Positions [begin, end): [kv_heads, end - begin, head_dim].
  mlx::core::array Keys(uint32_t slot, uint32_t layer, uint32_t begin, uint32_t end) const;
  mlx::core::array Values(uint32_t slot, uint32_t layer, uint32_t begin, uint32_t end) const;
  // What has to be computed so that the slot's slab is: appended to `out`.
  void Gather(uint32_t slot, std::vector<mlx::core::array>& out) const;

  uint64_t bytes_per_token() const { return bytes_per_token_; }
  const SlabLimits& limits() const { return limits_; }

 private:
  struct Slab {
    std::vector<mlx::core::array> keys, values;  // per layer; empty until the first Grow
    uint32_t capacity = 0;                       // positions
  };
  struct Home {
    std::shared_ptr<Slab> slab;
    uint32_t index = 0;  // the block's place in it
  };
  struct Slot {
    std::shared_ptr<Slab> slab;
    uint32_t blocks = 0;  // announced
  };

  Status CheckChange(const model::BlockChange& change, std::vector<uint32_t>& announced) const;
  void Enter(const model::BlockChange& change);
  void GrowSlab(Slab& slab, uint32_t positions, uint32_t announced) const;

  SlabLimits limits_;
  mlx::core::Dtype dtype_;
  std::vector<model::LayerConfig> layers_;
  std::vector<Slot> slots_;
  std::vector<Home> homes_;  // by block
  uint64_t bytes_per_token_ = 0;
};

}  // namespace millrace::backend_mlx
