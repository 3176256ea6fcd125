#include "cmd/moment.h"

#include <gtest/gtest.h>

namespace millrace::cmd {
namespace {

TEST(Moment, IsReadInBothForms) {
  EXPECT_EQ(ParseMoment("1700000000").value(), 1'700'000'000);
  EXPECT_EQ(ParseMoment("2023-11-14T22:13:20Z").value(), 1'700'000'000);
  EXPECT_EQ(ParseMoment("2024-02-29").value(), 1'709'164'800);
  EXPECT_EQ(ParseMoment("1969-12-31T23:59:59Z").value(), -1);
  EXPECT_EQ(ParseMoment("-62135596800").value(), ParseMoment("0001-01-01").value());
  EXPECT_EQ(ParseMoment("253402300799").value(), ParseMoment("9999-12-31T23:59:59Z").value());
}

TEST(Moment, NothingElseIs) {
  for (const char* text :
       {"", "now", "17e8", "1700000000.5", " 1700000000", "2023-02-29", "2023-11-14T24:00:00Z", "2023-11-14T22:13:20",
        "2023-11-14 22:13:20Z", "2023-11-14T22:13:20+01:00", "0000-01-01", "253402300800", "99999999999999999999"}) {
    const auto moment = ParseMoment(text);
    ASSERT_FALSE(moment.ok()) << text;
    EXPECT_EQ(moment.status().code(), Code::kInvalidArgument);
    EXPECT_NE(moment.status().message().find(text), std::string::npos);
  }
}

}  // namespace
}  // namespace millrace::cmd
