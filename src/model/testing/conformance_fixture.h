// What the tests of conformance.h share: random weights with their meaning, and steps around single ops.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "model/backend.h"
#include "model/config.h"
#include "model/testing/feature_models.h"
#include "model/testing/plain_ops.h"
#include "model/testing/random_tensor.h"
#include "model/testing/walker.h"

namespace millrace::model::testing {

struct OpShape {
  uint32_t hidden = 64;
  uint32_t heads = 4;
  uint32_t kv_heads = 2;
  uint32_t head_dim = 16;
  uint32_t ffn = 96;
};

// 32 divides every width, for the sake of the block types. Odd multiples, one head, many heads, wide heads.
inline constexpr OpShape kOpShapes[] = {{},
                                        {.hidden = 96, .heads = 12, .kv_heads = 4, .head_dim = 8, .ffn = 32},
                                        {.hidden = 160, .heads = 2, .kv_heads = 1, .head_dim = 64, .ffn = 224},
                                        {.hidden = 256, .heads = 3, .kv_heads = 3, .head_dim = 96, .ffn = 512}};

template <typename Traits>
class Conformance : public ::testing::Test {
 protected:
  using Backend = typename Traits::Backend;
  using Weight = typename Backend::Weight;
  using Act = typename Backend::Act;

  // A weight, and what it means.
  struct Loaded {
    Weight weight{};
    Matrix matrix;
  };
  struct LoadedVector {
    Weight weight{};
    Vector values;
  };
  struct LoadedNorm {
    NormOp<Weight> op;
    PlainNorm plain;
  };

  static ModelConfig ConfigOf(const OpShape& shape) {
    ModelConfig config = SmallConfig();
    config.hidden = shape.hidden;
    config.ropes = {SmallRope(shape.head_dim, 10000)};
    config.layers.resize(1);
    LayerConfig& layer = config.layers[0];
    layer.heads = shape.heads;
    layer.kv_heads = shape.kv_heads;
    layer.head_dim = shape.head_dim;
    layer.attention_scale = 1.0F / std::sqrt(static_cast<float>(shape.head_dim));
    layer.ffn = shape.ffn;
    return config;
  }

  void Make(const ModelConfig& config) {
    config_ = config;
    backend_ = Traits::Make(config);
  }

  // `size` 1: rows with a norm near 1.
  Loaded Matrices(DType dtype, uint32_t rows, uint32_t cols, uint32_t parts = 1, float size = 1) {
    std::vector<RandomTensor> tensors;
    std::vector<weights::TensorView> views;
    tensors.reserve(parts);
    Loaded loaded;
    for (uint32_t i = 0; i < parts; ++i) {
      tensors.push_back(RandomTensor({.name = "matrix",
                                      .dtype = dtype,
                                      .rows = rows / parts,
                                      .cols = cols,
                                      .deviation = size / std::sqrt(static_cast<float>(cols))},
                                     random_));
      views.push_back(tensors.back().view());
      const Matrix part = Dequantise(views.back());
      loaded.matrix.rows += part.rows;
      loaded.matrix.cols = cols;
      loaded.matrix.values.insert(loaded.matrix.values.end(), part.values.begin(), part.values.end());
    }
    auto weight = backend_->Load(views);
    EXPECT_TRUE(weight.ok()) << weight.status().ToString();
    if (weight.ok()) loaded.weight = *weight;
    return loaded;
  }

  // `parts` vectors one after the other, stored in different types and with an offset.
  LoadedVector Vectors(uint32_t count, float mean, uint32_t parts = 1) {
    constexpr DType kTypes[] = {DType::kF32, DType::kBF16, DType::kF16};
    std::vector<RandomTensor> tensors;
    std::vector<weights::TensorView> views;
    tensors.reserve(parts);
    LoadedVector loaded;
    for (uint32_t i = 0; i < parts; ++i) {
      const uint32_t size = i + 1 == parts ? count - count / parts * i : count / parts;
      tensors.push_back(RandomTensor({.name = "vector",
                                      .dtype = kTypes[random_() % 3],
                                      .cols = size,
                                      .vector = true,
                                      .mean = mean,
                                      .deviation = 0.3F,
                                      .offset = mean},
                                     random_));
      views.push_back(tensors.back().view());
      const Matrix part = Dequantise(views.back());
      loaded.values.insert(loaded.values.end(), part.values.begin(), part.values.end());
    }
    auto weight = backend_->LoadVector(views);
    EXPECT_TRUE(weight.ok()) << weight.status().ToString();
    if (weight.ok()) loaded.weight = *weight;
    return loaded;
  }

  LoadedNorm Norm(uint32_t width, NormKind kind = NormKind::kRms) {
    const LoadedVector weight = Vectors(width, 1);
    LoadedNorm norm{.op = {.weight = weight.weight, .bias = std::nullopt, .kind = kind, .epsilon = 1e-5F},
                    .plain = {.kind = kind, .weight = weight.values, .bias = {}, .epsilon = 1e-5F}};
    if (kind == NormKind::kLayer) {
      const LoadedVector bias = Vectors(width, 0);
      norm.op.bias = bias.weight;
      norm.plain.bias = bias.values;
    }
    return norm;
  }

  std::vector<float> RandomRows(size_t rows, uint32_t width) {
    std::normal_distribution<float> normal;
    std::vector<float> values(rows * width);
    for (float& value : values) value = normal(random_);
    return values;
  }

  static std::vector<Vector> RowsOf(const std::vector<float>& values, uint32_t width) {
    std::vector<Vector> rows;
    for (size_t at = 0; at < values.size(); at += width) {
      rows.emplace_back(values.begin() + static_cast<std::ptrdiff_t>(at),
                        values.begin() + static_cast<std::ptrdiff_t>(at + width));
    }
    return rows;
  }

  // A step of `count` tokens of slot 0 from `first` on, and two of slot 1. `ops` runs between Begin and End.
  void InStep(uint32_t first, uint32_t count, const std::function<void()>& ops) {
    const RunnerInfo& info = backend_->info();
    std::vector<TokenId> tokens;
    for (uint32_t i = 0; i < count + 2; ++i) tokens.push_back(static_cast<TokenId>((7 * i + first) % config_.vocab));
    tokens_ = tokens;
    const SpanOfTokens spans[] = {{0, first, 0, count}, {1, 0, count, 2}};
    std::vector<BlockChange> changes = {BlockOf(info, 1, 0)};
    if (first == 0) announced_ = 0;  // another sequence
    for (; announced_ <= (first + count - 1) / info.block_tokens; ++announced_) changes.push_back(BlockOf(info, 0, announced_));
    const OutputRow outputs[] = {{count + 1}, {0}};
    const Status begun = backend_->Begin(Batch({.tokens = tokens, .spans = spans, .changes = changes, .outputs = outputs}));
    ASSERT_TRUE(begun.ok()) << begun.ToString();
    ops();
    auto result = backend_->End();
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    logits_.clear();
    for (const OutputResult& output : result->outputs) logits_.insert(logits_.end(), output.logits.begin(), output.logits.end());
  }

  static double ErrorOf(DType dtype, double products) {
    return (IsFloat(dtype) ? Traits::kFloatError : Traits::kQuantisedError) * std::sqrt(products);
  }

  // fn(shape, type of matrices): one fresh backend for each.
  void ForShapesAndTypes(const std::function<void(const OpShape&, DType)>& fn) {
    for (const OpShape& shape : kOpShapes) {
      for (const DType dtype : Traits::MatrixTypes()) {
        SCOPED_TRACE(std::string(Info(dtype).name) + ", hidden " + std::to_string(shape.hidden));
        fn(shape, dtype);
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
  }

  std::mt19937 random_{17};
  ModelConfig config_;
  std::unique_ptr<Backend> backend_;
  uint32_t announced_ = 0;       // blocks of slot 0
  std::vector<TokenId> tokens_;  // of the last step
  std::vector<float> logits_;    // its outputs: of its last row, then of its first
};

inline constexpr uint32_t kOpTokens = 7;  // of slot 0; two more are slot 1's
inline constexpr uint32_t kOpRows = kOpTokens + 2;

TYPED_TEST_SUITE_P(Conformance);

}  // namespace millrace::model::testing
