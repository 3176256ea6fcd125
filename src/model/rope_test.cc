// Expected numbers: the functions of transformers 5.24 (modeling_rope_utils.py), which compute in float32.
#include "model/rope.h"

#include <gtest/gtest.h>

namespace millrace::model {
namespace {

void ExpectNear(const Frequencies& found, const std::vector<double>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-6 * expected[i]) << i;
}

TEST(Rope, Llama3) {
  const Llama3Scaling scaling{.factor = 32, .low_frequency_factor = 1, .high_frequency_factor = 4, .original_context = 8192};
  ExpectNear(ScaledAsLlama3(RopeFrequencies(32, 500000), scaling),
             {1.0, 0.44036663, 0.19392276, 0.085397102, 0.037606031, 0.016560441, 0.0072926651, 0.0032114461, 0.00042955671,
              1.9461639e-05, 8.5702559e-06, 3.7740544e-06, 1.6619674e-06, 7.3187493e-07, 3.2229329e-07, 1.419272e-07});
}

TEST(Rope, Yarn) {
  const YarnScaling scaling{.base = 1e6, .factor = 4, .original_context = 32768};
  ExpectNear(ScaledAsYarn(RopeFrequencies(32, 1e6), scaling),
             {1.0, 0.42169651, 0.17782794, 0.074989416, 0.031622779, 0.013335215, 0.0047799014, 0.0016599617, 0.00055,
              0.00016867858, 4.4456985e-05, 1.8747356e-05, 7.9056936e-06, 3.3338035e-06, 1.4058534e-06, 5.9284343e-07});
  EXPECT_NEAR(YarnMagnitude(4, 1), 1.138629436111989, 1e-15);
  EXPECT_EQ(YarnMagnitude(1, 1), 1.0);
}

TEST(Rope, YarnWithARampBetweenIndices) {
  const YarnScaling scaling{
      .base = 1e4, .factor = 40, .original_context = 4096, .beta_fast = 16, .beta_slow = 2, .truncate = false};
  ExpectNear(ScaledAsYarn(RopeFrequencies(32, 1e4), scaling),
             {1.0, 0.56234133, 0.31622776, 0.17782794, 0.1, 0.056234129, 0.031622779, 0.01509612, 0.0057901046, 0.0017382187,
              0.00012395246, 4.4456985e-05, 2.4999999e-05, 1.4058533e-05, 7.9056945e-06, 4.4456983e-06});
  EXPECT_NEAR(YarnMagnitude(40, 1) / YarnMagnitude(40, 0.5), 1.1557219901962608, 1e-14);
}

TEST(Rope, ARampOfNoLengthIsAStep) {
  const YarnScaling scaling{.base = 1e4, .factor = 2, .original_context = 64, .beta_fast = 1, .beta_slow = 1, .truncate = false};
  const Frequencies plain = RopeFrequencies(32, 1e4);
  const Frequencies scaled = ScaledAsYarn(plain, scaling);
  EXPECT_EQ(scaled[0], plain[0]);
  EXPECT_EQ(scaled[15], plain[15] / 2);
}

TEST(Rope, Linear) {
  ExpectNear(DividedBy(RopeFrequencies(16, 1e4), 8),
             {0.125, 0.03952847, 0.0125, 0.0039528473, 0.00125, 0.00039528473, 0.00012500001, 3.9528473e-05});
}

TEST(Rope, LongRope) {
  const std::vector<double> factors = {1.0, 1.5, 2.5, 8.0, 20.0, 40.0};
  ExpectNear(DividedBy(RopeFrequencies(12, 1e4), factors), {1.0, 0.14362897, 0.018566353, 0.00125, 0.00010772171, 1.1603974e-05});
  EXPECT_NEAR(LongRopeMagnitude(32, 4096), 1.1902380714238083, 1e-14);
  EXPECT_EQ(LongRopeMagnitude(1, 4096), 1.0);
}

}  // namespace
}  // namespace millrace::model
