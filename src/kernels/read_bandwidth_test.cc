#include "kernels/read_bandwidth.h"

#include <gtest/gtest.h>

#include "kernels/kernel_test_data.h"

namespace millrace::kernels {
namespace {

TEST(ReadBandwidth, EveryInstructionSetSumsEveryWord) {
  alignas(64) std::byte buffer[64 * 37];
  TestData data(5);
  for (std::byte& byte : buffer) byte = static_cast<std::byte>(data.Below(256));
  for (size_t lines = 0; lines <= 37; ++lines) {
    uint64_t expected = 0;
    for (size_t at = 0; at < lines * 64; at += 8) {
      uint64_t word;
      std::memcpy(&word, buffer + at, 8);
      expected += word;
    }
    for (const Isa isa : AvailableIsas()) EXPECT_EQ(TableFor(isa).read_sum(buffer, lines * 64), expected) << IsaName(isa);
  }
}

TEST(ReadBandwidth, MeasuresTheWholeBufferAtLeastFiveTimes) {
  ThreadPool pool(2);
  const ReadBandwidth found = MeasureReadBandwidth(pool, TableFor(BestIsa()), 1'000'001).value();
  EXPECT_EQ(found.buffer_bytes, 1'000'064U);
  EXPECT_GE(found.passes, 5U);
  EXPECT_GT(found.median_gb_s, 0.01);
  EXPECT_GE(found.best_gb_s, found.median_gb_s);
  EXPECT_FALSE(MeasureReadBandwidth(pool, TableFor(BestIsa()), 0).ok());
}

TEST(ReadBandwidth, TheCurveDoublesUpToItsLimit) {
  ThreadPool pool(1);
  const auto curve = MeasureReadCurve(pool, TableFor(BestIsa()), 33'000'000).value();
  ASSERT_EQ(curve.size(), 3U);
  EXPECT_EQ(curve[0].buffer_bytes, 8'000'000U);
  EXPECT_EQ(curve[2].buffer_bytes, 32'000'000U);
}

}  // namespace
}  // namespace millrace::kernels
