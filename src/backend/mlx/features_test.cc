// Whole models with every feature that a configuration can have, against a plain forward pass in double precision.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "backend/mlx/mlx_backend.h"
#include "model/decoder.h"
#include "model/testing/feature_models.h"
#include "model/testing/plain_forward.h"
#include "model/testing/random_weights.h"
#include "model/testing/walker.h"

namespace millrace::backend_mlx {
namespace {

using model::testing::FeatureModel;
using model::testing::RandomWeights;

class MlxFeatures : public ::testing::TestWithParam<FeatureModel> {};

// Everything in f32: a model of two layers makes a few hundred roundings of 2^-24 one after the other. In steps of 16 tokens, so that later
// ones read what earlier ones stored.
TEST_P(MlxFeatures, ReferenceModeIsAPlainForwardPass) {
  for (const DType dtype : {DType::kF32, DType::kQ4_1}) {
    model::testing::RandomWeightsOptions options = GetParam().weights;
    options.matrices = dtype;
    const RandomWeights weights(GetParam().config, options);
    const std::vector<TokenId> tokens = model::testing::RandomTokens(GetParam().tokens, 5, GetParam().config.vocab);
    const auto expected = model::testing::PlainForward<RandomWeights>(weights).Run(tokens);
    auto backend = MlxBackend::Create(weights.config(), {.reference = true, .slots = 3, .context = 640, .max_batch_tokens = 96});
    ASSERT_TRUE(backend.ok()) << backend.status().ToString();
    auto runner = model::Decoder<MlxBackend>::Load(weights, *std::move(backend), nullptr);
    ASSERT_TRUE(runner.ok()) << runner.status().ToString();
    EXPECT_LT(model::testing::RelativeError(expected, model::testing::Logits(**runner, tokens, 16)), 3e-5) << Info(dtype).name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, MlxFeatures, ::testing::ValuesIn(model::testing::FeatureModels()),
                         [](const auto& model) { return model.param.name; });

}  // namespace
}  // namespace millrace::backend_mlx
