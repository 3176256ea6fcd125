#include "api/chat_request.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace millrace::api {
namespace {

constexpr const char* kMessages = R"("messages":[{"role":"user","content":"Hi"}])";

std::string Body(const std::string& more) {
  return std::string(R"({"model":"m",)") + kMessages + (more.empty() ? "" : "," + more) + "}";
}

ChatRequest Accepted(const std::string& more) {
  auto parsed = ParseChat(Body(more));
  EXPECT_TRUE(parsed.ok()) << more << ": " << (parsed.ok() ? "" : parsed.error().message);
  return parsed.ok() ? std::move(parsed.value()) : ChatRequest{};
}

struct Refusal {
  std::string body;  // whole, or what is added to a good one when it does not begin with '{' or '['
  std::string param;
  std::string message;  // part of it
  std::string code = "invalid_value";
};

std::string WholeBody(const std::string& body) { return body.starts_with('"') ? Body(body) : body; }

class Refused : public testing::TestWithParam<Refusal> {};

TEST_P(Refused, NamesTheParameterAndTheReason) {
  const auto parsed = ParseChat(WholeBody(GetParam().body));
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().status, 400);
  EXPECT_EQ(parsed.error().type, "invalid_request_error");
  EXPECT_EQ(parsed.error().param, GetParam().param);
  EXPECT_EQ(parsed.error().code, GetParam().code);
  EXPECT_NE(parsed.error().message.find(GetParam().message), std::string::npos) << parsed.error().message;
}

const std::string kUnsupported = "unsupported_parameter";

INSTANTIATE_TEST_SUITE_P(
    Body, Refused,
    testing::Values(Refusal{"{", "", "not usable as JSON", "invalid_json"}, Refusal{"", "", "not usable as JSON", "invalid_json"},
                    Refusal{"[1]", "", "must be a JSON object, found array"},
                    Refusal{R"({"model":"m","model":"n"})", "", "same name", "invalid_json"},
                    Refusal{"{\"model\":\"\xFF\"}", "", "JSON", "invalid_json"},
                    Refusal{R"({"messages":[{"role":"user","content":"x"}]})", "model", "missing"},
                    Refusal{R"({"model":"m"})", "messages", "missing"},
                    Refusal{R"({"model":null,"messages":null})", "model", "missing"},
                    Refusal{R"({"model":5})", "model", "expected a string, found integer 5"},
                    Refusal{R"({"model":""})", "model", "name of a model"},
                    Refusal{R"("temprature":1)", "temprature", "unknown parameter 'temprature'", "unknown_parameter"},
                    Refusal{R"("best_of":2)", "best_of", "unknown parameter", "unknown_parameter"}));

INSTANTIATE_TEST_SUITE_P(
    Sampling, Refused,
    testing::Values(Refusal{R"("temperature":"hot")", "temperature", "expected a number from 0 to 100, found string 'hot'"},
                    Refusal{R"("temperature":-0.1)", "temperature", "found number -0.1"},
                    Refusal{R"("temperature":101)", "temperature", "found integer 101"},
                    Refusal{R"("temperature":true)", "temperature", "found boolean true"},
                    Refusal{R"("top_p":1.5)", "top_p", "from 0 to 1"}, Refusal{R"("top_p":-1)", "top_p", "from 0 to 1"},
                    Refusal{R"("top_k":-2)", "top_k", "an integer from -1"},
                    Refusal{R"("top_k":1.5)", "top_k", "found number 1.5"},
                    Refusal{R"("top_k":"5")", "top_k", "found string '5'"}, Refusal{R"("min_p":2)", "min_p", "from 0 to 1"},
                    Refusal{R"("repetition_penalty":0)", "repetition_penalty", "above 0"},
                    Refusal{R"("repetition_penalty":11)", "repetition_penalty", "from 0 to 10"},
                    Refusal{R"("presence_penalty":2.5)", "presence_penalty", "from -2 to 2"},
                    Refusal{R"("frequency_penalty":-3)", "frequency_penalty", "from -2 to 2"},
                    Refusal{R"("logit_bias":[1])", "logit_bias", "an object"},
                    Refusal{R"("logit_bias":{"a":1})", "logit_bias", "token ids as keys"},
                    Refusal{R"("logit_bias":{"-1":1})", "logit_bias", "token ids as keys"},
                    Refusal{R"("logit_bias":{"99999999999":1})", "logit_bias", "token ids as keys"},
                    Refusal{R"("logit_bias":{"5":101})", "logit_bias.5", "from -100 to 100"},
                    Refusal{R"("logit_bias":{"5":1,"05":2})", "logit_bias", "token 5 is named twice"},
                    Refusal{R"("seed":1.5)", "seed", "an integer"}, Refusal{R"("seed":"x")", "seed", "an integer"},
                    Refusal{R"("max_tokens":0)", "max_tokens", "an integer from 1"},
                    Refusal{R"("max_tokens":-1)", "max_tokens", "found integer -1"},
                    Refusal{R"("max_tokens":4294967295)", "max_tokens", "found integer 4294967295"},
                    Refusal{R"("max_completion_tokens":"9")", "max_completion_tokens", "an integer"},
                    Refusal{R"("max_tokens":5,"max_completion_tokens":6)", "max_tokens", "send one of them"},
                    Refusal{R"("min_tokens":-1)", "min_tokens", "an integer from 0"},
                    Refusal{R"("min_tokens":9,"max_tokens":8)", "min_tokens", "above the limit of 8"},
                    Refusal{R"("ignore_eos":1)", "ignore_eos", "true or false"}));

INSTANTIATE_TEST_SUITE_P(
    Rest, Refused,
    testing::Values(
        Refusal{R"("stop":5)", "stop", "a string or an array"}, Refusal{R"("stop":"")", "stop", "a string of 1 to 256 bytes"},
        Refusal{R"("stop":["a",""])", "stop[1]", "a string of 1"}, Refusal{R"("stop":["a",1])", "stop[1]", "found integer 1"},
        Refusal{R"("stop":["a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a"])", "stop",
                "at most 16 strings, found 17"},
        Refusal{R"("stop_token_ids":5)", "stop_token_ids", "an array"},
        Refusal{R"("stop_token_ids":[-5])", "stop_token_ids[0]", "an integer from 0"},
        Refusal{R"("logprobs":5)", "logprobs", "true or false, found integer 5"},
        Refusal{R"("logprobs":true,"top_logprobs":21)", "top_logprobs", "from 0 to 20"},
        Refusal{R"("top_logprobs":2)", "top_logprobs", "needs 'logprobs'"},
        Refusal{R"("stream":"yes")", "stream", "true or false"},
        Refusal{R"("stream_options":{"include_usage":true})", "stream_options", "needs 'stream'"},
        Refusal{R"("stream":true,"stream_options":true)", "stream_options", "an object"},
        Refusal{R"("stream":true,"stream_options":{"include_usage":1})", "stream_options.include_usage", "true or false"},
        Refusal{R"("stream":true,"stream_options":{"x":1})", "stream_options.x", "unknown parameter"},
        Refusal{R"("n":2)", "n", "only 1 choice", kUnsupported}, Refusal{R"("n":0)", "n", "an integer from 1"},
        Refusal{R"("functions":[{"name":"f"}])", "functions", "not supported", kUnsupported},
        Refusal{R"("function_call":{"name":"f"})", "function_call", "found object", kUnsupported},
        Refusal{R"("response_format":{"type":"json_object"})", "response_format", "found string 'json_object'", kUnsupported},
        Refusal{R"("response_format":"text")", "response_format.type", "a string"},
        Refusal{R"("audio":{"voice":"x"})", "audio", "not supported", kUnsupported},
        Refusal{R"("modalities":["text","audio"])", "modalities", "only [\"text\"]", kUnsupported},
        Refusal{R"("web_search_options":{})", "web_search_options", "not supported", kUnsupported},
        Refusal{R"("store":true)", "store", "stores no completions", kUnsupported},
        Refusal{R"("store":"yes")", "store", "true or false"}));

TEST(ParseChat, ASilentRequestHasTheDefaults) {
  const ChatRequest request = Accepted("");
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(Json(request.prompt.messages).Write(), R"([{"role":"user","content":"Hi"}])");
  EXPECT_FALSE(request.sampling.temperature || request.sampling.top_p || request.sampling.top_k || request.sampling.min_p ||
               request.sampling.repetition_penalty || request.sampling.seed || request.sampling.max_tokens);
  EXPECT_EQ(request.sampling.top_logprobs, -1);
  EXPECT_EQ(request.sampling.presence_penalty, 0);
  EXPECT_TRUE(request.stop.empty() && request.ignored.empty());
  EXPECT_FALSE(request.stream || request.include_usage || request.sampling.ignore_eos);
  EXPECT_TRUE(request.prompt.add_generation_prompt);
}

TEST(ParseChat, NullIsAbsent) {
  const ChatRequest request = Accepted(
      R"("temperature":null,"stop":null,"seed":null,"tools":null,"n":null,"stream_options":null,"logit_bias":null,"store":null)");
  EXPECT_FALSE(request.sampling.temperature.has_value());
  EXPECT_TRUE(request.stop.empty() && request.ignored.empty());
}

TEST(ParseChat, SamplingIsTakenOver) {
  const SamplingRequest sampling =
      Accepted(R"("temperature":0.5,"top_p":0.25,"top_k":40.0,"min_p":0.125,"repetition_penalty":1.5,"presence_penalty":-2,
                  "frequency_penalty":2,"logit_bias":{"7":-100,"3":1.5},"stop_token_ids":[2,9],"max_tokens":17,"min_tokens":3,
                  "ignore_eos":true,"logprobs":true,"top_logprobs":5)")
          .sampling;
  EXPECT_EQ(sampling.temperature, 0.5F);
  EXPECT_EQ(sampling.top_p, 0.25F);
  EXPECT_EQ(sampling.top_k, 40);
  EXPECT_EQ(sampling.min_p, 0.125F);
  EXPECT_EQ(sampling.repetition_penalty, 1.5F);
  EXPECT_EQ(sampling.presence_penalty, -2.0F);
  EXPECT_EQ(sampling.frequency_penalty, 2.0F);
  EXPECT_EQ(sampling.logit_bias, (std::vector<std::pair<TokenId, float>>{{3, 1.5F}, {7, -100.0F}}));
  EXPECT_EQ(sampling.stop_tokens, (std::vector<TokenId>{2, 9}));
  EXPECT_EQ(sampling.max_tokens, 17U);
  EXPECT_EQ(sampling.min_tokens, 3U);
  EXPECT_TRUE(sampling.ignore_eos);
  EXPECT_EQ(sampling.top_logprobs, 5);
}

TEST(ParseChat, EdgesOfRangesAreInside) {
  EXPECT_EQ(Accepted(R"("temperature":0)").sampling.temperature, 0.0F);
  EXPECT_EQ(Accepted(R"("temperature":100)").sampling.temperature, 100.0F);
  EXPECT_EQ(Accepted(R"("top_k":-1)").sampling.top_k, 0);
  EXPECT_GT(*Accepted(R"("top_p":0)").sampling.top_p, 0.0F);
  EXPECT_LT(*Accepted(R"("top_p":0)").sampling.top_p, 1e-30F);
  EXPECT_EQ(Accepted(R"("max_tokens":4294967294)").sampling.max_tokens, 4294967294U);
  EXPECT_EQ(Accepted(R"("max_tokens":5,"max_completion_tokens":5)").sampling.max_tokens, 5U);
  EXPECT_EQ(Accepted(R"("max_completion_tokens":6)").sampling.max_tokens, 6U);
  EXPECT_EQ(Accepted(R"("logprobs":true)").sampling.top_logprobs, 0);
  EXPECT_EQ(Accepted(R"("logprobs":false)").sampling.top_logprobs, -1);
  EXPECT_EQ(Accepted(R"("n":1)").prompt.messages.size(), 1U);
}

TEST(ParseChat, EverySixtyFourBitSeedIsItself) {
  EXPECT_EQ(Accepted(R"("seed":0)").sampling.seed, 0U);
  EXPECT_EQ(Accepted(R"("seed":18446744073709551615)").sampling.seed, ~uint64_t{0});
  EXPECT_EQ(Accepted(R"("seed":-1)").sampling.seed, ~uint64_t{0});
  EXPECT_EQ(Accepted(R"("seed":-9223372036854775808)").sampling.seed, uint64_t{1} << 63);
  EXPECT_EQ(Accepted(R"("seed":42.0)").sampling.seed, 42U);
}

TEST(ParseChat, StopTakesOneOrMany) {
  EXPECT_EQ(Accepted(R"("stop":"\n")").stop, (std::vector<std::string>{"\n"}));
  EXPECT_EQ(Accepted(R"("stop":["a","bc"])").stop, (std::vector<std::string>{"a", "bc"}));
  EXPECT_TRUE(Accepted(R"("stop":[])").stop.empty());
}

TEST(ParseChat, StreamAndUsage) {
  const ChatRequest request = Accepted(R"("stream":true,"stream_options":{"include_usage":true})");
  EXPECT_TRUE(request.stream);
  EXPECT_TRUE(request.include_usage);
  EXPECT_FALSE(Accepted(R"("stream":true,"stream_options":{"include_usage":false})").include_usage);
}

TEST(ParseChat, HarmlessParametersAreReportedInOrder) {
  const ChatRequest request = Accepted(
      R"("user":"u","service_tier":"auto","store":false,"metadata":{"a":"b"},"safety_identifier":"s","prompt_cache_key":"k",
                  "prompt_cache_retention":"24h","verbosity":"low","parallel_tool_calls":false,
                  "prediction":{"type":"content","content":"x"})");
  EXPECT_EQ(request.ignored,
            (std::vector<std::string>{"user", "service_tier", "store", "metadata", "safety_identifier", "prompt_cache_key",
                                      "prompt_cache_retention", "verbosity", "parallel_tool_calls", "prediction"}));
}

TEST(ParseChat, ValuesThatAskForNothingSpecialPass) {
  const ChatRequest request = Accepted(
      R"("tools":[],"tool_choice":"none","function_call":"none","response_format":{"type":"text"},"modalities":["text"])");
  EXPECT_TRUE(request.ignored.empty());
}

TEST(ParseChat, CallsThatComeAsTextAreReported) {
  const ChatRequest request = Accepted(R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"auto")");
  EXPECT_EQ(request.ignored, (std::vector<std::string>{"tool_calls"}));
  EXPECT_EQ(request.prompt.tools.size(), 1U);
}

TEST(ParseChat, CountsAreBounded) {
  std::string bias;
  for (int i = 0; i <= kMaxLogitBias; ++i) bias += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":1";
  const auto biased = ParseChat(Body("\"logit_bias\":{" + bias + "}"));
  ASSERT_FALSE(biased.ok());
  EXPECT_EQ(biased.error().param, "logit_bias");

  const auto long_stop = ParseChat(Body("\"stop\":\"" + std::string(kMaxStopBytes + 1, 'x') + "\""));
  ASSERT_FALSE(long_stop.ok());
  EXPECT_LT(long_stop.error().message.size(), 256U) << "long values are cut in messages";
}

TEST(ParseChat, TooLargeIs413) {
  const auto parsed = ParseChat(std::string((8U << 20) + 1, ' '));
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().status, 413);
}

}  // namespace
}  // namespace millrace::api
