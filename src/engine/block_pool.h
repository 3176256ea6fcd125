// BlockPool: who uses which KV block. The bytes belong to the runner; here are only ids and reference counts.
//
// Invariant: used() + free() == size(), and a block is free exactly when its count is 0. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace millrace::engine {

class BlockPool {
 public:
  // `contiguous`: the blocks of one reservation are consecutive ids.
  BlockPool(uint32_t size, bool contiguous);

  // Takes `count` blocks with a reference each and appends their ids to `out`, lowest free ids first. All or nothing: false when
  // they are not there (or not in one piece). Allocates only what `out` needs.
  bool Reserve(uint32_t count, std::vector<uint32_t>& out);

  // One more user of a block in use.
  void Share(uint32_t block);

  // One user less of each; what nobody uses is free again.
  void Release(std::span<const uint32_t> blocks);

  uint32_t size() const { return static_cast<uint32_t>(references_.size()); }
  uint32_t used() const { return used_; }
  uint32_t free() const { return size() - used_; }
  uint32_t references(uint32_t block) const { return references_[block]; }

 private:
  bool FindRun(uint32_t count, uint32_t& first) const;

  std::vector<uint32_t> references_;
  uint32_t used_ = 0;
  bool contiguous_;
};

}  // namespace millrace::engine
