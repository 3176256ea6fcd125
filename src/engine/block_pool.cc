#include "engine/block_pool.h"

#include "base/check.h"

namespace millrace::engine {

BlockPool::BlockPool(uint32_t size, bool contiguous) : references_(size, 0), contiguous_(contiguous) {}

bool BlockPool::FindRun(uint32_t count, uint32_t& first) const {
  uint32_t run = 0;
  for (uint32_t block = 0; block < size(); ++block) {
    run = references_[block] == 0 ? run + 1 : 0;
    if (run == count) {
      first = block + 1 - count;
      return true;
    }
  }
  return false;
}

bool BlockPool::Reserve(uint32_t count, std::vector<uint32_t>& out) {
  if (count == 0) return true;
  if (count > free()) return false;
  uint32_t block = 0;
  if (contiguous_ && !FindRun(count, block)) return false;
  used_ += count;
  for (; count > 0; ++block) {
    if (references_[block] != 0) continue;
    references_[block] = 1;
    out.push_back(block);
    --count;
  }
  return true;
}

void BlockPool::Share(uint32_t block) {
  CHECK(block < size() && references_[block] > 0, "only a block in use can be shared");
  ++references_[block];
}

void BlockPool::Release(std::span<const uint32_t> blocks) {
  for (const uint32_t block : blocks) {
    CHECK(block < size() && references_[block] > 0, "a block is released as often as it was taken");
    if (--references_[block] == 0) --used_;
  }
}

}  // namespace millrace::engine
