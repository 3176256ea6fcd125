#include "base/math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace millrace {
namespace {

constexpr double kUlps = 4 * std::numeric_limits<double>::epsilon();

TEST(Math, ExpAgreesWithTheLibrary) {
  for (double x = -700.0; x < 705.0; x += 0.37) EXPECT_NEAR(Exp(x) / std::exp(x), 1.0, kUlps) << x;
  EXPECT_EQ(Exp(0.0), 1.0);
  EXPECT_EQ(Exp(-1000.0), 0.0);
  EXPECT_TRUE(std::isinf(Exp(1000.0)));
  EXPECT_TRUE(std::isnan(Exp(std::numeric_limits<double>::quiet_NaN())));
}

TEST(Math, LogAgreesWithTheLibrary) {
  for (double x = 1e-300; x < 1e300; x *= 1.37)
    EXPECT_NEAR(Log(x), std::log(x), kUlps * std::max(1.0, std::fabs(std::log(x)))) << x;
  for (double x = 0.9; x < 1.1; x += 0.0013) EXPECT_NEAR(Log(x), std::log(x), kUlps * std::fabs(std::log(x)) + 1e-18) << x;
  EXPECT_EQ(Log(1.0), 0.0);
  EXPECT_TRUE(std::isinf(Log(0.0)));
  EXPECT_TRUE(std::isnan(Log(-1.0)));
}

TEST(Math, SinAndCosAgreeWithTheLibrary) {
  for (double x = -200000.0; x < 200000.0; x += 13.137) {
    EXPECT_NEAR(Sin(x), std::sin(x), 1e-15) << x;
    EXPECT_NEAR(Cos(x), std::cos(x), 1e-15) << x;
  }
  for (double x = -4.0; x < 4.0; x += 0.0137) {
    EXPECT_NEAR(Sin(x), std::sin(x), 3e-16) << x;
    EXPECT_NEAR(Cos(x), std::cos(x), 3e-16) << x;
  }
  EXPECT_EQ(Sin(0.0), 0.0);
  EXPECT_EQ(Cos(0.0), 1.0);
  EXPECT_TRUE(std::isnan(Sin(1e12)));
}

}  // namespace
}  // namespace millrace
