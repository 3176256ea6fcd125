// The CPU backend under the suite that all backends pass: with 8-bit activations and f16 cache, and in the float reference mode.
#include "model/testing/conformance.h"

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "backend/cpu/cpu_backend.h"

namespace millrace::model::testing {
namespace {

template <bool kReference>
struct CpuTraits {
  using Backend = backend_cpu::CpuBackend;

  static std::unique_ptr<Backend> Make(const ModelConfig& config) {
    return Backend::Create(config, {.threads = 2, .reference = kReference, .slots = 2, .context = 640, .max_batch_tokens = 64})
        .value();
  }

  static std::vector<DType> MatrixTypes() { return {DType::kF32, DType::kQ4_1, DType::kQ8_0}; }

  // An Act is only a view.
  static Backend::Act Write(Backend&, const std::vector<float>& rows, uint32_t width) {
    static std::deque<std::vector<float>> kept;
    if (kept.size() > 8) kept.pop_front();
    kept.push_back(rows);
    return {.data = kept.back().data(), .width = width, .stride = width};
  }

  static std::vector<float> Read(Backend&, const Backend::Act& act, size_t rows) {
    std::vector<float> values(rows * act.width);
    for (size_t row = 0; row < rows; ++row) {
      std::memcpy(values.data() + row * act.width, act.data + row * act.stride, act.width * sizeof(float));
    }
    return values;
  }

  // Sums of up to 512 products in 16 lanes: some 30 roundings of 2^-24, which add in quadrature; as much again for what an op does
  // besides.
  static constexpr double kFloatError = 1e-6;
  // Activations are rounded to 8 bits per group of 32: half a step of amax / 127 where amax <= sqrt(32) rms, uniformly distributed.
  static constexpr double kQuantisedError = kReference ? kFloatError : 0.0129;
  // Keys and values in binary16, 2^-12 of an element on the average; scores of some units carry it into the weights.
  static constexpr double kAttentionError = kReference ? 3e-6 : 1e-3;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Fast, Conformance, CpuTraits<false>);
INSTANTIATE_TYPED_TEST_SUITE_P(Reference, Conformance, CpuTraits<true>);

}  // namespace
}  // namespace millrace::model::testing
