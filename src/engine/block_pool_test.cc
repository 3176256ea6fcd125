#include "engine/block_pool.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace millrace::engine {
namespace {

TEST(BlockPool, TakesLowestFreeBlocksAllOrNothing) {
  BlockPool pool(4, false);
  std::vector<uint32_t> a;
  std::vector<uint32_t> b;
  ASSERT_TRUE(pool.Reserve(3, a));
  EXPECT_EQ(a, (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_FALSE(pool.Reserve(2, b));
  EXPECT_TRUE(b.empty());
  EXPECT_EQ(pool.used(), 3U);
  pool.Release(std::vector<uint32_t>{1});
  ASSERT_TRUE(pool.Reserve(2, b));
  EXPECT_EQ(b, (std::vector<uint32_t>{1, 3}));
}

TEST(BlockPool, ContiguousNeedsOnePiece) {
  BlockPool pool(6, true);
  std::vector<uint32_t> a;
  std::vector<uint32_t> b;
  ASSERT_TRUE(pool.Reserve(5, a));
  pool.Release(std::vector<uint32_t>{1, 3});
  EXPECT_EQ(pool.free(), 3U);
  EXPECT_FALSE(pool.Reserve(2, b));
  pool.Release(std::vector<uint32_t>{4});
  ASSERT_TRUE(pool.Reserve(3, b));
  EXPECT_EQ(b, (std::vector<uint32_t>{3, 4, 5}));
}

TEST(BlockPool, SharedBlockIsFreeAfterItsLastUser) {
  BlockPool pool(1, false);
  std::vector<uint32_t> a;
  ASSERT_TRUE(pool.Reserve(1, a));
  pool.Share(0);
  pool.Release(a);
  EXPECT_EQ(pool.used(), 1U);
  pool.Release(a);
  EXPECT_EQ(pool.used(), 0U);
}

TEST(BlockPoolDeath, ReleasingAFreeBlockIsABug) {
  BlockPool pool(1, false);
  EXPECT_DEATH(pool.Release(std::vector<uint32_t>{0}), "as often as it was taken");
}

// Random takes, shares and releases against a plain model: counts agree, nothing is handed out twice, nothing is lost.
TEST(BlockPool, KeepsItsInvariantsUnderRandomUse) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    const bool contiguous = seed % 2 == 1;
    BlockPool pool(static_cast<uint32_t>(1 + random() % 64), contiguous);
    std::map<uint32_t, uint32_t> references;
    std::vector<std::vector<uint32_t>> held;
    for (int round = 0; round < 400; ++round) {
      const auto action = random() % 3;
      if (action == 0) {
        std::vector<uint32_t> blocks;
        const auto count = static_cast<uint32_t>(random() % 12);
        const bool got = pool.Reserve(count, blocks);
        EXPECT_TRUE(contiguous || got == (count <= pool.size() - references.size()));
        ASSERT_EQ(blocks.size(), got ? count : 0U);
        for (size_t i = 0; i < blocks.size(); ++i) {
          ASSERT_LT(blocks[i], pool.size());
          ASSERT_TRUE(references.emplace(blocks[i], 1).second) << "block handed out twice";
          EXPECT_TRUE(!contiguous || i == 0 || blocks[i] == blocks[i - 1] + 1);
        }
        if (got) held.push_back(blocks);
      } else if (action == 1 && !held.empty()) {
        held.push_back(held[random() % held.size()]);
        for (const uint32_t block : held.back()) pool.Share(block), ++references[block];
      } else if (!held.empty()) {
        const size_t which = random() % held.size();
        pool.Release(held[which]);
        for (const uint32_t block : held[which]) {
          if (--references[block] == 0) references.erase(block);
        }
        held.erase(held.begin() + static_cast<ptrdiff_t>(which));
      }
      ASSERT_EQ(pool.used(), references.size());
      ASSERT_LE(pool.used(), pool.size());
      ASSERT_EQ(pool.used() + pool.free(), pool.size());
      for (const auto& [block, count] : references) ASSERT_EQ(pool.references(block), count);
    }
  }
}

}  // namespace
}  // namespace millrace::engine
