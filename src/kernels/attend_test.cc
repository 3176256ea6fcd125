#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/kernel_test_data.h"

namespace millrace::kernels {
namespace {

const KernelTable& kScalar = TableFor(Isa::kScalar);

uint16_t As(float value, uint16_t) { return FloatToHalf(value); }
float As(float value, float) { return value; }
float Back(uint16_t value) { return HalfToFloat(value); }
float Back(float value) { return value; }

void Attend(const KernelTable& kernels, const AttendTileArgs<uint16_t>& args) { kernels.attend_tile_f16(args); }
void Attend(const KernelTable& kernels, const AttendTileArgs<float>& args) { kernels.attend_tile_f32(args); }

// One tile of keys and values in the stored layout, and queries on it. Unwritten positions hold NaN.
template <typename T>
struct Tile {
  Tile(uint32_t seed, uint32_t head_dim_in, uint32_t query_count)
      : head_dim(head_dim_in), keys(kTileBlocks), values(kTileBlocks) {
    TestData data(seed);
    queries = data.Values(size_t{query_count} * head_dim);
    for (uint32_t q = 0; q < query_count; ++q) visible.push_back(1 + data.Below(kTilePositions));
    if (seed % 3 == 0) std::fill(visible.begin(), visible.end(), visible[0]);
    if (seed % 4 == 1) {  // windows; of consecutive rows, or of rows that have nothing in common
      softcap = seed % 8 == 1 ? 3.0F : 0.0F;
      const uint32_t window = 1 + data.Below(seed % 8 == 5 ? 20 : 200);
      for (const uint32_t end : visible) first.push_back(end > window ? end - window : 0);
    }
    const uint32_t written = *std::max_element(visible.begin(), visible.end());
    for (uint32_t block = 0; block < kTileBlocks; ++block) {
      keys[block].assign(size_t{kBlockPositions} * head_dim, As(std::nanf(""), T{}));
      values[block].assign(size_t{kBlockPositions} * head_dim, As(std::nanf(""), T{}));
    }
    const uint32_t earliest = first.empty() ? 0 : *std::min_element(first.begin(), first.end());
    for (uint32_t position = earliest; position < written; ++position) {
      for (uint32_t d = 0; d < head_dim; ++d) {
        Key(position, d) = As(data.Value(), T{});
        Value(position, d) = As(data.Value(), T{});
      }
    }
  }

  T& Key(uint32_t position, uint32_t d) { return keys[position / 32][(position % 32 / 16 * head_dim + d) * 16 + position % 16]; }
  T& Value(uint32_t position, uint32_t d) { return values[position / 32][position % 32 * head_dim + d]; }

  // States of queries [begin, end) from one call.
  std::vector<float> States(const KernelTable& kernels, uint32_t begin, uint32_t end) {
    std::vector<const T*> k, v;
    std::vector<const float*> q;
    for (uint32_t block = 0; block < kTileBlocks; ++block) {
      k.push_back(keys[block].data());
      v.push_back(values[block].data());
    }
    for (uint32_t i = begin; i < end; ++i) q.push_back(queries.data() + size_t{i} * head_dim);
    alignas(32) static float scratch[kMaxTileQueries * kTilePositions];
    std::vector<float> states((end - begin) * AttendStateFloats(head_dim), -7.0F);
    Attend(kernels, AttendTileArgs<T>{.k_blocks = k.data(),
                                      .v_blocks = v.data(),
                                      .next_keys = {},
                                      .queries = q.data(),
                                      .first = first.empty() ? nullptr : first.data() + begin,
                                      .visible = visible.data() + begin,
                                      .query_count = end - begin,
                                      .head_dim = head_dim,
                                      .scale = 1.0F / std::sqrt(static_cast<float>(head_dim)),
                                      .softcap = softcap,
                                      .scratch = scratch,
                                      .states = states.data()});
    return states;
  }

  uint32_t head_dim;
  std::vector<std::vector<T>> keys, values;
  std::vector<float> queries;
  std::vector<uint32_t> first, visible;  // first: empty where all see everything from the start
  float softcap = 0;
};

template <typename T>
class AttendTest : public testing::Test {};
using StoredTypes = testing::Types<uint16_t, float>;
TYPED_TEST_SUITE(AttendTest, StoredTypes);

TYPED_TEST(AttendTest, EveryTableGivesTheDefinitionsBits) {
  for (uint32_t seed = 0; seed < 120; ++seed) {
    const uint32_t dims[] = {8, 16, 24, 64, 96, 128};
    const uint32_t count = 1 + seed % kMaxTileQueries;
    Tile<TypeParam> tile(seed, dims[seed % 6], count);
    const std::vector<float> expected = tile.States(kScalar, 0, count);
    for (const float value : expected) ASSERT_TRUE(std::isfinite(value));
    for (const Isa isa : AvailableIsas()) {
      ASSERT_TRUE(SameBits(expected, tile.States(TableFor(isa), 0, count))) << IsaName(isa) << " seed " << seed;
    }
  }
}

TYPED_TEST(AttendTest, AQueryHasTheSameBitsAloneAndBesideOthers) {
  for (const Isa isa : AvailableIsas()) {
    for (const uint32_t seed : {5U, 6U, 9U, 13U}) {
      Tile<TypeParam> tile(seed, 64, 11);
      const std::vector<float> all = tile.States(TableFor(isa), 0, 11);
      for (uint32_t q = 0; q < 11; ++q) {
        const size_t floats = AttendStateFloats(64);
        const std::vector<float> expected(all.begin() + static_cast<ptrdiff_t>(q * floats),
                                          all.begin() + static_cast<ptrdiff_t>((q + 1) * floats));
        ASSERT_TRUE(SameBits(expected, tile.States(TableFor(isa), q, q + 1))) << IsaName(isa) << " query " << q;
      }
    }
  }
}

TYPED_TEST(AttendTest, AgreesWithDoublePrecision) {
  for (const uint32_t seed : {7U, 9U, 13U}) {  // everything, window and softcap, a narrow window
    Tile<TypeParam> tile(seed, 64, 4);
    const std::vector<float> states = tile.States(kScalar, 0, 4);
    for (uint32_t q = 0; q < 4; ++q) {
      const uint32_t first = tile.first.empty() ? 0 : tile.first[q];
      std::vector<double> weights(tile.visible[q]);
      double sum = 0, maximum = -1e300;
      for (uint32_t position = first; position < weights.size(); ++position) {
        double score = 0;
        for (uint32_t d = 0; d < 64; ++d) score += static_cast<double>(tile.queries[q * 64 + d]) * Back(tile.Key(position, d));
        weights[position] = tile.softcap == 0 ? score / 8 : tile.softcap * std::tanh(score / 8 / tile.softcap);
        maximum = std::max(maximum, weights[position]);
      }
      for (uint32_t position = first; position < weights.size(); ++position) {
        sum += weights[position] = std::exp(weights[position] - maximum);
      }
      std::vector<float> out(64);
      kScalar.attend_finish(states.data() + q * AttendStateFloats(64), 64, out.data());
      for (uint32_t d = 0; d < 64; ++d) {
        double expected = 0, magnitudes = 0;
        for (uint32_t position = first; position < weights.size(); ++position) {
          expected += weights[position] / sum * Back(tile.Value(position, d));
          magnitudes += weights[position] / sum * std::fabs(Back(tile.Value(position, d)));
        }
        // Scores reach some hundreds here; their float rounding (64 additions) enters through exp.
        EXPECT_NEAR(out[d], expected, magnitudes * 2e-3 + 1e-6);
      }
    }
  }
}

TEST(AttendMerge, OneTileStaysAsItIsAndTablesAgree) {
  TestData data(9);
  for (const uint32_t head_dim : {8U, 64U}) {
    for (int round = 0; round < 50; ++round) {
      std::vector<float> a = data.Values(AttendStateFloats(head_dim)), b = data.Values(AttendStateFloats(head_dim));
      a.back() = std::fabs(a.back()) + 1;
      b.back() = std::fabs(b.back()) + 1;
      std::vector<float> expected = a;
      kScalar.attend_merge(expected.data(), b.data(), head_dim);
      const double maximum = std::max(a[head_dim], b[head_dim]);
      const double sum = a.back() * std::exp(a[head_dim] - maximum) + b.back() * std::exp(b[head_dim] - maximum);
      EXPECT_NEAR(expected.back(), sum, sum * 1e-6);
      std::vector<float> finished(head_dim), fast_finished(head_dim);
      kScalar.attend_finish(expected.data(), head_dim, finished.data());
      for (const Isa isa : AvailableIsas()) {
        std::vector<float> found = a;
        TableFor(isa).attend_merge(found.data(), b.data(), head_dim);
        ASSERT_TRUE(SameBits(expected, found)) << IsaName(isa);
        TableFor(isa).attend_finish(found.data(), head_dim, fast_finished.data());
        ASSERT_TRUE(SameBits(finished, fast_finished)) << IsaName(isa);
      }
    }
  }
}

}  // namespace
}  // namespace millrace::kernels
