// Byte-exact goldens: clients depend on these shapes, so any change of a byte must be meant.
#include "api/chat_response.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/json.h"

namespace millrace::api {
namespace {

const ResponseHead kHead = {.id = "chatcmpl-1", .created = 1700000000, .model = "m", .system_fingerprint = "fp_1"};

Report SomeReport() {
  Report report;
  report.seed = 7;
  report.ignored = {"user"};
  report.timings.prompt_tokens = 10;
  report.timings.prompt_ms = 20;
  report.timings.completion_tokens = 5;
  report.timings.decode_steps = 4;
  report.timings.decode_ms = 8;
  report.timings.decode_bytes = 400'000'000;
  report.timings.roof_gb_s = 100;
  report.timings.mean_batch = 1;
  report.timings.hops = {.parse_ms = 0.25, .template_ms = 0.5, .tokenise_ms = 0.125, .ring_ms = 0.0625, .queue_ms = 1};
  return report;
}

const char* const kReport =
    R"("timings":{"prompt_tokens":10,"prompt_ms":20,"prompt_tok_s":500,"completion_tokens":5,"decode_ms":8,"decode_tok_s":500,)"
    R"("gb_s":50,"roof_gb_s":100,"percent_of_roof":50,"mean_batch":1,"bytes_per_token":100000000,)"
    R"("hops":{"parse_ms":0.25,"template_ms":0.5,"tokenise_ms":0.125,"wait_ms":null,"ring_ms":0.063,"queue_ms":1,"prefill_ms":null,"decode_ms":null,)"
    R"("write_ms":null}},"millrace":{"seed":7,"ignored":["user"]})";

TEST(ChatReply, IsByteExact) {
  ChatAnswer answer;
  answer.head = kHead;
  answer.content = "Hel\"lo\n";
  answer.finish_reason = "stop";
  answer.usage = {.prompt_tokens = 10, .cached_tokens = 3, .completion_tokens = 5};
  answer.report = SomeReport();
  EXPECT_EQ(
      WriteChat(answer),
      std::string(R"({"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","system_fingerprint":"fp_1",)"
                  R"("choices":[{"index":0,"message":{"role":"assistant","content":"Hel\"lo\n","refusal":null},"logprobs":null,)"
                  R"("finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,)"
                  R"("prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":0}},)") +
          kReport + "}");
}

TEST(ChatChunks, AreByteExactWithoutUsage) {
  const ChunkWriter writer(kHead, false);
  const std::string head =
      R"({"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","system_fingerprint":"fp_1","choices":[)";
  EXPECT_EQ(writer.Role(),
            head + R"({"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]})");
  EXPECT_EQ(writer.delta_prefix() + "x" + writer.delta_suffix(),
            head + R"({"index":0,"delta":{"content":"x"},"logprobs":null,"finish_reason":null}]})");
  EXPECT_EQ(writer.Finish("length", SomeReport()),
            head + R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}],)" + kReport + "}");
}

TEST(ChatChunks, CarryNullUsageAndATrailerWhenAsked) {
  const ChunkWriter writer(kHead, true);
  EXPECT_TRUE(writer.Role().ends_with(R"("finish_reason":null}],"usage":null})"));
  EXPECT_TRUE(writer.delta_suffix().ends_with(R"(],"usage":null})"));
  EXPECT_EQ(writer.Usage({.prompt_tokens = 1, .cached_tokens = 0, .completion_tokens = 2}),
            R"({"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","system_fingerprint":"fp_1",)"
            R"("choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,)"
            R"("prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}})");
}

TEST(ChatChunks, LogprobsAreByteExact) {
  const ChunkWriter writer(kHead, false);
  TokenScore score;
  score.token = {.bytes = "\xC3", .logprob = -0.5F};
  score.top = {{.bytes = "a", .logprob = -0.25F}, {.bytes = "b", .logprob = -std::numeric_limits<float>::infinity()}};
  const std::string chunk = writer.Delta("", {score});
  EXPECT_NE(
      chunk.find(R"("delta":{"content":""},"logprobs":{"content":[{"token":"�","logprob":-0.5,"bytes":[195],)"
                 R"("top_logprobs":[{"token":"a","logprob":-0.25,"bytes":[97]},{"token":"b","logprob":-9999,"bytes":[98]}]}],)"
                 R"("refusal":null},"finish_reason":null}]})"),
      std::string::npos)
      << chunk;
}

TEST(ChatChunks, EveryChunkIsJson) {
  ResponseHead head = kHead;
  head.model = "we\"ird\n\xFF";
  const ChunkWriter writer(head, true);
  for (const std::string& chunk : {writer.Role(), writer.Delta("\xE2\x82\xAC\"", {}), writer.Finish("stop", {}), writer.Usage({}),
                                   writer.delta_prefix() + writer.delta_suffix()}) {
    const auto parsed = Json::Parse(chunk);
    ASSERT_TRUE(parsed.ok()) << chunk;
    EXPECT_TRUE(parsed->Find("choices")->is_array());
    EXPECT_EQ(chunk.find('\n'), std::string::npos);
  }
}

TEST(ChatReply, WhatIsNotKnownIsNull) {
  const ChunkWriter writer(kHead, false);
  const auto parsed = Json::Parse(writer.Finish("stop", {}));
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(parsed->Find("timings")->Find("roof_gb_s")->is_null());
  for (const char* figure : {"percent_of_roof", "gb_s", "mean_batch", "bytes_per_token"}) {
    EXPECT_TRUE(parsed->Find("timings")->Find(figure)->is_null()) << figure;
  }
  EXPECT_EQ(parsed->Find("timings")->Find("decode_tok_s")->as_double(), 0);
}

}  // namespace
}  // namespace millrace::api
