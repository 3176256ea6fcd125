#include "worker/model_loader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "model/active_bytes.h"
#include "model/memory_plan.h"
#include "model/model_file.h"
#include "os/file.h"
#include "os/mapping.h"

namespace millrace::worker {
namespace {

const std::string kModel = std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/tiny-q4/model.gguf";

Result<LoadedModel> Load(const LoadOptions& options) {
  const RegularFile file = OpenRegularFile(kModel).value();
  return LoadModelFromFile(file.fd.get(), options);
}

// What LoadModel plans for these options.
model::MemoryPlan Plan(uint32_t slots, uint32_t context, uint32_t chunk) {
  const RegularFile file = OpenRegularFile(kModel).value();
  const FileMapping mapping = FileMapping::Map(file.fd.get(), file.identity.size_bytes).value();
  const model::ModelFile parsed = model::ModelFile::Parse(mapping.bytes()).value();
  return model::PlanMemory(parsed.config(), model::WeightBytesOf(parsed),
                           {.slots = slots, .context = context, .chunk_tokens = chunk + slots, .block_tokens = 32})
      .value();
}

TEST(ModelLoader, DefaultsAreTheModelsContextAndEightSlots) {
  std::vector<std::pair<size_t, size_t>> steps;
  LoadOptions options;
  options.progress = [&steps](size_t done, size_t total) { steps.emplace_back(done, total); };
  const auto model = Load(options);
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  const model::RunnerInfo& info = model->engine->runner().info();
  EXPECT_EQ(info.slots, 8U);
  EXPECT_EQ(info.context, 1024U);  // the model's own, below the default
  EXPECT_EQ(info.blocks, 8U * 1024U / 32U);
  EXPECT_NE(model->pool, nullptr);
  EXPECT_NE(model->vocabulary_fingerprint, 0U);
  ASSERT_FALSE(steps.empty());
  EXPECT_EQ(steps.back().first, steps.back().second);
}

TEST(ModelLoader, TakesASmallerPoolWhenMemoryIsShort) {
  const model::MemoryPlan plan = Plan(4, 512, 64);
  LoadOptions options{.context = 512, .slots = 4, .prefill_chunk = 64};
  options.available_bytes = plan.total();
  auto whole = Load(options);
  ASSERT_TRUE(whole.ok()) << whole.status().ToString();
  EXPECT_EQ(whole->engine->runner().info().blocks, 4U * 16U);

  options.available_bytes = plan.total() - plan.kv_per_token * 512 * 2;
  auto half = Load(options);
  ASSERT_TRUE(half.ok()) << half.status().ToString();
  EXPECT_LT(half->engine->runner().info().blocks, 4U * 16U);
  EXPECT_GE(half->engine->runner().info().blocks, 16U);
}

TEST(ModelLoader, RefusesWhenNotOneContextFits) {
  const model::MemoryPlan plan = Plan(4, 512, 64);
  LoadOptions options{.context = 512, .slots = 4, .prefill_chunk = 64};
  options.available_bytes = plan.total() - plan.kv_per_token * (4 * 512 - 400);
  const auto model = Load(options);
  EXPECT_EQ(model.status().code(), Code::kResourceExhausted);
  EXPECT_NE(model.status().message().find("KV"), std::string::npos) << model.status().message();
}

TEST(ModelLoader, ReferenceModeStoresFloats) {
  const auto model = Load({.context = 64, .slots = 1, .reference = true});
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  EXPECT_EQ(model->engine->runner().info().kv_type, model::KvType::kF32);
  EXPECT_GT(model->bytes_per_token, Load({.context = 64, .slots = 1})->bytes_per_token);
}

TEST(ModelLoader, NotAFileIsRefused) { EXPECT_FALSE(LoadModelFromFile(-1, {}).ok()); }

}  // namespace
}  // namespace millrace::worker
