#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "base/checked.h"
#include "base/dtype.h"
#include "base/half.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/philox.h"
#include "base/status.h"
#include "base/utf8.h"

namespace millrace {
namespace {

TEST(StatusTest, CarriesCodeAndContext) {
  const Status status = Error(Code::kNotFound, "no tensor '{}'", "x").Within("file.gguf");
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_EQ(status.ToString(), "not found: file.gguf: no tensor 'x'");
}

Result<int> Half(int n) {
  if (n % 2 != 0) return Error(Code::kInvalidArgument, "odd: {}", n);
  return n / 2;
}
Result<int> Quarter(int n) {
  ASSIGN_OR_RETURN(const int half, Half(n));
  return Half(half);
}
TEST(StatusTest, MacrosPassErrorsOn) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(Quarter(6).status().message(), "odd: 3");
}

TEST(CheckedTest, RefusesWhatOverflows) {
  EXPECT_EQ(CheckedMul<uint64_t>(1ULL << 33, 1ULL << 33), std::nullopt);
  EXPECT_EQ(CheckedAdd<uint64_t>(~0ULL, 1), std::nullopt);
  EXPECT_EQ(CheckedAlign<uint64_t>(33, 32), 64U);
  EXPECT_EQ(CheckedAlign<uint64_t>(33, 0), std::nullopt);
  EXPECT_TRUE(RangeFits(10, 0, 10));
  EXPECT_FALSE(RangeFits(10, ~0ULL, 20));
}

TEST(HalfTest, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const bool nan = (half & 0x7C00U) == 0x7C00U && (half & 0x3FFU) != 0;
    if (!nan) {
      EXPECT_EQ(FloatToHalf(HalfToFloat(half)), half);
    }
  }
}

// _Float16 is the compiler's own conversion: an independent reference for rounding, subnormals and overflow.
TEST(HalfTest, RoundsLikeTheCompiler) {
  uint32_t state = 1;
  for (int i = 0; i < 2'000'000; ++i) {
    state = state * 1664525U + 1013904223U;
    const float value = std::bit_cast<float>(state);
    if (value != value) continue;
    const auto expected = std::bit_cast<uint16_t>(static_cast<_Float16>(value));
    ASSERT_EQ(FloatToHalf(value), expected) << value;
  }
}

TEST(HashTest, KnownValues) {
  const std::string digits = "123456789";
  const auto bytes = std::as_bytes(std::span(digits.data(), digits.size()));
  EXPECT_EQ(Crc32c(bytes), 0xE3069283U);  // the check value of CRC-32C
  EXPECT_EQ(Crc32c(bytes.subspan(4), Crc32c(bytes.first(4))), 0xE3069283U);
  EXPECT_EQ(Fnv1a("a"), 0xAF63DC4C8601EC8CULL);
}

// Known-answer vectors of the Random123 distribution (kat_vectors, philox4x32 10).
TEST(PhiloxTest, KnownAnswers) {
  EXPECT_EQ(Philox({0, 0, 0, 0}, {0, 0}), (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}), (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Utf8Test, AcceptsExactlyTheWellFormed) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    Utf8Append(c, text);
    const auto back = Utf8Decode(text);
    ASSERT_TRUE(back.has_value());
    ASSERT_EQ(back->value, c);
    ASSERT_EQ(back->length, text.size());
    for (size_t cut = 1; cut < text.size(); ++cut) ASSERT_TRUE(Utf8IsIncomplete(std::string_view(text).substr(0, cut)));
  }
  for (const char* bad : {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80", "\xFF", "\xE0\x80\x80"}) {
    EXPECT_FALSE(Utf8IsValid(bad));
  }
  EXPECT_EQ(Utf8Sanitize("a\xE2\x82z\xFF"), "a\xEF\xBF\xBDz\xEF\xBF\xBD");
}

TEST(JsonTest, ReadsAndWritesBack) {
  const std::string text = R"({"b":[1,-2,3.5,true,null,"x\n\u00e9"],"a":{"k":18446744073709551615},"e":[],"o":{}})";
  const auto json = Json::Parse(text);
  ASSERT_TRUE(json.ok()) << json.status().ToString();
  EXPECT_EQ(json->Find("b")->items()[1].as_int64().value(), -2);
  EXPECT_EQ(json->Find("b")->items()[5].as_string(), "x\n\xC3\xA9");
  EXPECT_EQ(json->members().front().first, "b");
  EXPECT_EQ(Json::Parse(json->Write()).value(), *json);
  EXPECT_EQ(Json::Parse(json->WriteIndented()).value(), *json);
}

TEST(JsonTest, RefusesWhatIsNotJson) {
  for (const char* bad : {"", "{", "[1,]", "{\"a\":1,}", "01", "1 2", "nul", "\"\\x\"", "\"\xFF\"", "{\"a\":1,\"a\":2}",
                          "// c\n1", "\"\\ud800\"", "[1e999]", "NaN"}) {
    EXPECT_FALSE(Json::Parse(bad).ok()) << bad;
  }
}

TEST(JsonTest, HoldsItsLimits) {
  EXPECT_TRUE(Json::Parse(std::string(64, '[') + std::string(64, ']')).ok());
  EXPECT_FALSE(Json::Parse(std::string(65, '[') + std::string(65, ']')).ok());
  EXPECT_FALSE(Json::Parse("[1,2,3,4]", {.max_values = 3}).ok());
  EXPECT_FALSE(Json::Parse("[1,2,3,4]", {.max_bytes = 3}).ok());
}

TEST(JsonTest, IntegersMustBeExact) {
  EXPECT_EQ(Json::Parse("3.0")->as_int64().value(), 3);
  EXPECT_FALSE(Json::Parse("3.5")->as_int64().ok());
  EXPECT_FALSE(Json::Parse("1e300")->as_int64().ok());
  EXPECT_FALSE(Json::Parse("\"3\"")->as_int64().ok());
}

TEST(JsonTest, EscapesAndReplacesWhenWriting) {
  std::string out;
  AppendJsonString("a\"\\\x01\xFF", out);
  EXPECT_EQ(out, "\"a\\\"\\\\\\u0001\xEF\xBF\xBD\"");
}

TEST(NearestTest, FindsWhatWasMeant) {
  constexpr std::string_view kNames[] = {"port", "host", "prefill-chunk", "threads", "top-p"};
  EXPECT_EQ(Nearest("prot", kNames), "port");
  EXPECT_EQ(Nearest("hst", kNames), "host");
  EXPECT_EQ(Nearest("prefil_chunk", kNames), "prefill-chunk");
  EXPECT_EQ(Nearest("thread", kNames), "threads");
  EXPECT_EQ(Nearest("top_p", kNames), "top-p");
}

TEST(NearestTest, SaysNothingRatherThanNonsense) {
  constexpr std::string_view kNames[] = {"port", "host"};
  constexpr std::string_view kShort[] = {"ab", "a"};
  EXPECT_EQ(Nearest("temperature", kNames), "");
  EXPECT_EQ(Nearest("xy", kShort), "") << "every letter would change";
  EXPECT_EQ(Nearest("", kShort), "");
  EXPECT_EQ(Nearest(std::string(100000, 'x'), kNames), "");
  EXPECT_EQ(Nearest("port", {}), "");
}

TEST(DTypeTest, GgufIdsMapBack) {
  EXPECT_EQ(DTypeFromGguf(3), DType::kQ4_1);
  EXPECT_EQ(DTypeFromGguf(99), std::nullopt);
  EXPECT_EQ(Info(DType::kQ8_0).block_bytes, 34U);
}

}  // namespace
}  // namespace millrace
