#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/kernel_test_data.h"

namespace millrace::kernels {
namespace {

const KernelTable& kScalar = TableFor(Isa::kScalar);

// Every fast table against the definition; nothing to compare on a CPU without any.
template <typename Fn>
void ForEachFastTable(Fn fn) {
  for (const Isa isa : AvailableIsas()) {
    if (isa == Isa::kScalar) continue;
    SCOPED_TRACE(IsaName(isa));
    fn(TableFor(isa));
  }
}

TEST(Table, NamesRoundTripAndTheBestIsAvailable) {
  for (const Isa isa : AvailableIsas()) {
    EXPECT_EQ(IsaFromName(IsaName(isa)), isa);
    EXPECT_EQ(TableFor(isa).isa, isa);
  }
  EXPECT_EQ(AvailableIsas().front(), Isa::kScalar);
  EXPECT_EQ(BestIsa(), AvailableIsas().back());
  EXPECT_EQ(IsaFromName("avx3"), std::nullopt);
}

TEST(Quantize, StaysWithinHalfAStepAndSumsItsCodes) {
  TestData data(11);
  const std::vector<float> x = data.Values(5 * 96);
  const OwnedQuant quant = Quantize(kScalar, x, 96);
  for (size_t group = 0; group < x.size() / 32; ++group) {
    int sum = 0;
    int pairs[6] = {};
    float amax = 0;
    for (size_t i = group * 32; i < group * 32 + 32; ++i) {
      // Half a step, and the rounding of the product with the inverse.
      EXPECT_LE(std::fabs(x[i] - quant.scales[group] * quant.codes[i]), quant.scales[group] * 0.50003F);
      sum += quant.codes[i];
      pairs[i % 32 / 16 * 2 + i % 4 / 2] += quant.codes[i];
      pairs[4 + i % 4 / 2] += quant.codes[i];
      amax = std::max(amax, std::fabs(x[i]));
    }
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(quant.minus_sums[group * 6 + i], -pairs[i]);
    EXPECT_EQ(quant.scales[group], amax / 127.0F);
    EXPECT_EQ(quant.sums[group], quant.scales[group] * static_cast<float>(sum));
  }
}

TEST(Quantize, RoundsTiesToEven) {
  std::vector<float> x(32, 0.0F);
  x[0] = 127.0F;
  x[1] = 0.5F;
  x[2] = 1.5F;
  x[3] = -2.5F;
  for (const Isa isa : AvailableIsas()) {
    const OwnedQuant quant = Quantize(TableFor(isa), x, 32);
    EXPECT_EQ(quant.codes[0], 127);
    EXPECT_EQ(quant.codes[1], 0);
    EXPECT_EQ(quant.codes[2], 2);
    EXPECT_EQ(quant.codes[3], -2);
  }
}

TEST(Quantize, EveryTableGivesTheDefinitionsBits) {
  ForEachFastTable([](const KernelTable& fast) {
    for (uint32_t seed = 0; seed < 200; ++seed) {
      TestData data(seed);
      const uint32_t cols = 32 * (1 + data.Below(20));
      const std::vector<float> x = seed % 3 == 0 ? data.Extremes(cols * 2) : data.Values(cols * 2);
      const OwnedQuant expected = Quantize(kScalar, x, cols);
      const OwnedQuant found = Quantize(fast, x, cols);
      ASSERT_EQ(expected.codes, found.codes) << seed;
      ASSERT_TRUE(SameBits(expected.scales, found.scales)) << seed;
      ASSERT_TRUE(SameBits(expected.sums, found.sums)) << seed;
      ASSERT_EQ(expected.minus_sums, found.minus_sums) << seed;
    }
  });
}

TEST(Quantize, ANumberThatIsNoneSpoilsItsGroupOnly) {
  for (const Isa isa : AvailableIsas()) {
    for (const float bad : {std::nanf(""), -std::nanf(""), INFINITY, -INFINITY}) {
      std::vector<float> x(64, 1.0F);
      x[5] = bad;
      const OwnedQuant quant = Quantize(TableFor(isa), x, 64);
      EXPECT_TRUE(std::isnan(quant.scales[0]));
      EXPECT_TRUE(std::isnan(quant.sums[0]));
      EXPECT_EQ(quant.scales[1], 1.0F / 127.0F);
    }
  }
}

TEST(Exp, IsWithinTwoUnitsInTheLastPlace) {
  std::vector<float> x, y;
  for (float at = -86.9F; at < 88.0F; at += 0.0137F) x.push_back(at);
  y.resize(x.size());
  kScalar.exp(x.data(), x.size(), y.data());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i] / std::exp(static_cast<double>(x[i])), 1.0, 2.4e-7) << x[i];
  const float ends[] = {0.0F, -INFINITY, -87.5F, 1000.0F};
  float out[4];
  kScalar.exp(ends, 4, out);
  EXPECT_EQ(out[0], 1.0F);  // merging tiles relies on it
  EXPECT_EQ(out[1], 0.0F);
  EXPECT_EQ(out[2], 0.0F);
  EXPECT_TRUE(std::isfinite(out[3]));
}

TEST(Elementwise, EveryTableGivesTheDefinitionsBits) {
  ForEachFastTable([](const KernelTable& fast) {
    for (uint32_t seed = 0; seed < 300; ++seed) {
      TestData data(seed);
      const uint32_t count = 1 + data.Below(seed % 5 == 0 ? 2000 : 70);
      const auto values = [&] { return seed % 4 == 0 ? data.Extremes(count) : data.Values(count); };
      const std::vector<float> a = values(), b = values();
      std::vector<float> expected(count), found(count);
      const auto same = [&](const char* what) { ASSERT_TRUE(SameBits(expected, found)) << what << ", seed " << seed; };

      kScalar.rms_norm(a.data(), b.data(), count, 1e-5F, expected.data());
      fast.rms_norm(a.data(), b.data(), count, 1e-5F, found.data());
      same("rms_norm");
      kScalar.silu_mul(a.data(), b.data(), count, expected.data());
      fast.silu_mul(a.data(), b.data(), count, found.data());
      same("silu_mul");
      kScalar.silu(a.data(), count, expected.data());
      fast.silu(a.data(), count, found.data());
      same("silu");
      kScalar.gelu_tanh(a.data(), count, expected.data());
      fast.gelu_tanh(a.data(), count, found.data());
      same("gelu_tanh");
      kScalar.gelu_tanh_mul(a.data(), b.data(), count, expected.data());
      fast.gelu_tanh_mul(a.data(), b.data(), count, found.data());
      same("gelu_tanh_mul");
      kScalar.softcap(a.data(), count, 0.7F, 3.0F, expected.data());
      fast.softcap(a.data(), count, 0.7F, 3.0F, found.data());
      same("softcap");
      for (const float* bias : {static_cast<const float*>(nullptr), b.data()}) {
        kScalar.layer_norm(a.data(), b.data(), bias, count, 1e-5F, expected.data());
        fast.layer_norm(a.data(), b.data(), bias, count, 1e-5F, found.data());
        same("layer_norm");
      }
      std::vector<float> in_place = a;
      fast.rms_norm(a.data(), b.data(), count, 1e-5F, expected.data());
      fast.rms_norm(in_place.data(), b.data(), count, 1e-5F, in_place.data());
      ASSERT_TRUE(SameBits(expected, in_place)) << "rms_norm in place";
      kScalar.exp(a.data(), count, expected.data());
      fast.exp(a.data(), count, found.data());
      same("exp");
      std::vector<uint16_t> halves(count), fast_halves(count);
      kScalar.to_half(a.data(), count, halves.data());
      fast.to_half(a.data(), count, fast_halves.data());
      ASSERT_EQ(halves, fast_halves);
    }
  });
}

TEST(RmsNorm, AgreesWithDoublePrecision) {
  TestData data(3);
  const std::vector<float> x = data.Values(576), weight = data.Values(576);
  double sum = 0;
  for (const float value : x) sum += static_cast<double>(value) * value;
  std::vector<float> y(576);
  kScalar.rms_norm(x.data(), weight.data(), 576, 1e-5F, y.data());
  for (size_t i = 0; i < 576; ++i) {
    const double expected = x[i] / std::sqrt(sum / 576 + 1e-5) * weight[i];
    EXPECT_NEAR(y[i], expected, std::fabs(expected) * 4e-6);  // 36 additions per lane, 4 in the tree, a handful of roundings
  }
}

TEST(SiluMul, AgreesWithDoublePrecision) {
  TestData data(4);
  const std::vector<float> gate = data.Values(1000), up = data.Values(1000);
  std::vector<float> out(1000);
  kScalar.silu_mul(gate.data(), up.data(), 1000, out.data());
  for (size_t i = 0; i < 1000; ++i) {
    if (std::fabs(gate[i]) > 80) continue;
    const double expected = gate[i] / (1 + std::exp(-static_cast<double>(gate[i]))) * up[i];
    EXPECT_NEAR(out[i], expected, std::fabs(expected) * 1e-6);
  }
}

TEST(LayerNorm, AgreesWithDoublePrecision) {
  TestData data(5);
  const std::vector<float> x = data.Values(577), weight = data.Values(577), bias = data.Values(577);
  double sum = 0, squares = 0;
  for (const float value : x) sum += value;
  const double mean = sum / 577;
  for (const float value : x) squares += (value - mean) * (value - mean);
  std::vector<float> y(577);
  kScalar.layer_norm(x.data(), weight.data(), bias.data(), 577, 1e-5F, y.data());
  for (size_t i = 0; i < 577; ++i) {
    const double scaled = (x[i] - mean) / std::sqrt(squares / 577 + 1e-5) * weight[i];
    EXPECT_NEAR(y[i], scaled + bias[i], (std::fabs(scaled) + std::fabs(bias[i]) + std::fabs(weight[i])) * 4e-6);
  }
}

TEST(Softcap, IsATanhWithinAFewUnitsInTheLastPlace) {
  std::vector<float> x = {0.0F, -0.0F, 1e-30F, -1e-30F, 1e30F, -1e30F, 3e38F, INFINITY};
  for (float at = -22.0F; at < 22.0F; at += 0.00371F) x.push_back(at);
  for (float at = 1e-8F; at < 1.0F; at *= 1.01F) x.push_back(at);
  std::vector<float> y(x.size());
  kScalar.softcap(x.data(), x.size(), 1.0F, 1.0F, y.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = std::tanh(static_cast<double>(x[i]));
    EXPECT_NEAR(y[i], expected, std::fabs(expected) * 5e-7) << x[i];
    EXPECT_EQ(std::signbit(y[i]), std::signbit(x[i])) << x[i];
    EXPECT_LE(std::fabs(y[i]), 1.0F) << x[i];
  }
  const float some[] = {30.0F, -80.0F};
  float capped[2];
  kScalar.softcap(some, 2, 0.5F, 50.0F, capped);
  EXPECT_NEAR(capped[0], 50 * std::tanh(0.3), 2e-5);
  EXPECT_NEAR(capped[1], 50 * std::tanh(-0.8), 3e-5);
}

TEST(NotANumber, StaysOne) {
  for (const Isa isa : AvailableIsas()) {
    const KernelTable& table = TableFor(isa);
    const std::vector<float> x(9, std::nanf("")), one(9, 1.0F);
    std::vector<float> y(9);
    const auto all_nan = [&] { return std::all_of(y.begin(), y.end(), [](float value) { return std::isnan(value); }); };
    table.softcap(x.data(), 9, 1.0F, 2.0F, y.data());
    EXPECT_TRUE(all_nan());
    table.gelu_tanh(x.data(), 9, y.data());
    EXPECT_TRUE(all_nan());
    table.silu(x.data(), 9, y.data());
    EXPECT_TRUE(all_nan());
    table.layer_norm(x.data(), one.data(), one.data(), 9, 1e-5F, y.data());
    EXPECT_TRUE(all_nan());
  }
}

TEST(GeluTanh, AgreesWithDoublePrecision) {
  TestData data(6);
  const std::vector<float> x = data.Values(4000), up = data.Values(4000);
  std::vector<float> y(4000), gated(4000);
  kScalar.gelu_tanh(x.data(), 4000, y.data());
  kScalar.gelu_tanh_mul(x.data(), up.data(), 4000, gated.data());
  for (size_t i = 0; i < 4000; ++i) {
    const double u = std::sqrt(2 / M_PI) * (x[i] + 0.044715 * x[i] * static_cast<double>(x[i]) * x[i]);
    if (u < -40) continue;  // nothing is left of it
    const double expected = x[i] / (1 + std::exp(-2 * u));
    // The exponent's own rounding counts as often as it is large.
    EXPECT_NEAR(y[i], expected, std::fabs(expected) * (5e-7 + 4 * std::fabs(u) * 6e-8)) << x[i];
    EXPECT_EQ(gated[i], y[i] * up[i]);
  }
}

TEST(Rope, RotatesBothStylesAndKeepsTheRest) {
  for (const bool adjacent : {true, false}) {
    for (const uint32_t dims : {2U, 6U, 8U, 14U, 16U, 64U, 70U}) {
      TestData data(dims);
      const std::vector<float> head = data.Values(dims + 3);
      std::vector<float> cos(dims / 2), sin(dims / 2);
      for (uint32_t i = 0; i < dims / 2; ++i) {
        cos[i] = std::cos(0.3F * static_cast<float>(i));
        sin[i] = std::sin(0.3F * static_cast<float>(i));
      }
      const RopeArgs args{.cos = cos.data(), .sin = sin.data(), .dims = dims, .adjacent = adjacent};
      std::vector<float> expected = head;
      kScalar.rope(expected.data(), args);
      for (uint32_t i = 0; i < dims / 2; ++i) {
        const uint32_t first = adjacent ? 2 * i : i, second = adjacent ? 2 * i + 1 : i + dims / 2;
        EXPECT_NEAR(expected[first], head[first] * cos[i] - head[second] * sin[i], 1e-5F * 80);
        EXPECT_NEAR(expected[second], head[second] * cos[i] + head[first] * sin[i], 1e-5F * 80);
      }
      for (uint32_t i = dims; i < dims + 3; ++i) EXPECT_EQ(expected[i], head[i]);
      ForEachFastTable([&](const KernelTable& fast) {
        std::vector<float> found = head;
        fast.rope(found.data(), args);
        ASSERT_TRUE(SameBits(expected, found)) << dims;
      });
    }
  }
}

}  // namespace
}  // namespace millrace::kernels
