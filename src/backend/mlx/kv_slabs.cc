#include "backend/mlx/kv_slabs.h"

#include <mlx/ops.h>

#include <algorithm>

namespace millrace::backend_mlx {
namespace {

namespace mx = mlx::core;

constexpr uint32_t kGrowth = 256;  // positions: growing copies the slab

int Int(uint32_t value) { return static_cast<int>(value); }

mx::array SliceOf(const mx::array& slab, uint32_t begin, uint32_t end) {
  return mx::slice(slab, {0, Int(begin), 0}, {slab.shape(0), Int(end), slab.shape(2)});
}

mx::array Updated(const mx::array& slab, const mx::array& part, uint32_t first) {
  return mx::slice_update(slab, part, mx::Shape{0, Int(first), 0},
                          mx::Shape{slab.shape(0), Int(first) + part.shape(1), slab.shape(2)});
}

}  // namespace

KvSlabs::KvSlabs(const model::ModelConfig& config, const SlabLimits& limits, mx::Dtype dtype)
    : limits_(limits), dtype_(dtype), layers_(config.layers), slots_(limits.slots), homes_(limits.blocks) {
  for (const model::LayerConfig& layer : layers_)
    bytes_per_token_ += uint64_t{2} * layer.kv_heads * layer.head_dim * mx::size_of(dtype);
}

// `announced`: blocks of each slot as they will be after the changes before this one.
Status KvSlabs::CheckChange(const model::BlockChange& change, std::vector<uint32_t>& announced) const {
  const uint32_t most = (limits_.context + kBlockTokens - 1) / kBlockTokens;
  if (change.slot >= limits_.slots || change.index >= most || change.block >= limits_.blocks) {
    return Error(Code::kInvalidArgument, "block change (slot {}, index {}, block {}): expected below ({}, {}, {})", change.slot,
                 change.index, change.block, limits_.slots, most, limits_.blocks);
  }
  uint32_t& blocks = announced[change.slot];
  if (change.index != 0 && change.index > blocks) {
    return Error(Code::kInvalidArgument, "block change (slot {}, index {}): expected index {} or below", change.slot,
                 change.index, blocks);
  }
  blocks = change.index == 0 ? 1 : std::max(blocks, change.index + 1);
  return {};
}

void KvSlabs::Enter(const model::BlockChange& change) {
  Slot& slot = slots_[change.slot];
  Home& home = homes_[change.block];
  // The first block begins a sequence: with a slab of its own, so that it neither keeps the room of the one before nor stands on a graph
  // that failed.
  if (change.index == 0) slot = {.slab = std::make_shared<Slab>(), .blocks = 0};
  slot.blocks = std::max(slot.blocks, change.index + 1);
  // A slot whose block goes to another one has ended: its slab is not kept for it.
  for (Slot& other : slots_) {
    if (home.slab != nullptr && other.slab == home.slab && other.slab != slot.slab) other = {};
  }
  home = {.slab = slot.slab, .index = change.index};
}

Status KvSlabs::ApplyChanges(std::span<const model::BlockChange> changes) {
  std::vector<uint32_t> announced;
  for (const Slot& slot : slots_) announced.push_back(slot.blocks);
  for (const model::BlockChange& change : changes) RETURN_IF_ERROR(CheckChange(change, announced));
  for (const model::BlockChange& change : changes) Enter(change);
  return {};
}

Status KvSlabs::CheckCopies(std::span<const model::KvCopy> copies) const {
  for (const model::KvCopy& copy : copies) {
    if (copy.source >= limits_.blocks || copy.destination >= limits_.blocks || copy.tokens > kBlockTokens) {
      return Error(Code::kInvalidArgument, "copy of {} positions from block {} to {}: expected at most {} and blocks below {}",
                   copy.tokens, copy.source, copy.destination, kBlockTokens, limits_.blocks);
    }
    const Home& from = homes_[copy.source];
    if (from.slab == nullptr || from.index * kBlockTokens + copy.tokens > from.slab->capacity) {
      return Error(Code::kInvalidArgument, "copy of {} positions from block {}, which holds none", copy.tokens, copy.source);
    }
    if (homes_[copy.destination].slab == nullptr) {
      return Error(Code::kInvalidArgument, "copy to block {}, which belongs to no slot", copy.destination);
    }
  }
  return {};
}

void KvSlabs::Copy(const model::KvCopy& copy) {
  if (copy.tokens == 0 || copy.source == copy.destination) return;
  const Home& from = homes_[copy.source];
  const Home& to = homes_[copy.destination];
  const uint32_t first = from.index * kBlockTokens;
  const uint32_t target = to.index * kBlockTokens;
  GrowSlab(*to.slab, target + copy.tokens, target + kBlockTokens);
  for (size_t i = 0; i < layers_.size(); ++i) {
    to.slab->keys[i] = Updated(to.slab->keys[i], SliceOf(from.slab->keys[i], first, first + copy.tokens), target);
    to.slab->values[i] = Updated(to.slab->values[i], SliceOf(from.slab->values[i], first, first + copy.tokens), target);
  }
}

Status KvSlabs::CheckSlot(uint32_t slot, uint64_t positions) const {
  if (slot >= limits_.slots) return Error(Code::kInvalidArgument, "slot {}: expected below {}", slot, limits_.slots);
  if (positions > limits_.context) {
    return Error(Code::kInvalidArgument, "slot {}: {} positions, the context has {}", slot, positions, limits_.context);
  }
  if (positions > uint64_t{slots_[slot].blocks} * kBlockTokens) {
    return Error(Code::kInvalidArgument, "slot {}: no block for positions from {} on", slot, slots_[slot].blocks * kBlockTokens);
  }
  return {};
}

void KvSlabs::Grow(uint32_t slot, uint32_t positions) {
  GrowSlab(*slots_[slot].slab, positions, slots_[slot].blocks * kBlockTokens);
}

// Never beyond what was announced, so that all slabs together stay within the pool.
void KvSlabs::GrowSlab(Slab& slab, uint32_t positions, uint32_t announced) const {
  if (positions <= slab.capacity) return;
  const uint32_t wanted = (positions + kGrowth - 1) / kGrowth * kGrowth;
  const uint32_t capacity = std::max(positions, std::min(wanted, announced));
  const bool first = slab.keys.empty();
  for (size_t i = 0; i < layers_.size(); ++i) {
    const mx::array more = mx::zeros({Int(layers_[i].kv_heads), Int(capacity - slab.capacity), Int(layers_[i].head_dim)}, dtype_);
    if (first) {
      slab.keys.push_back(more);
      slab.values.push_back(more);
    } else {
      slab.keys[i] = mx::concatenate({slab.keys[i], more}, 1);
      slab.values[i] = mx::concatenate({slab.values[i], more}, 1);
    }
  }
  slab.capacity = capacity;
}

void KvSlabs::Append(uint32_t slot, uint32_t layer, uint32_t first, const mx::array& keys, const mx::array& values) {
  Slab& slab = *slots_[slot].slab;
  slab.keys[layer] = Updated(slab.keys[layer], mx::astype(keys, dtype_), first);
  slab.values[layer] = Updated(slab.values[layer], mx::astype(values, dtype_), first);
}

mx::array KvSlabs::Keys(uint32_t slot, uint32_t layer, uint32_t begin, uint32_t end) const {
  return SliceOf(slots_[slot].slab->keys[layer], begin, end);
}

mx::array KvSlabs::Values(uint32_t slot, uint32_t layer, uint32_t begin, uint32_t end) const {
  return SliceOf(slots_[slot].slab->values[layer], begin, end);
}

void KvSlabs::Gather(uint32_t slot, std::vector<mx::array>& out) const {
  const Slab& slab = *slots_[slot].slab;
  out.insert(out.end(), slab.keys.begin(), slab.keys.end());
  out.insert(out.end(), slab.values.begin(), slab.values.end());
}

}  // namespace millrace::backend_mlx
