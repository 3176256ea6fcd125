// Conformance: every op of model/backend.h by itself, for one backend, against the same op in double precision.
//
// A backend instantiates the suite with a traits type (one per mode of the backend):
//
//   struct MyTraits {
//     using Backend = …;
//     static std::unique_ptr<Backend> Make(const ModelConfig& config);   // 2 slots, 640 positions, 64 tokens a step at least
//     static std::vector<DType> MatrixTypes();                           // that Load takes
//     static Backend::Act Write(Backend&, const std::vector<float>& rows, uint32_t width);  // inside a step; dense rows
//     static std::vector<float> Read(Backend&, const Backend::Act&, size_t rows);           // inside a step; dense rows
//     static constexpr double kFloatError;       // relative rms error of a product of floats
//     static constexpr double kQuantisedError;   // the same of a product with quantised weights
//     static constexpr double kAttentionError;   // what storing keys and values costs
//   };
//   INSTANTIATE_TYPED_TEST_SUITE_P(My, Conformance, MyTraits);
//
// Errors are rms over rms of what is right, over all rows of the op: independent roundings add in quadrature, so an op of n products in a
// row may have sqrt(n) times the error of one.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "model/testing/conformance_attention.h"
#include "model/testing/conformance_fixture.h"
#include "model/testing/conformance_mlp.h"
#include "model/testing/plain_forward.h"

namespace millrace::model::testing {

TYPED_TEST_P(Conformance, Embed) {
  this->ForShapesAndTypes([&](const OpShape& shape, DType dtype) {
    this->Make(this->ConfigOf(shape));
    const auto table = this->Matrices(dtype, this->config_.vocab, shape.hidden);
    for (const float scale : {1.0F, 5.5F}) {
      this->InStep(0, kOpTokens, [&] {
        const std::vector<float> found = TypeParam::Read(*this->backend_, this->backend_->Embed(table.weight, scale), kOpRows);
        std::vector<Vector> expected;
        for (const TokenId token : this->tokens_) {
          const double* row = table.matrix.Row(static_cast<size_t>(token));
          expected.emplace_back(row, row + shape.hidden);
          for (double& value : expected.back()) value *= scale;
        }
        EXPECT_LT(RelativeError(expected, found), TypeParam::kFloatError);
      });
    }
  });
}

TYPED_TEST_P(Conformance, OutAdd) {
  this->ForShapesAndTypes([&](const OpShape& shape, DType dtype) {
    for (const bool bias : {false, true}) {
      for (const bool post_norm : {false, true}) {
        for (const float scale : {1.0F, 0.3F}) {
          this->Make(this->ConfigOf(shape));
          const auto w = this->Matrices(dtype, shape.hidden, shape.ffn);
          OutAddOp<typename TypeParam::Backend::Weight> op{
              .weight = w.weight, .bias = std::nullopt, .post_norm = std::nullopt, .scale = scale};
          Vector plain_bias;
          PlainNorm plain_norm;
          if (bias) {
            const auto loaded = this->Vectors(shape.hidden, 0);
            op.bias = loaded.weight;
            plain_bias = loaded.values;
          }
          if (post_norm) {
            const auto norm = this->Norm(shape.hidden);
            op.post_norm = norm.op;
            plain_norm = norm.plain;
          }
          const std::vector<float> input = this->RandomRows(kOpRows, shape.ffn);
          // A small residual, so that it does not hide what is added.
          std::vector<float> residual = this->RandomRows(kOpRows, shape.hidden);
          for (float& value : residual) value *= 0.1F;
          std::vector<Vector> expected = this->RowsOf(residual, shape.hidden);
          const std::vector<Vector> rows = this->RowsOf(input, shape.ffn);
          for (size_t i = 0; i < rows.size(); ++i) {
            Vector y = Times(w.matrix, rows[i]);
            AddTo(y, plain_bias);
            AddTo(expected[i], Normalise(plain_norm, y), op.scale);
          }
          this->InStep(0, kOpTokens, [&] {
            auto& backend = *this->backend_;
            const auto sum = backend.OutAdd(TypeParam::Write(backend, input, shape.ffn), op,
                                            TypeParam::Write(backend, residual, shape.hidden));
            EXPECT_LT(RelativeError(expected, TypeParam::Read(backend, sum, kOpRows)), this->ErrorOf(dtype, 1))
                << "bias " << bias << ", post-norm " << post_norm << ", scale " << scale;
          });
        }
      }
    }
  });
}

TYPED_TEST_P(Conformance, Head) {
  struct Case {
    NormKind norm;
    float scale;
    float softcap;
  };
  for (const Case& one :
       {Case{NormKind::kRms, 1, 0}, {NormKind::kLayer, 0.25F, 0}, {NormKind::kRms, 1, 2}, {NormKind::kRms, 3, 1.5F}}) {
    this->ForShapesAndTypes([&](const OpShape& shape, DType dtype) {
      this->Make(this->ConfigOf(shape));
      const auto w = this->Matrices(dtype, this->config_.vocab, shape.hidden);
      const auto norm = this->Norm(shape.hidden, one.norm);
      const std::vector<float> x = this->RandomRows(kOpRows, shape.hidden);
      this->InStep(0, kOpTokens, [&] {
        this->backend_->Head(TypeParam::Write(*this->backend_, x, shape.hidden),
                             {.norm = norm.op, .weight = w.weight, .scale = one.scale, .softcap = one.softcap});
      });
      const std::vector<Vector> rows = this->RowsOf(x, shape.hidden);
      std::vector<Vector> expected;
      for (const size_t row : {size_t{kOpRows - 1}, size_t{0}}) {
        expected.push_back(Times(w.matrix, Normalise(norm.plain, rows[row])));
        for (double& logit : expected.back()) logit = Softcap(logit * one.scale, one.softcap);
      }
      EXPECT_LT(RelativeError(expected, this->logits_), 2 * this->ErrorOf(dtype, 1));  // two rows only
    });
  }
}

REGISTER_TYPED_TEST_SUITE_P(Conformance, Embed, AttnInAndAttend, OutAdd, MlpIn, Experts, Head);

}  // namespace millrace::model::testing
