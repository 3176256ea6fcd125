// The parts of the backend: conversion of weights, slabs, the draw. Whole models are in tests/mlx.
#include <gtest/gtest.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include "backend/mlx/affine.h"
#include "backend/mlx/attention.h"
#include "backend/mlx/boundary.h"
#include "backend/mlx/device.h"
#include "backend/mlx/kv_slabs.h"
#include "backend/mlx/layer_math.h"
#include "backend/mlx/sampling.h"
#include "backend/mlx/weight_store.h"
#include "base/half.h"
#include "base/types.h"

namespace millrace::backend_mlx {
namespace {

namespace mx = mlx::core;

// Blocks of random codes whose halves are small numbers.
std::vector<std::byte> RandomBlocks(DType dtype, size_t elements, std::mt19937& random) {
  const DTypeInfo& info = Info(dtype);
  std::vector<std::byte> bytes(elements / info.block_elements * info.block_bytes);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  const auto half_at = [&](size_t at) {
    const uint16_t half = FloatToHalf(static_cast<float>(random() % 2000) * 1e-3F - 1.0F);
    std::memcpy(bytes.data() + at, &half, sizeof half);
  };
  for (size_t at = 0; at < bytes.size(); at += info.block_bytes) {
    half_at(dtype == DType::kQ6_K ? at + offsetof(BlockQ6_K, d) : at);
    const bool two = dtype == DType::kQ4_1 || dtype == DType::kQ5_1 || dtype == DType::kQ4_K || dtype == DType::kQ5_K;
    if (two) half_at(at + 2);
  }
  return bytes;
}

weights::TensorView ViewOf(DType dtype, std::span<const std::byte> bytes, uint64_t rows, uint64_t cols) {
  weights::TensorView view;
  view.name = "test";
  view.dtype = dtype;
  view.rank = 2;
  view.dims = {cols, rows, 1, 1};
  view.rows = rows;
  view.cols = cols;
  view.data = bytes;
  return view;
}

std::vector<float> Values(const mx::array& x) {
  mx::array ready = mx::contiguous(mx::astype(x, mx::float32));
  mx::eval(ready);
  return {ready.data<float>(), ready.data<float>() + ready.size()};
}

constexpr DType kGgufTypes[] = {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
                                DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kF16,  DType::kBF16};

// Known by hand: the first and the last element of a block, so that the order of nibbles and high bits is not only agreed with itself.
TEST(Affine, ElementsOfABlock) {
  std::vector<float> out;
  BlockQ4_0 q4{.d = FloatToHalf(0.5F), .qs = {}};
  q4.qs[0] = 0x2F;   // element 0 is 15, element 16 is 2
  q4.qs[15] = 0x81;  // element 15 is 1, element 31 is 8
  AppendFloats(DType::kQ4_0, std::as_bytes(std::span(&q4, 1)), out);
  EXPECT_EQ(out[0], 3.5F);
  EXPECT_EQ(out[16], -3.0F);
  EXPECT_EQ(out[15], -3.5F);
  EXPECT_EQ(out[31], 0.0F);
  out.clear();
  BlockQ5_1 q5{.d = FloatToHalf(2), .m = FloatToHalf(-1), .qh = {1, 0, 0, 0x80}, .qs = {}};
  q5.qs[0] = 3;      // element 0 is 3 + 16
  q5.qs[15] = 0x70;  // element 31 is 7 + 16
  AppendFloats(DType::kQ5_1, std::as_bytes(std::span(&q5, 1)), out);
  EXPECT_EQ(out[0], 37.0F);
  EXPECT_EQ(out[1], -1.0F);
  EXPECT_EQ(out[31], 45.0F);
  out.clear();
  BlockQ6_K q6{};
  q6.d = FloatToHalf(1);
  q6.scales[0] = -2;
  q6.scales[15] = 3;
  q6.ql[0] = 5;
  q6.qh[0] = 2;       // element 0 is 5 + 32
  q6.ql[127] = 0xA0;  // element 255 is 10 + 16
  q6.qh[63] = 1 << 6;
  AppendFloats(DType::kQ6_K, std::as_bytes(std::span(&q6, 1)), out);
  EXPECT_EQ(out[0], -2.0F * 5);
  EXPECT_EQ(out[255], 3.0F * (10 + 16 - 32));
}

// What MLX makes of the converted matrix is the file's value, to the bit.
TEST(WeightStore, KeepsEveryValueInF32) {
  std::mt19937 random(1);
  for (const DType dtype : kGgufTypes) {
    const std::vector<std::byte> bytes = RandomBlocks(dtype, 6 * 512, random);
    WeightStore store(mx::float32);
    const weights::TensorView views[] = {ViewOf(dtype, bytes, 6, 512)};
    const auto index = store.AddMatrix(views);
    ASSERT_TRUE(index.ok()) << index.status().ToString();
    std::vector<float> expected;
    AppendFloats(dtype, bytes, expected);
    const mx::array ids = mx::arange(6);
    EXPECT_EQ(Values(TakeRows(store.Get(*index), ids)), expected) << Info(dtype).name;
    EXPECT_EQ(store.Get(*index).source_bytes, bytes.size());
    // The product agrees with the sum over those values.
    const mx::array x = mx::ones({1, 512});
    const std::vector<float> product = Values(Multiply(x, store.Get(*index)));
    for (size_t row = 0; row < 6; ++row) {
      double sum = 0, magnitude = 0;
      for (size_t i = 0; i < 512; ++i) {
        sum += double{expected[row * 512 + i]};
        magnitude += std::abs(double{expected[row * 512 + i]});
      }
      // A quantised product sums codes times scale and biases apart, so terms up to a few hundred steps cancel.
      EXPECT_NEAR(product[row], sum, 512 * 0x1p-23 * (magnitude + 512 * 256)) << Info(dtype).name;
    }
  }
}

TEST(WeightStore, AffineTensorsStayAsTheyAre) {
  const mx::array matrix = mx::reshape(mx::divide(mx::arange(4 * 128), mx::array(100.0F)), {4, 128});
  for (const auto& [bits, dtype] :
       {std::pair(4, DType::kAffine4), std::pair(6, DType::kAffine6), std::pair(8, DType::kAffine8)}) {
    for (const int group : {32, 64, 128}) {
      std::vector<mx::array> parts = mx::quantize(matrix, group, bits);
      for (mx::array& part : parts) part = mx::contiguous(part);
      mx::eval(parts);
      const auto bytes = [&](int i) {
        return std::span(reinterpret_cast<const std::byte*>(parts[i].data<uint8_t>()), parts[i].nbytes());
      };
      weights::TensorView view = ViewOf(dtype, bytes(0), 4, 128);
      view.affine = {.group = static_cast<uint32_t>(group), .dtype = DType::kF32, .scales = bytes(1), .biases = bytes(2)};
      WeightStore store(mx::float32);
      const auto index = store.AddMatrix(std::span(&view, 1));
      ASSERT_TRUE(index.ok()) << index.status().ToString();
      EXPECT_EQ(Values(TakeRows(store.Get(*index), mx::arange(4))),
                Values(mx::dequantize(parts[0], parts[1], parts[2], group, bits)));
      view.affine.group = 48;
      EXPECT_EQ(store.AddMatrix(std::span(&view, 1)).status().code(), Code::kUnsupported);
    }
  }
}

TEST(WeightStore, StacksNeighboursAndKeepsOthersApart) {
  std::mt19937 random(2);
  const auto a = RandomBlocks(DType::kQ4_1, 3 * 64, random), b = RandomBlocks(DType::kQ4_0, 2 * 64, random),
             c = RandomBlocks(DType::kQ8_0, 4 * 64, random);
  const weights::TensorView views[] = {ViewOf(DType::kQ4_1, a, 3, 64), ViewOf(DType::kQ4_0, b, 2, 64),
                                       ViewOf(DType::kQ8_0, c, 4, 64)};
  WeightStore store(mx::float32);
  const auto index = store.AddMatrix(views);
  ASSERT_TRUE(index.ok());
  const StoredWeight& weight = store.Get(*index);
  ASSERT_EQ(weight.parts.size(), 2U);
  EXPECT_EQ(weight.parts[0].rows, 5);
  EXPECT_EQ(weight.rows, 9);
  const mx::array y = Multiply(mx::ones({2, 64}), weight);
  EXPECT_EQ(y.shape(), mx::Shape({2, 9}));
  EXPECT_NE(store.Describe().find("Q8_0 converted to affine 8-bit without loss"), std::string::npos) << store.Describe();
}

TEST(WeightStore, ManyTurnsOfFormsBecomeFloats) {
  std::mt19937 random(3);
  std::vector<std::vector<std::byte>> bytes;
  std::vector<weights::TensorView> views;
  std::vector<float> expected;
  for (int i = 0; i < 8; ++i) {
    const DType dtype = i % 2 == 0 ? DType::kQ4_1 : DType::kQ8_0;
    bytes.push_back(RandomBlocks(dtype, 2 * 32, random));
    AppendFloats(dtype, bytes.back(), expected);
  }
  for (size_t i = 0; i < 8; ++i) views.push_back(ViewOf(i % 2 == 0 ? DType::kQ4_1 : DType::kQ8_0, bytes[i], 2, 32));
  WeightStore store(mx::float32);
  const auto index = store.AddMatrix(views);
  ASSERT_TRUE(index.ok());
  ASSERT_EQ(store.Get(*index).parts.size(), 1U);
  EXPECT_EQ(Values(TakeRows(store.Get(*index), mx::arange(16))), expected);
}

// Experts by gathered products are what each expert's product says, weighted.
TEST(LayerMath, ExpertsAreWeightedSumsOfTheChosen) {
  std::mt19937 random(4);
  const int count = 4, hidden = 32, ffn = 64;
  const model::ExpertsConfig config{.count = 4, .used = 2, .ffn = 64, .renormalise = true};
  for (const DType dtype : {DType::kQ4_1, DType::kF16}) {
    const auto up_bytes = RandomBlocks(dtype, size_t{count} * 2 * ffn * hidden, random);
    const auto down_bytes = RandomBlocks(dtype, size_t{count} * hidden * ffn, random);
    WeightStore store(mx::float32);
    const weights::TensorView up_views[] = {ViewOf(dtype, up_bytes, count * 2 * ffn, hidden)};
    const weights::TensorView down_views[] = {ViewOf(dtype, down_bytes, count * hidden, ffn)};
    const StoredWeight up = store.Get(*store.AddMatrix(up_views)), down = store.Get(*store.AddMatrix(down_views));
    const mx::array x = mx::multiply(mx::reshape(mx::sin(mx::arange(3.0 * hidden)), {3, hidden}), mx::array(0.1F));
    const mx::array logits = mx::array({0.0F, 1.0F, 1.0F, -1.0F, 2.0F, 0.5F, 0.0F, 0.25F, 1.0F, 1.0F, 1.0F, 1.0F}, {3, 4});
    const std::vector<float> found = Values(MixExperts(x, logits, {up, down}, config, model::Activation::kSilu));
    const int chosen[3][2] = {{1, 2}, {0, 1}, {0, 1}};  // ties go to the lowest
    for (int token = 0; token < 3; ++token) {
      const mx::array row = mx::slice(x, {token, 0}, {token + 1, hidden});
      std::vector<double> expected(hidden, 0);
      double total = 0;
      const std::vector<float> all = Values(logits);
      for (const int expert : chosen[token]) total += std::exp(double{all[static_cast<size_t>(token * 4 + expert)]});
      for (const int expert : chosen[token]) {
        const auto rows = [expert](int each) { return mx::arange(expert * each, (expert + 1) * each); };
        const mx::array inner = Gated(model::Activation::kSilu, mx::matmul(row, mx::transpose(TakeRows(up, rows(2 * ffn)))));
        const std::vector<float> outer = Values(mx::matmul(inner, mx::transpose(TakeRows(down, rows(hidden)))));
        const double share = std::exp(double{all[static_cast<size_t>(token * 4 + expert)]}) / total;
        for (size_t i = 0; i < outer.size(); ++i) expected[i] += share * double{outer[i]};
      }
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_NEAR(found[static_cast<size_t>(token) * hidden + i], expected[i], 1e-3 * (1 + std::abs(expected[i])));
      }
    }
  }
}

// One query at a time over exactly what it may see, in double.
std::vector<double> PlainAttention(const std::vector<float>& q, const std::vector<float>& k, const std::vector<float>& v,
                                   int heads, int kv_heads, int dim, int positions, int first_key, int tokens,
                                   const AttentionSpan& span) {
  std::vector<double> out;
  for (int t = 0; t < tokens; ++t) {
    for (int h = 0; h < heads; ++h) {
      const int kv = h / (heads / kv_heads), own = static_cast<int>(span.first_position) + t;
      std::vector<double> weights;
      double total = 0;
      const int first = span.window == 0 ? 0 : std::max(0, own - static_cast<int>(span.window) + 1);
      for (int p = first; p <= own; ++p) {
        double score = 0;
        for (int d = 0; d < dim; ++d) {
          score += double{q[static_cast<size_t>((t * heads + h) * dim + d)]} *
                   double{k[static_cast<size_t>((kv * positions + p - first_key) * dim + d)]};
        }
        score *= double{span.scale};
        if (span.softcap != 0) score = double{span.softcap} * std::tanh(score / double{span.softcap});
        weights.push_back(std::exp(score));
        total += weights.back();
      }
      for (int d = 0; d < dim; ++d) {
        double sum = 0;
        for (int p = first; p <= own; ++p) {
          sum += weights[static_cast<size_t>(p - first)] / total *
                 double{v[static_cast<size_t>((kv * positions + p - first_key) * dim + d)]};
        }
        out.push_back(sum);
      }
    }
  }
  return out;
}

TEST(Attention, WindowsAndCapsSeeWhatTheyShould) {
  const int heads = 4, kv_heads = 2, dim = 8;
  for (const uint32_t window : {0U, 1U, 5U, 100U}) {
    for (const float softcap : {0.0F, 2.0F}) {
      for (const int tokens : {1, 7}) {
        for (const uint32_t first_position : {0U, 11U}) {
          AttentionSpan span{.first_position = first_position, .window = window, .scale = 0.7F, .softcap = softcap};
          span.first_key = FirstVisible(first_position, window);
          const int positions = static_cast<int>(first_position) + tokens - static_cast<int>(span.first_key);
          const auto wave = [](mx::Shape shape, double step) {
            const int size = shape[0] * shape[1] * shape[2];
            return mx::reshape(mx::sin(mx::multiply(mx::arange(static_cast<double>(size)), mx::array(static_cast<float>(step)))),
                               shape);
          };
          const mx::array q = wave({tokens, heads, dim}, 0.9), k = wave({kv_heads, positions, dim}, 1.3),
                          v = wave({kv_heads, positions, dim}, 0.4);
          const std::vector<float> found = Values(AttendSpan(q, k, v, span));
          const std::vector<double> expected = PlainAttention(Values(q), Values(k), Values(v), heads, kv_heads, dim, positions,
                                                              static_cast<int>(span.first_key), tokens, span);
          ASSERT_EQ(found.size(), expected.size());
          for (size_t i = 0; i < found.size(); ++i) {
            ASSERT_NEAR(found[i], expected[i], 1e-5) << "window " << window << " cap " << softcap << " tokens " << tokens;
          }
        }
      }
    }
  }
}

TEST(KvSlabs, RefusesWhatIsOutOfRange) {
  model::ModelConfig config;
  config.layers.resize(1);
  config.layers[0].kv_heads = 1;
  config.layers[0].head_dim = 4;
  KvSlabs slabs(config, {.blocks = 6, .slots = 2, .context = 3 * kBlockTokens}, mx::float32);
  const auto change = [&](uint32_t slot, uint32_t index, uint32_t block) {
    const model::BlockChange one{slot, index, block};
    return slabs.ApplyChanges(std::span(&one, 1)).ok();
  };
  EXPECT_FALSE(change(2, 0, 0));
  EXPECT_FALSE(change(0, 3, 0));
  EXPECT_FALSE(change(0, 0, 6));
  EXPECT_FALSE(change(0, 1, 0)) << "the first block is missing";
  EXPECT_FALSE(slabs.CheckSlot(0, 1).ok());
  EXPECT_TRUE(change(0, 0, 5));
  EXPECT_TRUE(change(0, 1, 2));
  EXPECT_TRUE(slabs.CheckSlot(0, 2 * kBlockTokens).ok());
  EXPECT_FALSE(slabs.CheckSlot(0, 2 * kBlockTokens + 1).ok());
  EXPECT_FALSE(slabs.CheckSlot(2, 1).ok());
  const model::KvCopy copy{.source = 5, .destination = 1, .tokens = 1};
  EXPECT_FALSE(slabs.CheckCopies(std::span(&copy, 1)).ok()) << "nothing is stored, and block 1 belongs to nobody";
  // A block that moves to another slot ends the sequence that had it.
  EXPECT_TRUE(change(1, 0, 2));
  EXPECT_FALSE(slabs.CheckSlot(0, 1).ok());
}

// However often slots and blocks are used anew, a sequence holds no more than its own blocks.
TEST(KvSlabs, ASequenceKeepsNothingOfTheOneBefore) {
  model::ModelConfig config;
  config.layers.resize(1);
  config.layers[0].kv_heads = 1;
  config.layers[0].head_dim = 4;
  KvSlabs slabs(config, {.blocks = 4, .slots = 1, .context = 4 * kBlockTokens}, mx::float32);
  const model::BlockChange all[] = {{0, 0, 0}, {0, 1, 1}, {0, 2, 2}, {0, 3, 3}};
  ASSERT_TRUE(slabs.ApplyChanges(all).ok());
  slabs.Grow(0, 4 * kBlockTokens);
  ASSERT_TRUE(slabs.ApplyChanges(std::span(all).first(1)).ok());
  EXPECT_TRUE(slabs.CheckSlot(0, kBlockTokens).ok());
  EXPECT_FALSE(slabs.CheckSlot(0, kBlockTokens + 1).ok());
  const model::KvCopy copy{.source = 0, .destination = 0, .tokens = 1};
  EXPECT_FALSE(slabs.CheckCopies(std::span(&copy, 1)).ok()) << "the new slab holds nothing yet";
}

TEST(Sampling, NothingToChooseFrom) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const mx::array logits = mx::array({nan, nan, nan, 1.0F, inf, 0.0F, nan, 2.0F, 1.0F, 3.0F, -inf, 3.0F}, {4, 3});
  for (const float temperature : {0.0F, 0.5F}) {
    std::vector<model::DeviceSampling> sampling(4);
    for (auto& one : sampling) one = {.temperature = temperature, .top_k = 1};
    mx::array ids = SampleRows(logits, sampling);
    mx::eval(ids);
    EXPECT_EQ(std::vector<int32_t>(ids.data<int32_t>(), ids.data<int32_t>() + 4),
              (std::vector<int32_t>{kNoToken, kNoToken, 1, 0}));
  }
}

TEST(Sampling, TheColdestDrawIsTheLikeliest) {
  const mx::array logits = mx::array({0.0F, 3.0F, 1.0F}, {1, 3});
  const std::vector<model::DeviceSampling> sampling = {{.temperature = 1e-39F}};
  mx::array ids = SampleRows(logits, sampling);
  mx::eval(ids);
  EXPECT_EQ(ids.data<int32_t>()[0], 1);
}

// Frequencies of many draws against the distribution that the chain leaves; five standard deviations.
TEST(Sampling, DrawsFollowTheDistribution) {
  const std::vector<float> row = {1.0F, 2.0F, -1.0F, 2.5F, 0.5F, -20.0F};
  const int draws = 4000;
  const mx::array logits = mx::broadcast_to(mx::array(row.data(), {1, 6}), {draws, 6});
  std::vector<model::DeviceSampling> sampling(draws);
  for (int i = 0; i < draws; ++i) {
    sampling[static_cast<size_t>(i)] = {.temperature = 0.8F, .top_k = 4, .seed = 9, .position = static_cast<uint64_t>(i)};
  }
  mx::array ids = SampleRows(logits, sampling);
  mx::eval(ids);
  std::vector<int> counts(6, 0);
  for (int i = 0; i < draws; ++i) ++counts[static_cast<size_t>(ids.data<int32_t>()[i])];
  double total = 0;
  for (const size_t id : {3U, 1U, 0U, 4U}) total += std::exp(double{row[id]} / 0.8);
  for (const size_t id : {3U, 1U, 0U, 4U}) {
    const double p = std::exp(double{row[id]} / 0.8) / total;
    EXPECT_NEAR(counts[id], draws * p, 5 * std::sqrt(draws * p * (1 - p))) << id;
  }
  EXPECT_EQ(counts[2] + counts[5], 0);
}

TEST(Boundary, TurnsExceptionsIntoStatuses) {
  EXPECT_TRUE(Guard([] {}).ok());
  EXPECT_EQ(Guard([] { throw std::runtime_error("x"); }).message(), "MLX: x");
  EXPECT_EQ(Guard([]() -> Status { throw std::runtime_error("[malloc] Unable to allocate"); }).code(), Code::kResourceExhausted);
  EXPECT_EQ(Guard([]() -> Result<int> { throw 3; }).status().code(), Code::kInternal);
  EXPECT_EQ(*Guard([]() -> Result<int> { return 5; }), 5);
}

TEST(Device, ComputesHere) {
  const auto device = ProbeDevice();
  ASSERT_TRUE(device.ok()) << device.status().ToString();
  EXPECT_FALSE(device->name.empty());
}

}  // namespace
}  // namespace millrace::backend_mlx
