#include <gtest/gtest.h>

#include <cmath>

#include "kernels/kernel_test_data.h"
#include "kernels/thread_pool.h"

namespace millrace::kernels {
namespace {

const KernelTable& kScalar = TableFor(Isa::kScalar);
constexpr DType kTypes[] = {DType::kF32, DType::kQ4_1, DType::kQ8_0};

struct Problem {
  OwnedMatrix w;
  std::vector<float> x;  // [m, cols]
  uint32_t m;
};

Problem MakeProblem(DType dtype, uint32_t seed) {
  TestData data(seed);
  const uint32_t rows = 1 + data.Below(70);
  const uint32_t cols = dtype == DType::kF32 ? 1 + data.Below(200) : 32 * (1 + data.Below(24));
  const bool extreme = seed % 5 == 4;
  const uint32_t m = 1 + data.Below(9);
  OwnedMatrix w = Pack(dtype, rows, cols, data.Blocks(dtype, rows, cols, extreme));
  return {std::move(w), seed % 7 == 6 ? data.Extremes(size_t{m} * cols) : data.Values(size_t{m} * cols), m};
}

void Multiply(const KernelTable& kernels, const PackedMatrix& w, IndexRange strips, const std::vector<float>& x,
              const OutputRows& y) {
  const auto rows = static_cast<uint32_t>(x.size() / w.cols);
  if (w.dtype == DType::kF32) {
    kernels.matmul_f32(w, strips, x.data(), rows, y);
    return;
  }
  const OwnedQuant quant = Quantize(kernels, x, w.cols);
  (w.dtype == DType::kQ4_1 ? kernels.matmul_q4_1 : kernels.matmul_q8_0)(w, strips, quant.rows, rows, y);
}

std::vector<float> Product(const KernelTable& kernels, const Problem& problem) {
  const PackedMatrix& w = problem.w.matrix;
  std::vector<float> y(size_t{problem.m} * w.rows, -99.0F);
  Multiply(kernels, w, {0, Strips(w.rows)}, problem.x, {.data = y.data(), .stride = w.rows});
  return y;
}

TEST(Matmul, EveryTableGivesTheDefinitionsBits) {
  for (const DType dtype : kTypes) {
    for (uint32_t seed = 0; seed < 120; ++seed) {
      const Problem problem = MakeProblem(dtype, seed);
      const std::vector<float> expected = Product(kScalar, problem);
      for (const Isa isa : AvailableIsas()) {
        ASSERT_TRUE(SameBits(expected, Product(TableFor(isa), problem)))
            << Info(dtype).name << " " << IsaName(isa) << " seed " << seed;
      }
    }
  }
}

TEST(Matmul, ARowHasTheSameBitsAloneAndInAnyBatch) {
  for (const DType dtype : kTypes) {
    for (const Isa isa : AvailableIsas()) {
      for (uint32_t seed = 0; seed < 20; ++seed) {
        const Problem problem = MakeProblem(dtype, seed);
        const std::vector<float> all = Product(TableFor(isa), problem);
        const size_t rows = problem.w.matrix.rows, cols = problem.w.matrix.cols;
        for (size_t m = 0; m < problem.m; ++m) {
          const std::vector<float> x(problem.x.begin() + static_cast<ptrdiff_t>(m * cols),
                                     problem.x.begin() + static_cast<ptrdiff_t>((m + 1) * cols));
          std::vector<float> y(rows);
          Multiply(TableFor(isa), problem.w.matrix, {0, Strips(problem.w.matrix.rows)}, x, {.data = y.data(), .stride = rows});
          const std::vector<float> expected(all.begin() + static_cast<ptrdiff_t>(m * rows),
                                            all.begin() + static_cast<ptrdiff_t>((m + 1) * rows));
          ASSERT_TRUE(SameBits(expected, y)) << Info(dtype).name << " " << IsaName(isa) << " seed " << seed << " row " << m;
        }
      }
    }
  }
}

TEST(Matmul, TheNumberOfThreadsDoesNotShow) {
  for (const DType dtype : kTypes) {
    const Problem problem = MakeProblem(dtype, 3);
    const std::vector<float> expected = Product(TableFor(BestIsa()), problem);
    const PackedMatrix& w = problem.w.matrix;
    for (uint32_t threads = 1; threads <= 4; ++threads) {
      ThreadPool pool(threads);
      std::vector<float> y(expected.size());
      pool.Run("matmul", {.items = Strips(w.rows), .grain = 2}, [&](SectionContext& context) {
        do {
          Multiply(TableFor(BestIsa()), w, context.range(), problem.x, {.data = y.data(), .stride = w.rows});
        } while (context.Next());
      });
      ASSERT_TRUE(SameBits(expected, y)) << Info(dtype).name << " " << threads;
    }
  }
}

TEST(Matmul, AddsToTheOutputAndTouchesNothingElse) {
  for (const DType dtype : kTypes) {
    for (const Isa isa : AvailableIsas()) {
      const Problem problem = MakeProblem(dtype, 8);
      const PackedMatrix& w = problem.w.matrix;
      const std::vector<float> product = Product(TableFor(isa), problem);
      const size_t stride = w.rows + 5;
      std::vector<float> y(problem.m * stride, 3.0F);
      Multiply(TableFor(isa), w, {0, Strips(w.rows)}, problem.x, {.data = y.data(), .stride = stride, .add = true});
      for (size_t m = 0; m < problem.m; ++m) {
        for (size_t row = 0; row < stride; ++row) {
          ASSERT_EQ(y[m * stride + row], row < w.rows ? 3.0F + product[m * w.rows + row] : 3.0F);
        }
      }
    }
  }
}

// Against double precision. Each activation is off by at most half a step (and the rounding of its code); the float sums add
// about one unit in the last place of the sum of magnitudes per group.
TEST(Matmul, ErrorStaysWithinTheQuantisationStep) {
  for (const DType dtype : kTypes) {
    for (uint32_t seed = 0; seed < 20; ++seed) {
      if (seed % 5 == 4 || seed % 7 == 6) continue;  // extremes
      const Problem problem = MakeProblem(dtype, seed);
      const PackedMatrix& w = problem.w.matrix;
      const std::vector<float> y = Product(kScalar, problem);
      std::vector<float> weights(w.cols);
      for (uint32_t row = 0; row < w.rows; ++row) {
        DequantizePackedRow(w, row, weights.data());
        for (uint32_t m = 0; m < problem.m; ++m) {
          const float* x = problem.x.data() + size_t{m} * w.cols;
          double expected = 0, magnitudes = 0, bound = 0;
          for (uint32_t i = 0; i < w.cols; ++i) {
            expected += static_cast<double>(weights[i]) * x[i];
            magnitudes += std::fabs(static_cast<double>(weights[i]) * x[i]);
            if (dtype == DType::kF32) continue;
            float amax = 0;
            for (uint32_t k = i / 32 * 32; k < i / 32 * 32 + 32; ++k) amax = std::max(amax, std::fabs(x[k]));
            bound += std::fabs(static_cast<double>(weights[i])) * amax / 127 * 0.5001;
          }
          // Code part and minimum part are each up to 16 times their sum.
          bound += (magnitudes * 16 + bound) * (w.cols / 16 + 8) * 6e-8;
          ASSERT_NEAR(y[size_t{m} * w.rows + row], expected, bound) << Info(dtype).name << " seed " << seed;
        }
      }
    }
  }
}

}  // namespace
}  // namespace millrace::kernels
