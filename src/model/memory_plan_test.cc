#include "model/memory_plan.h"

#include <gtest/gtest.h>

namespace millrace::model {
namespace {

ModelConfig Config() {
  ModelConfig config;
  config.hidden = 576;
  config.vocab = 49152;
  config.layers.assign(30, {.heads = 9, .kv_heads = 3, .head_dim = 64, .ffn = 1536});
  return config;
}

constexpr WeightBytes kWeights = {
    .embedding = 30'081'024, .head = 30'081'024, .layers = 66'355'200, .norms = 140'544, .tied = true};
constexpr uint64_t kMib = 1U << 20;

TEST(MemoryPlan, ExactTermsAreExact) {
  const auto plan = PlanMemory(Config(), kWeights, {.slots = 8, .context = 8192});
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->weights, 96'576'768u);
  EXPECT_EQ(plan->kv, 8ULL * 8192 * 23'040);
  EXPECT_EQ(plan->total(), plan->weights + plan->kv + plan->activations + plan->runtime);
  // One row needs at least its q, gate and up; all logits rows are there too.
  EXPECT_GE(plan->activations, 512ULL * (576 + 2 * 1536) * 4 + 8ULL * 49152 * 4);
  EXPECT_GT(plan->runtime, 0u);
}

TEST(MemoryPlan, ContextIsRoundedUpToBlocks) {
  const auto plan = PlanMemory(Config(), kWeights, {.slots = 3, .context = 100, .block_tokens = 64});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->kv, 3ULL * 128 * 23'040);
}

TEST(MemoryPlan, FitsExactlyAndNotOneByteLess) {
  const auto plan = PlanMemory(Config(), kWeights, {.slots = 2, .context = 1024});
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan->CheckFits(plan->total()).ok());
  const Status status = plan->CheckFits(plan->total() - 1);
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_NE(status.message().find("weights 92.1"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("KV 45.0 (2 slots x 1024 tokens, f16)"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("a context of 1023 tokens would fit with 2 slots"), std::string::npos) << status.message();
}

TEST(MemoryPlan, SaysWhatWouldFit) {
  const auto plan = PlanMemory(Config(), kWeights, {.slots = 8, .context = 8192, .block_tokens = 32});
  ASSERT_TRUE(plan.ok());
  const uint64_t rest = plan->total() - plan->kv;
  EXPECT_EQ(plan->KvTokensThatFit(rest), 0u);
  EXPECT_EQ(plan->KvTokensThatFit(0), 0u);
  EXPECT_EQ(plan->KvTokensThatFit(rest + 33 * 23'040), 32u);
  EXPECT_EQ(plan->KvTokensThatFit(plan->total()), 8u * 8192);
  EXPECT_NE(plan->CheckFits(rest + 40 * 23'040).message().find("one slot with a context of 32 tokens would fit"),
            std::string::npos);
  EXPECT_NE(plan->CheckFits(kMib).message().find("available are 1.0 MiB; no context fits"), std::string::npos);
}

TEST(MemoryPlan, AbsurdRequestsAreErrorsNotWraps) {
  EXPECT_EQ(PlanMemory(Config(), kWeights, {.slots = ~0U, .context = ~0U}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(PlanMemory(Config(), kWeights, {.slots = ~0U, .context = 1, .block_tokens = ~0U}).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(PlanMemory(Config(), kWeights, {.slots = 0}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(PlanMemory(Config(), kWeights, {.chunk_tokens = 0}).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace millrace::model
