#include "backend/cpu/kv_store.h"

#include <cstring>
#include <limits>
#include <utility>

#include "base/checked.h"

namespace millrace::backend_cpu {
namespace {
constexpr uint32_t kNoBlock = std::numeric_limits<uint32_t>::max();
}  // namespace

Result<KvStore> KvStore::Create(const model::ModelConfig& config, const KvShape& shape) {
  if (shape.blocks == 0 || shape.slots == 0 || shape.context == 0) {
    return Error(Code::kInvalidArgument, "KV pool of {} blocks, {} slots, {} positions: expected at least 1 of each",
                 shape.blocks, shape.slots, shape.context);
  }
  KvStore store;
  store.shape_ = shape;
  store.table_blocks_ = shape.context / kBlockTokens + (shape.context % kBlockTokens != 0 ? 1 : 0);
  for (const model::LayerConfig& layer : config.layers) {
    const size_t head_bytes = size_t{2} * kBlockTokens * layer.head_dim * model::KvBytes(shape.type);
    store.layers_.push_back({.offset = store.block_bytes_, .head_bytes = head_bytes, .head_dim = layer.head_dim});
    store.block_bytes_ += layer.kv_heads * head_bytes;
  }
  const auto pool_bytes = CheckedMul<size_t>(store.block_bytes_, shape.blocks);
  const auto table_entries = CheckedMul<size_t>(store.table_blocks_, shape.slots);
  if (!pool_bytes || !table_entries || *table_entries > (size_t{1} << 28)) {
    return Error(Code::kResourceExhausted, "KV pool of {} blocks for {} slots of {} positions is too large", shape.blocks,
                 shape.slots, shape.context);
  }
  ASSIGN_OR_RETURN(store.pool_, HugeBuffer::Allocate(*pool_bytes));
  store.tables_.assign(*table_entries, kNoBlock);
  return store;
}

Status KvStore::ApplyChanges(std::span<const model::BlockChange> changes) {
  for (const model::BlockChange& change : changes) {
    if (change.slot >= shape_.slots || change.index >= table_blocks_ || change.block >= shape_.blocks) {
      return Error(Code::kInvalidArgument, "block change (slot {}, index {}, block {}): expected below ({}, {}, {})", change.slot,
                   change.index, change.block, shape_.slots, table_blocks_, shape_.blocks);
    }
  }
  for (const model::BlockChange& change : changes) {
    tables_[size_t{change.slot} * table_blocks_ + change.index] = change.block;
  }
  return {};
}

Status KvStore::CheckCopies(std::span<const model::KvCopy> copies) const {
  for (const model::KvCopy& copy : copies) {
    if (copy.source >= shape_.blocks || copy.destination >= shape_.blocks || copy.tokens > kBlockTokens) {
      return Error(Code::kInvalidArgument, "copy of {} positions from block {} to {}: expected at most {} and blocks below {}",
                   copy.tokens, copy.source, copy.destination, kBlockTokens, shape_.blocks);
    }
  }
  return {};
}

void KvStore::Copy(const model::KvCopy& copy) {
  if (copy.tokens == 0 || copy.source == copy.destination) return;
  // The whole block: positions behind `tokens` are written before anything reads them.
  std::memcpy(pool_.data() + copy.destination * block_bytes_, pool_.data() + copy.source * block_bytes_, block_bytes_);
}

Status KvStore::CheckSlot(uint32_t slot, uint64_t positions) const {
  if (slot >= shape_.slots) return Error(Code::kInvalidArgument, "slot {}: expected below {}", slot, shape_.slots);
  if (positions > shape_.context) {
    return Error(Code::kInvalidArgument, "slot {}: {} positions, the context has {}", slot, positions, shape_.context);
  }
  const uint64_t blocks = (positions + kBlockTokens - 1) / kBlockTokens;
  for (uint64_t index = 0; index < blocks; ++index) {
    if (tables_[size_t{slot} * table_blocks_ + index] == kNoBlock) {
      return Error(Code::kInvalidArgument, "slot {}: no block for positions from {} on", slot, index * kBlockTokens);
    }
  }
  return {};
}

}  // namespace millrace::backend_cpu
