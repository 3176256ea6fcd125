// MlpIn and Experts of conformance.h.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "model/testing/conformance_fixture.h"
#include "model/testing/plain_forward.h"

namespace millrace::model::testing {

TYPED_TEST_P(Conformance, MlpIn) {
  struct Case {
    std::optional<NormKind> norm;
    bool gated;
    bool bias;
    Activation activation;
  };
  constexpr Case kCases[] = {{NormKind::kRms, true, false, Activation::kSilu},
                             {NormKind::kRms, true, false, Activation::kGeluTanh},
                             {std::nullopt, true, false, Activation::kSilu},
                             {NormKind::kLayer, false, true, Activation::kGeluTanh},
                             {NormKind::kRms, false, false, Activation::kSilu}};
  for (const Case& one : kCases) {
    this->ForShapesAndTypes([&](const OpShape& shape, DType dtype) {
      this->Make(this->ConfigOf(shape));
      const uint32_t parts = one.gated ? 2 : 1;
      const auto w = this->Matrices(dtype, parts * shape.ffn, shape.hidden, parts);
      MlpInOp<typename TypeParam::Backend::Weight> op{
          .norm = std::nullopt, .gated = one.gated, .gate_up = w.weight, .bias = std::nullopt, .activation = one.activation};
      PlainNorm plain_norm;
      if (one.norm) {
        const auto norm = this->Norm(shape.hidden, *one.norm);
        op.norm = norm.op;
        plain_norm = norm.plain;
      }
      Vector bias;
      if (one.bias) {
        const auto loaded = this->Vectors(shape.ffn, 0);
        op.bias = loaded.weight;
        bias = loaded.values;
      }
      const std::vector<float> x = this->RandomRows(kOpRows, shape.hidden);
      std::vector<Vector> expected;
      for (const Vector& row : this->RowsOf(x, shape.hidden)) {
        Vector y = Times(w.matrix, Normalise(plain_norm, row));
        AddTo(y, bias);
        Vector h(shape.ffn);
        for (uint32_t i = 0; i < shape.ffn; ++i) {
          h[i] = Activate(one.activation, y[i]) * (one.gated ? y[shape.ffn + i] : 1.0);
        }
        expected.push_back(h);
      }
      this->InStep(0, kOpTokens, [&] {
        auto& backend = *this->backend_;
        const auto h = backend.MlpIn(TypeParam::Write(backend, x, shape.hidden), op);
        // The slope of an activation is at most 1.13, and small where its value is, up to twice the share of the error.
        EXPECT_LT(RelativeError(expected, TypeParam::Read(backend, h, kOpRows)), 2 * this->ErrorOf(dtype, parts));
      });
    });
  }
}

TYPED_TEST_P(Conformance, Experts) {
  struct Case {
    ExpertsConfig experts;
    bool norm;
    bool post_norm;
    float scale;
    Activation activation;
    float router = 1;  // 0: all experts are even, and the first ones are chosen
  };
  const Case cases[] = {{{.count = 6, .used = 2, .ffn = 64, .renormalise = false}, true, false, 1, Activation::kSilu},
                        {{.count = 8, .used = 3, .ffn = 32, .renormalise = true}, true, false, 0.5F, Activation::kSilu},
                        {{.count = 5, .used = 1, .ffn = 96, .renormalise = false}, true, true, 0.7F, Activation::kGeluTanh},
                        {{.count = 3, .used = 3, .ffn = 32, .renormalise = true}, false, false, 1, Activation::kSilu},
                        {{.count = 7, .used = 2, .ffn = 32, .renormalise = true}, true, false, 1, Activation::kSilu, 0}};
  for (const Case& one : cases) {
    this->ForShapesAndTypes([&](const OpShape& shape, DType dtype) {
      ModelConfig config = this->ConfigOf(shape);
      config.layers[0].mlp = MlpKind::kExperts;
      config.layers[0].ffn = 0;
      config.layers[0].experts = one.experts;
      this->Make(config);
      const uint32_t count = one.experts.count;
      const uint32_t ffn = one.experts.ffn;
      const auto router = this->Matrices(DType::kF32, count, shape.hidden, 1, one.router);  // exact: a choice is no small error
      const auto gate_up = this->Matrices(dtype, 2 * count * ffn, shape.hidden, 2 * count);
      const auto down = this->Matrices(dtype, count * shape.hidden, ffn, count);
      ExpertsOp<typename TypeParam::Backend::Weight> op{.norm = std::nullopt,
                                                        .router = router.weight,
                                                        .gate_up = gate_up.weight,
                                                        .down = down.weight,
                                                        .experts = one.experts,
                                                        .activation = one.activation,
                                                        .post_norm = std::nullopt,
                                                        .scale = one.scale};
      PlainNorm norm, post_norm;
      if (one.norm) {
        const auto loaded = this->Norm(shape.hidden);
        op.norm = loaded.op;
        norm = loaded.plain;
      }
      if (one.post_norm) {
        const auto loaded = this->Norm(shape.hidden);
        op.post_norm = loaded.op;
        post_norm = loaded.plain;
      }
      std::vector<PlainExpert> experts;
      const auto rows_of = [](const Matrix& all, size_t begin, size_t rows) {
        return Matrix{rows, all.cols, Vector(all.Row(begin), all.Row(begin) + rows * all.cols)};
      };
      for (uint32_t i = 0; i < count; ++i) {
        experts.push_back({rows_of(gate_up.matrix, size_t{2} * i * ffn, ffn),
                           rows_of(gate_up.matrix, (size_t{2} * i + 1) * ffn, ffn),
                           rows_of(down.matrix, size_t{i} * shape.hidden, shape.hidden)});
      }
      const std::vector<float> x = this->RandomRows(kOpRows, shape.hidden);
      std::vector<Vector> expected;  // what is added to x
      for (const Vector& row : this->RowsOf(x, shape.hidden)) {
        const Vector y = SumOfExperts(one.experts, one.activation, router.matrix, experts, Normalise(norm, row));
        expected.emplace_back(shape.hidden);
        AddTo(expected.back(), Normalise(post_norm, y), one.scale);
      }
      this->InStep(0, kOpTokens, [&] {
        auto& backend = *this->backend_;
        std::vector<float> found =
            TypeParam::Read(backend, backend.Experts(TypeParam::Write(backend, x, shape.hidden), op), kOpRows);
        for (size_t i = 0; i < found.size(); ++i) found[i] -= x[i];
        // Gate, up and down; twice for the activation (see MlpIn). What was added to x and is taken from it again is rounded as x is.
        EXPECT_LT(RelativeError(expected, found), 2 * this->ErrorOf(dtype, 3) + 10 * TypeParam::kFloatError);
      });
    });
  }
}

}  // namespace millrace::model::testing
