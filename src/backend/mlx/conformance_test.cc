// The MLX backend under the suite that all backends pass: with products in f32 and in f16.
#include "model/testing/conformance.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "backend/mlx/mlx_backend.h"

namespace millrace::model::testing {
namespace {

using backend_mlx::Compute;

template <Compute kCompute, bool kReference>
struct MlxTraits {
  using Backend = backend_mlx::MlxBackend;

  static std::unique_ptr<Backend> Make(const ModelConfig& config) {
    return Backend::Create(config,
                           {.compute = kCompute, .reference = kReference, .slots = 2, .context = 640, .max_batch_tokens = 64})
        .value();
  }

  static std::vector<DType> MatrixTypes() { return {DType::kF32, DType::kBF16, DType::kQ4_1, DType::kQ8_0}; }

  static Backend::Act Write(Backend& backend, const std::vector<float>& rows, uint32_t width) {
    return backend.Write(rows, width);
  }

  static std::vector<float> Read(Backend& backend, const Backend::Act& act, size_t) { return backend.Read(act).value(); }

  // Sums of up to 512 products in f32, in an order that MLX chooses: in a row that is sqrt(512) roundings of 2^-24, in quadrature. In halves
  // the inputs, the weights, the sums of a group and the result are rounded to 2^-11 of themselves, a few times over.
  static constexpr double kRounding = 0x1p-11;
  static constexpr double kFloatError = kCompute == Compute::kF32 ? 3e-6 : 4 * kRounding;
  // Codes are summed apart from their bias: a bias of 16 steps is rounded with as many steps.
  static constexpr double kQuantisedError = kCompute == Compute::kF32 ? 2e-5 : 16 * kRounding;
  // Keys and values in halves, and in halves also queries, scores and weights.
  static constexpr double kAttentionError = kReference ? 1e-5 : kCompute == Compute::kF32 ? 1e-3 : 8 * kRounding;
};

using Reference = MlxTraits<Compute::kF32, true>;
using Single = MlxTraits<Compute::kF32, false>;
using Half = MlxTraits<Compute::kF16, false>;
INSTANTIATE_TYPED_TEST_SUITE_P(MlxReference, Conformance, Reference);
INSTANTIATE_TYPED_TEST_SUITE_P(MlxF32, Conformance, Single);
INSTANTIATE_TYPED_TEST_SUITE_P(MlxF16, Conformance, Half);

}  // namespace
}  // namespace millrace::model::testing
