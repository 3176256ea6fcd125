#include "model/conversion.h"

#include <gtest/gtest.h>

#include <string>

#include "model/checkpoint_config.h"
#include "os/file.h"
#include "os/mapping.h"

namespace millrace::model {
namespace {

class ConversionTest : public testing::Test {
 protected:
  // One golden model of tests/golden.
  const ModelFile& Open(const std::string& name) {
    const std::string path = std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/" + name + "/model.gguf";
    const RegularFile file = OpenRegularFile(path).value();
    mapping_ = FileMapping::Map(file.fd.get(), file.identity.size_bytes).value();
    file_.emplace(ModelFile::Parse(mapping_.bytes()).value());
    return *file_;
  }

  FileMapping mapping_;
  std::optional<ModelFile> file_;
};

TEST(RowOrder, PairsBecomeHalvesInsideEachHead) {
  const RowOrder order{.head = 6, .dims = 4};
  const uint64_t expected[] = {0, 2, 1, 3, 4, 5, 6, 8, 7, 9, 10, 11};
  for (uint64_t row = 0; row < 12; ++row) EXPECT_EQ(order.SourceOf(row), expected[row]) << row;
  EXPECT_EQ(RowOrder{}.SourceOf(7), 7U);
}

const PlannedTensor& Named(const ConversionPlan& plan, const std::string& name) {
  for (const PlannedTensor& tensor : plan.tensors) {
    if (tensor.name == name) return tensor;
  }
  ADD_FAILURE() << name;
  return plan.tensors.front();
}

TEST_F(ConversionTest, ChangesFollowSourceAndTarget) {
  const ModelFile& file = Open("tiny-q4");  // hidden 64, MLP 160; matrices Q4_1, embedding Q8_0
  const auto plan = PlanConversion(file, {.format = {.group = 32, .bits = 4}});
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  EXPECT_EQ(Named(*plan, "model.layers.0.mlp.up_proj.weight").change, Change::kConverted);
  EXPECT_EQ(Named(*plan, "model.embed_tokens.weight").change, Change::kRequantised);
  EXPECT_EQ(Named(*plan, "model.layers.1.self_attn.q_proj.weight").order.head, 16U);
  EXPECT_EQ(Named(*plan, "model.layers.1.self_attn.v_proj.weight").order.head, 0U);
  const PlannedTensor& up = Named(*plan, "model.layers.2.mlp.up_proj.weight");
  ASSERT_EQ(up.entries.size(), 3U);
  EXPECT_EQ(up.entries[0].shape, (std::vector<uint64_t>{160, 64 * 4 / 32}));
  EXPECT_EQ(up.entries[1].name, "model.layers.2.mlp.up_proj.scales");
  EXPECT_EQ(up.entries[2].shape, (std::vector<uint64_t>{160, 2}));

  const auto wide = PlanConversion(file, {.format = {.group = 64, .bits = 8}});
  ASSERT_TRUE(wide.ok());
  EXPECT_EQ(Named(*wide, "model.layers.0.mlp.up_proj.weight").change, Change::kRequantised);
  EXPECT_EQ(Named(*wide, "model.layers.0.mlp.down_proj.weight").change, Change::kFloats) << "64 does not divide 160";
}

TEST_F(ConversionTest, ShardsHoldWholeTensorsAndTheIndexNamesAll) {
  const ModelFile& file = Open("tiny-q4");
  const auto plan = PlanConversion(file, {.format = {.group = 32, .bits = 8}, .shard_bytes = 40'000});
  ASSERT_TRUE(plan.ok());
  ASSERT_GT(plan->shards.size(), 2U);
  size_t at = 0;
  for (const PlannedShard& shard : plan->shards) {
    EXPECT_EQ(shard.begin, at);
    at = shard.end;
    EXPECT_EQ(shard.name.find("model-0000"), 0U);
  }
  EXPECT_EQ(at, plan->tensors.size());
  const Json index = Json::Parse(plan->index).value();
  size_t entries = 0;
  for (const PlannedTensor& tensor : plan->tensors) entries += tensor.entries.size();
  EXPECT_EQ(index.Find("weight_map")->members().size(), entries);
}

TEST_F(ConversionTest, TargetsThatThereAreNot) {
  const ModelFile& file = Open("tiny-q4");
  EXPECT_EQ(PlanConversion(file, {.format = {.group = 64, .bits = 5}}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(PlanConversion(file, {.format = {.group = 16, .bits = 4}}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(PlanConversion(file, {.format = {.group = 128, .bits = 4}}).status().code(), Code::kUnsupported);
}

TEST_F(ConversionTest, ConfigOfGguf) {
  const ModelFile& file = Open("tiny-q8");  // rope over half a head
  const auto config = CheckpointConfigOf(file);
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->Find("model_type")->as_string(), "llama");
  EXPECT_EQ(config->Find("rms_norm_eps")->as_double(), 1e-5);
  EXPECT_EQ(config->Find("partial_rotary_factor")->as_double(), 0.5);
  EXPECT_EQ(config->Find("rope_theta")->as_double(), 10000);
  EXPECT_FALSE(config->Find("tie_word_embeddings")->as_bool());
}

}  // namespace
}  // namespace millrace::model
