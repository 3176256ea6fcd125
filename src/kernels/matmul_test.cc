#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/kernel_test_data.h"
#include "kernels/packed_layout.h"
#include "kernels/thread_pool.h"

namespace millrace::kernels {
namespace {

const KernelTable& kScalar = TableFor(Isa::kScalar);

struct Problem {
  OwnedMatrix w;
  std::vector<float> x;  // [m, cols]
  uint32_t m;
};

// Odd strips, all numbers of rows up to 9, and 33.
Problem MakeProblem(const TestType& type, uint32_t seed) {
  TestData data(seed);
  const uint32_t rows = 1 + data.Below(70);
  const uint32_t cols = type.unit() == 1 ? 1 + data.Below(200) : type.unit() * (1 + data.Below(std::max(2U, 768 / type.unit())));
  const bool extreme = seed % 5 == 4;
  const uint32_t m = seed % 11 == 10 ? 33 : 1 + seed % 9;
  OwnedMatrix w = Pack(data.File(type, rows, cols, extreme));
  return {std::move(w), seed % 7 == 6 ? data.Extremes(size_t{m} * cols) : data.Values(size_t{m} * cols), m};
}

void Multiply(const KernelTable& kernels, const PackedMatrix& w, IndexRange strips, const std::vector<float>& x,
              const OutputRows& y) {
  const auto rows = static_cast<uint32_t>(x.size() / w.cols);
  const OwnedQuant quant = WantsQuantisedRows(w.form) ? Quantize(kernels, x, w.cols) : OwnedQuant();
  kernels.MatmulOf(w.form)(w, strips, {x.data(), quant.rows}, rows, y);
}

std::vector<float> Product(const KernelTable& kernels, const Problem& problem) {
  const PackedMatrix& w = problem.w.matrix;
  std::vector<float> y(size_t{problem.m} * w.rows, -99.0F);
  Multiply(kernels, w, {0, Strips(w.rows)}, problem.x, {.data = y.data(), .stride = w.rows});
  return y;
}

TEST(Matmul, EveryTableGivesTheDefinitionsBits) {
  for (const TestType& type : AllTypes()) {
    for (uint32_t seed = 0; seed < 44; ++seed) {
      const Problem problem = MakeProblem(type, seed);
      const std::vector<float> expected = Product(kScalar, problem);
      for (const Isa isa : AvailableIsas()) {
        ASSERT_TRUE(SameBits(expected, Product(TableFor(isa), problem)))
            << type.Name() << " " << IsaName(isa) << " seed " << seed;
      }
    }
  }
}

TEST(Matmul, ARowHasTheSameBitsAloneAndInAnyBatch) {
  for (const TestType& type : AllTypes()) {
    for (const Isa isa : AvailableIsas()) {
      for (uint32_t seed = 0; seed < 20; ++seed) {
        const Problem problem = MakeProblem(type, seed);
        const std::vector<float> all = Product(TableFor(isa), problem);
        const size_t rows = problem.w.matrix.rows, cols = problem.w.matrix.cols;
        for (size_t m = 0; m < problem.m; ++m) {
          const std::vector<float> x(problem.x.begin() + static_cast<ptrdiff_t>(m * cols),
                                     problem.x.begin() + static_cast<ptrdiff_t>((m + 1) * cols));
          std::vector<float> y(rows);
          Multiply(TableFor(isa), problem.w.matrix, {0, Strips(problem.w.matrix.rows)}, x, {.data = y.data(), .stride = rows});
          const std::vector<float> expected(all.begin() + static_cast<ptrdiff_t>(m * rows),
                                            all.begin() + static_cast<ptrdiff_t>((m + 1) * rows));
          ASSERT_TRUE(SameBits(expected, y)) << type.Name() << " " << IsaName(isa) << " seed " << seed << " row " << m;
        }
      }
    }
  }
}

TEST(Matmul, TheNumberOfThreadsDoesNotShow) {
  for (const TestType& type : AllTypes()) {
    const Problem problem = MakeProblem(type, 3);
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
      ASSERT_TRUE(SameBits(expected, y)) << type.Name() << " " << threads;
    }
  }
}

TEST(Matmul, AddsToTheOutputAndTouchesNothingElse) {
  for (const TestType& type : AllTypes()) {
    for (const Isa isa : AvailableIsas()) {
      const Problem problem = MakeProblem(type, 8);
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

// Against double precision over the dequantised weights w, with the activations x as they were before they became codes c:
//   sum w x - sum w (s c): each |x - s c| is at most half a step of its group, amax / 127 / 2, and the rounding of the code's product with
//   127 / amax, which a factor of 1.0001 covers. That is the sum of |w| * 0.50005 amax / 127.
//   The kernel does not compute w: it adds scale * dot and bias * sum apart. With z = the code that is subtracted in the integers,
//   |scale * q| <= |w| + |bias|, so what is added has magnitudes of at most A = sum (|w| + 2 |b|) |s c|, where b is the bias as the kernel
//   uses it. Each addition, each scale product and each bias rounds once, relative 2^-24, in groups + 3 steps one after the other; and
//   |s c| <= |x| + half a step.
//   The weights themselves carry one rounding, |w| 2^-24, that the kernel does not make.
//   Floats: 16 lanes of cols / 16 additions and the tree, relative to the sum of |w x|.
struct ErrorTerms {
  double expected = 0;
  double bound = 0;
};

ErrorTerms TermsOf(const Problem& problem, uint32_t row, const float* x) {
  constexpr double kRounding = 0x1p-24;
  const PackedMatrix& w = problem.w.matrix;
  const bool quantised = WantsQuantisedRows(w.form);
  std::vector<float> weights(w.cols);
  DequantizeFileRow(problem.w.file.matrix, row, weights.data());
  ErrorTerms terms;
  double magnitudes = 0;
  for (uint32_t group = 0; group < w.cols; group += 32) {
    const uint32_t end = std::min(w.cols, group + 32);
    double amax = 0;
    for (uint32_t i = group; i < end; ++i) amax = std::max(amax, std::fabs(static_cast<double>(x[i])));
    double bias = 0;
    if (quantised) {
      const std::byte* block = w.data + row / 8 * StripBytes(w) + group / w.group * BlockBytes(w.form, w.group);
      const GroupScales scales = ScalesAt(w.form, block, row % 8, group % w.group / 32);
      bias = std::fabs(scales.bias) + (InfoOf(w.form).scales == ScaleKind::kAffine ? kAffine8Zero * std::fabs(scales.scale) : 0);
    }
    for (uint32_t i = group; i < end; ++i) {
      const double weight = weights[i];
      const double step = quantised ? amax / 127 * 0.50005 : 0;
      terms.expected += weight * x[i];
      terms.bound += std::fabs(weight) * step;
      magnitudes += (std::fabs(weight) + 2 * bias) * (std::fabs(static_cast<double>(x[i])) + step);
    }
  }
  terms.bound += magnitudes * kRounding * (quantised ? w.cols / 32 * 2 + 4 : w.cols / 16 + 5);
  return terms;
}

TEST(Matmul, ErrorStaysWithinTheQuantisationStep) {
  for (const TestType& type : AllTypes()) {
    for (uint32_t seed = 0; seed < 20; ++seed) {
      if (seed % 5 == 4 || seed % 7 == 6) continue;  // extremes
      const Problem problem = MakeProblem(type, seed);
      const PackedMatrix& w = problem.w.matrix;
      const std::vector<float> y = Product(kScalar, problem);
      for (uint32_t row = 0; row < w.rows; ++row) {
        for (uint32_t m = 0; m < problem.m; ++m) {
          const ErrorTerms terms = TermsOf(problem, row, problem.x.data() + size_t{m} * w.cols);
          ASSERT_NEAR(y[size_t{m} * w.rows + row], terms.expected, terms.bound) << type.Name() << " seed " << seed;
        }
      }
    }
  }
}

// Codes and activations at the ends of their ranges, all of one sign: no sum of 16 bits may wrap or saturate.
TEST(Matmul, TheLargestSumsFit) {
  for (const TestType& type : AllTypes()) {
    if (IsFloat(type.dtype)) continue;
    for (const int fill : {0x00, 0x7F, 0x80, 0xFF}) {
      for (const float sign : {1.0F, -1.0F}) {
        OwnedFile file = TestData(5).File(type, 9, 256);
        const FileMatrix kept = file.matrix;
        // Bytes of scales get the same value; it is only kept away from infinities, below.
        std::fill(file.codes.begin(), file.codes.end(), static_cast<std::byte>(fill));
        const uint16_t one = FloatToHalf(1.0F);
        for (size_t at = 0; at < file.codes.size() && !IsAffine(type.dtype); at += Info(type.dtype).block_bytes) {
          std::memcpy(file.codes.data() + at + (type.dtype == DType::kQ6_K ? offsetof(BlockQ6_K, d) : 0), &one, 2);
          const bool two = type.dtype == DType::kQ4_1 || type.dtype == DType::kQ5_1 || type.dtype == DType::kQ4_K ||
                           type.dtype == DType::kQ5_K;
          if (two) std::memcpy(file.codes.data() + at + 2, &one, 2);
        }
        file.matrix = kept;
        const Problem problem{Pack(std::move(file)), std::vector<float>(size_t{5} * 256, 127 * sign), 5};
        const std::vector<float> expected = Product(kScalar, problem);
        for (const Isa isa : AvailableIsas()) {
          ASSERT_TRUE(SameBits(expected, Product(TableFor(isa), problem))) << type.Name() << " " << fill << " " << IsaName(isa);
        }
        for (uint32_t row = 0; row < 9; ++row) {
          const ErrorTerms terms = TermsOf(problem, row, problem.x.data());
          ASSERT_NEAR(expected[row], terms.expected, terms.bound) << type.Name() << " " << fill;
        }
      }
    }
  }
}

}  // namespace
}  // namespace millrace::kernels
