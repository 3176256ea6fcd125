// Whole models with every feature that a configuration can have: right, and the same in any company.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/testing/allocation_count.h"
#include "model/active_bytes.h"
#include "model/decoder.h"
#include "model/memory_plan.h"
#include "model/testing/feature_models.h"
#include "model/testing/plain_forward.h"
#include "model/testing/random_weights.h"
#include "model/testing/walker.h"

namespace millrace::backend_cpu {
namespace {

using kernels::Isa;
using model::ModelRunner;
using model::testing::FeatureModel;
using model::testing::Logits;
using model::testing::PlainForward;
using model::testing::RandomTokens;
using model::testing::RandomWeights;
using model::testing::RelativeError;
using model::testing::Vector;
using model::testing::Walker;

RandomWeights WeightsOf(const FeatureModel& model, DType matrices) {
  model::testing::RandomWeightsOptions options = model.weights;
  options.matrices = matrices;
  return RandomWeights(model.config, options);
}

std::unique_ptr<ModelRunner> Load(const RandomWeights& weights, const CpuOptions& options) {
  return model::Decoder<CpuBackend>::Load(weights, CpuBackend::Create(weights.config(), options).value(), nullptr).value();
}

CpuOptions Options(uint32_t threads, Isa isa, bool reference = false) {
  return {.threads = threads, .isa = isa, .reference = reference, .slots = 3, .context = 640, .max_batch_tokens = 96};
}

model::WeightBytes BytesOf(const RandomWeights& weights) {
  using model::Role;
  const model::ModelConfig& config = weights.config();
  model::WeightBytes bytes;
  const auto count = [&](Role role, uint32_t layer) {
    return weights.Has(role, layer) ? weights.Tensor(role, layer).source_bytes() : 0;
  };
  bytes.tied = config.tied_head;
  bytes.embedding = count(Role::kEmbedding, 0);
  bytes.head = config.tied_head ? bytes.embedding : count(Role::kHead, 0);
  bytes.norms = count(Role::kOutputNorm, 0) + count(Role::kOutputNormBias, 0);
  for (uint32_t layer = 0; layer < config.layers.size(); ++layer) {
    for (size_t i = static_cast<size_t>(Role::kAttnNorm); i < model::kRoleCount; ++i) {
      const auto role = static_cast<Role>(i);
      (role >= Role::kExpertGate ? bytes.experts : bytes.layers) += count(role, layer);
    }
  }
  return bytes;
}

class Features : public ::testing::TestWithParam<FeatureModel> {
 protected:
  std::vector<TokenId> Tokens(uint32_t seed) const { return RandomTokens(GetParam().tokens, seed, GetParam().config.vocab); }
};

// Those without a choice: one between experts that are almost even may turn over, which is no small error. The op itself is held to its
// bound one by one.
class SmoothFeatures : public Features {};

std::vector<model::testing::FeatureModel> SmoothModels() {
  std::vector<model::testing::FeatureModel> models = model::testing::FeatureModels();
  std::erase_if(models, [](const auto& model) {
    return std::any_of(model.config.layers.begin(), model.config.layers.end(), [](const model::LayerConfig& layer) {
      return layer.mlp == model::MlpKind::kExperts && layer.experts.used < layer.experts.count;
    });
  });
  return models;
}

TEST_P(Features, TheFloatPathIsAPlainForwardPass) {
  const RandomWeights weights = WeightsOf(GetParam(), DType::kF32);
  const std::vector<TokenId> tokens = Tokens(5);
  const std::vector<Vector> expected = PlainForward<RandomWeights>(weights).Run(tokens);
  for (const Isa isa : kernels::AvailableIsas()) {
    EXPECT_LT(RelativeError(expected, Logits(*Load(weights, Options(2, isa, true)), tokens, 16)), 1e-5) << kernels::IsaName(isa);
  }
}

// Activations are rounded to 8 bits per group of 32: the step is amax / 127, and amax <= sqrt(32) rms of the group, so the rms error of one
// product is at most sqrt(32) / 127 / sqrt(12) = 1.3 % of its rms. Each of the 7 L + 1 products in a model of L layers adds such an
// error to what it hands on; independent errors add in quadrature. Keys and values in f16 vanish beside that.
TEST_P(SmoothFeatures, QuantisedActivationsStayWithinTheirStep) {
  const model::ModelConfig& config = GetParam().config;
  const std::vector<TokenId> tokens = Tokens(6);
  for (const DType dtype : {DType::kQ4_1, DType::kQ8_0}) {
    const RandomWeights weights = WeightsOf(GetParam(), dtype);
    const std::vector<Vector> expected = PlainForward<RandomWeights>(weights).Run(tokens);
    const double bound = std::sqrt(32.0) / 127 / std::sqrt(12.0) * std::sqrt(7 * static_cast<double>(config.layers.size()) + 1);
    EXPECT_LT(RelativeError(expected, Logits(*Load(weights, Options(2, kernels::BestIsa())), tokens, 16)), bound)
        << Info(dtype).name;
  }
}

TEST_P(Features, SameBitsInAnyChunksThreadsAndInstructionSets) {
  const RandomWeights weights = WeightsOf(GetParam(), DType::kQ4_1);
  const std::vector<TokenId> tokens = Tokens(3);
  const std::vector<float> expected = Logits(*Load(weights, Options(1, kernels::BestIsa())), tokens, 1);
  for (const Isa isa : kernels::AvailableIsas()) {
    for (const uint32_t threads : {1U, 2U, 3U}) {
      auto runner = Load(weights, Options(threads, isa));
      for (const uint32_t chunk : {1U, 3U, 5U, 37U, 96U}) {
        if (isa == Isa::kScalar && (threads != 2 || chunk < 37)) continue;  // the definition is slow
        const std::vector<float> found = Logits(*runner, tokens, chunk);
        ASSERT_EQ(found.size(), expected.size());
        ASSERT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)), 0)
            << kernels::IsaName(isa) << ", " << threads << " threads, chunks of " << chunk;
      }
    }
  }
}

TEST_P(Features, SameBitsAloneAndInAnyBatch) {
  const RandomWeights weights = WeightsOf(GetParam(), DType::kQ8_0);
  auto runner = Load(weights, Options(2, kernels::BestIsa()));
  std::vector<Walker> walkers;
  std::vector<std::vector<float>> alone;
  for (uint32_t slot = 0; slot < 3; ++slot) {
    walkers.push_back({.slot = slot, .tokens = Tokens(slot), .logits = {}});
    alone.push_back(Logits(*runner, walkers.back().tokens, 50));
  }
  ASSERT_NO_FATAL_FAILURE(model::testing::WalkTogether(*runner, walkers, 7, 32));
  for (uint32_t slot = 0; slot < 3; ++slot) {
    ASSERT_EQ(walkers[slot].logits.size(), alone[slot].size());
    EXPECT_EQ(std::memcmp(walkers[slot].logits.data(), alone[slot].data(), alone[slot].size() * sizeof(float)), 0) << slot;
  }
}

// What decode steps read: all weights once, but of experts only those that were chosen, and of the cache what the windows let see.
TEST_P(Features, StepsCountTheBytesThatTheyReadAndAllocateNothing) {
  const RandomWeights weights = WeightsOf(GetParam(), DType::kQ4_1);
  auto runner = Load(weights, Options(2, kernels::BestIsa()));
  (void)Logits(*runner, RandomTokens(39, 1, 48), 39);
  const TokenId tokens[] = {1};
  const model::SpanOfTokens spans[] = {{1, 39, 0, 1}};
  const model::BlockChange changes[] = {model::testing::BlockOf(runner->info(), 1, 1)};
  const model::OutputRow outputs[] = {{0}};
  const model::StepBatch batch =
      model::testing::Batch({.tokens = tokens, .spans = spans, .changes = changes, .outputs = outputs});
  const uint64_t before = testing::AllocationCount();
  const auto ticket = runner->Launch(batch);
  ASSERT_TRUE(ticket.ok());
  const auto result = runner->Collect(*ticket);
  EXPECT_EQ(testing::AllocationCount(), before);
  const auto parts = model::ActiveBytes(weights.config(), BytesOf(weights), 39, 1, model::KvType::kF16);
  EXPECT_EQ(result->weight_bytes, parts.weights());
  EXPECT_EQ(result->kv_bytes, parts.kv);
}

INSTANTIATE_TEST_SUITE_P(Models, Features, ::testing::ValuesIn(model::testing::FeatureModels()),
                         [](const auto& row) { return row.param.name; });
INSTANTIATE_TEST_SUITE_P(Models, SmoothFeatures, ::testing::ValuesIn(SmoothModels()),
                         [](const auto& row) { return row.param.name; });

TEST(Plan, CoversTheMemoryOfAStep) {
  model::ModelConfig dense = model::testing::SmallConfig();
  dense.hidden = 2048;
  dense.vocab = 32000;
  for (model::LayerConfig& layer : dense.layers) layer.heads = 32, layer.kv_heads = 8, layer.head_dim = 64, layer.ffn = 8192;
  model::ModelConfig experts = dense;
  for (model::LayerConfig& layer : experts.layers) {
    layer.ffn = 0;
    layer.mlp = model::MlpKind::kExperts;
    layer.experts = {.count = 128, .used = 8, .ffn = 768};
  }
  model::ModelConfig wide_heads = dense;
  wide_heads.ropes.push_back(wide_heads.ropes[0]);
  for (model::LayerConfig& layer : wide_heads.layers) layer.heads = 16, layer.head_dim = 256, layer.ffn = 512;
  for (const model::ModelConfig& config : {dense, experts, wide_heads}) {
    const auto backend =
        CpuBackend::Create(config, {.threads = 2, .slots = 8, .context = 2048, .max_batch_tokens = 512, .max_outputs = 8})
            .value();
    const auto plan = model::PlanMemory(config, {}, {.slots = 8, .context = 2048, .chunk_tokens = 512}).value();
    // What each thread has for itself belongs to the plan's runtime.
    EXPECT_LE(backend->scratch_bytes(), plan.activations + (8U << 20));
    EXPECT_GE(backend->scratch_bytes(), plan.activations * 3 / 4) << "the plan promises more than there is";
  }
}

}  // namespace
}  // namespace millrace::backend_cpu
