#include "api/error.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"
#include "base/utf8.h"

namespace millrace::api {
namespace {

TEST(ApiError, EveryCodeHasItsHttpStatus) {
  const std::vector<std::pair<Code, int>> expected = {
      {Code::kInvalidArgument, 400}, {Code::kNotFound, 404},    {Code::kAlreadyExists, 409},     {Code::kDataLoss, 500},
      {Code::kUnsupported, 400},     {Code::kUnavailable, 503}, {Code::kResourceExhausted, 503}, {Code::kDeadlineExceeded, 504},
      {Code::kCancelled, 499},       {Code::kInternal, 500}};
  for (const auto& [code, status] : expected) {
    const ApiError error = FromStatus(Status(code, "why"));
    EXPECT_EQ(error.status, status) << CodeName(code);
    EXPECT_EQ(error.message, "why");
    EXPECT_FALSE(error.code.empty());
    EXPECT_EQ(error.type, status >= 500 ? "server_error" : "invalid_request_error");
  }
}

TEST(ApiError, BodyIsOpenAisShape) {
  EXPECT_EQ(ErrorBody(Invalid("top_p", "a \"bad\"\nvalue")),
            R"({"error":{"message":"a \"bad\"\nvalue","type":"invalid_request_error","param":"top_p","code":"invalid_value"}})");
  EXPECT_EQ(ErrorBody(ModelNotFound("x")),
            R"({"error":{"message":"The model 'x' does not exist. GET /v1/models lists those that do.",)"
            R"("type":"invalid_request_error","param":"model","code":"model_not_found"}})");
  EXPECT_EQ(ErrorBody(Unauthorized("no key")),
            R"({"error":{"message":"no key","type":"authentication_error","param":null,"code":"invalid_api_key"}})");
}

TEST(ApiError, BodyIsJsonWhateverTheMessage) {
  const auto parsed = Json::Parse(ErrorBody(Invalid("\xC3(", std::string("\x00\xFF\x7F", 3))));
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
}

TEST(ApiError, LongQuotationsAreCutBetweenCodePoints) {
  std::string euros;
  for (int i = 0; i < 1000; ++i) euros += "€";
  EXPECT_LT(ModelNotFound(euros).message.size(), 250U);
  const ApiError error = Invalid("x", "a" + euros);
  EXPECT_LE(error.message.size(), 1024U + 3);
  EXPECT_TRUE(Utf8IsValid(error.message));
  EXPECT_TRUE(error.message.ends_with("€…"));
}

TEST(ApiError, ContextOverflowIsWordedAsClientsMatchIt) {
  const ApiError error = ContextLengthExceeded(2048, 2100);
  EXPECT_EQ(error.status, 400);
  EXPECT_EQ(error.code, "context_length_exceeded");
  EXPECT_NE(error.message.find("maximum context length is 2048 tokens"), std::string::npos);
  EXPECT_NE(error.message.find("resulted in 2100 tokens"), std::string::npos);
  EXPECT_NE(ContextLengthExceeded(10, 40, true).message.find("resulted in at least 40 tokens"), std::string::npos);
}

TEST(ApiError, RefusalsOfTheHttpLayerHaveTheSameShape) {
  EXPECT_EQ(ErrorBody(FromHttpStatus(404, "no such path")),
            R"({"error":{"message":"no such path","type":"invalid_request_error","param":null,"code":"not_found"}})");
  EXPECT_EQ(FromHttpStatus(400, "x").code, "bad_request");
  EXPECT_EQ(FromHttpStatus(500, "x").type, "server_error");
}

std::string Header(const ApiError& error, std::string_view name) {
  for (const auto& [key, value] : ErrorHeaders(error)) {
    if (key == name) return value;
  }
  return "";
}

TEST(ApiError, HeadersSteerRetries) {
  const ApiError busy = Overloaded("full", 1500);
  EXPECT_EQ(busy.status, 503);
  EXPECT_EQ(Header(busy, "Retry-After"), "2");
  EXPECT_EQ(Header(busy, "retry-after-ms"), "1500");
  EXPECT_EQ(Header(busy, "x-should-retry"), "");
  EXPECT_EQ(Header(Quarantined(), "x-should-retry"), "false");
  EXPECT_EQ(Header(Unauthorized("k"), "WWW-Authenticate"), "Bearer");
  EXPECT_TRUE(ErrorHeaders(Invalid("n", "x")).empty());
}

}  // namespace
}  // namespace millrace::api
