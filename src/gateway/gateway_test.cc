// The gateway from the outside: requests over simulated connections, answers byte for byte.
#include "gateway/gateway.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "base/hash.h"
#include "gateway/testing/sim_gateway.h"

namespace millrace::gateway {
namespace {

using namespace millrace::gateway::testing;

// Tokens of the template around one user message: three special tokens, "user", "assistant" and four line breaks.
constexpr int64_t kChatMlTokens = 3 + 4 + 9 + 3;

TEST(Chat, AnswersWholeReply) {
  SimGateway sim;
  sim.WaitReady();
  const Answer answer = sim.Ask(kChat, ChatBody("abc"));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_TRUE(answer.whole);
  const Json body = BodyOf(answer);
  EXPECT_EQ(body.Find("object")->as_string(), "chat.completion");
  EXPECT_EQ(body.Find("model")->as_string(), "tiny");
  const Json& choice = body.Find("choices")->items()[0];
  EXPECT_EQ(choice.Find("message")->Find("content")->as_string(), "cba");
  EXPECT_EQ(choice.Find("finish_reason")->as_string(), "stop");
  EXPECT_EQ(*body.Find("usage")->Find("prompt_tokens")->as_int64(), kChatMlTokens + 3);
  EXPECT_EQ(*body.Find("usage")->Find("completion_tokens")->as_int64(), 3);
  const Json& timings = *body.Find("timings");
  EXPECT_DOUBLE_EQ(timings.Find("gb_s")->as_double(), 5);
  EXPECT_DOUBLE_EQ(timings.Find("roof_gb_s")->as_double(), 10);
  EXPECT_DOUBLE_EQ(timings.Find("percent_of_roof")->as_double(), 50);
  EXPECT_GE(timings.Find("hops")->Find("ring_ms")->as_double(), 0);
  EXPECT_TRUE(body.Find("millrace")->Find("seed")->is_integer());
}

// Every byte of a stream, but for what the simulated clock and seed decide, which the golden fixes too.
TEST(Chat, StreamIsByteExact) {
  SimGateway sim;
  sim.WaitReady();
  const Answer answer =
      sim.Ask(kChat, ChatBody("hi", R"("stream":true,"stream_options":{"include_usage":true},"seed":5,"user":"u")"));
  ASSERT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.whole);
  EXPECT_NE(answer.head.find("Content-Type: text/event-stream"), std::string::npos);
  EXPECT_NE(answer.head.find("x-millrace-ignored: user"), std::string::npos);
  const auto events = EventsOf(answer.body);
  ASSERT_GE(events.size(), 5U);
  const std::string id = events[0].substr(std::string("{\"id\":\"").size(), std::string("chatcmpl-").size() + 32);
  EXPECT_TRUE(id.starts_with("chatcmpl-"));
  const std::string head = "{\"id\":\"" + id + R"(","object":"chat.completion.chunk","created":1700000001,"model":"tiny",)" +
                           fmt::format(R"("system_fingerprint":"fp_{:016x}","choices":[)", Fnv1a("build"));
  const auto chunk = [&](const std::string& choice) { return head + choice + R"(],"usage":null})"; };
  EXPECT_EQ(events[0], chunk(R"({"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null})"));
  // How many tokens a step brings is the seed's choice.
  const auto delta = [&](const char* text) {
    return chunk(std::string(R"({"index":0,"delta":{"content":")") + text + R"("},"logprobs":null,"finish_reason":null})");
  };
  const size_t deltas = events.size() - 4;
  if (deltas == 1) {
    EXPECT_EQ(events[1], delta("ih"));
  } else {
    ASSERT_EQ(deltas, 2U);
    EXPECT_EQ(events[1], delta("i"));
    EXPECT_EQ(events[2], delta("h"));
  }
  const std::string& last = events[events.size() - 3];
  EXPECT_TRUE(last.starts_with(
      head + R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null,"timings":{"prompt_tokens":21,)"))
      << last;
  EXPECT_TRUE(last.ends_with(R"("millrace":{"seed":5,"ignored":["user"]}})")) << last;
  EXPECT_EQ(events[events.size() - 2],
            head + R"(],"usage":{"prompt_tokens":21,"completion_tokens":2,"total_tokens":23,)"
                   R"("prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}})");
  EXPECT_EQ(events.back(), "[DONE]");
}

TEST(Chat, SameSeedSameBytes) {
  const auto run = [] {
    SimGateway sim;
    sim.WaitReady();
    return sim.Ask(kChat, ChatBody("determinism", R"("stream":true)")).body;
  };
  EXPECT_EQ(run(), run());
}

TEST(Chat, StopStringEndsTheAnswerAndCancelsTheWorker) {
  SimGateway sim;
  sim.WaitReady();
  const Answer answer =
      sim.Ask(kChat, ChatBody("gfedcba", R"("stream":true,"stop":["de"],"stream_options":{"include_usage":true})"));
  const ChatEvents events = ReadChatEvents(answer.body);
  EXPECT_EQ(events.content, "abc");
  EXPECT_EQ(events.finish_reason, "stop");
  EXPECT_EQ(events.dones, 1);
  EXPECT_NE(answer.body.find("\"completion_tokens\":5,\"total"), std::string::npos) << "overrun tokens are not counted";
  EXPECT_TRUE(sim.RunUntil([&] { return sim.launcher().current()->sequences() == 0; }));
  EXPECT_EQ(sim.launcher().cancels(), 1U);
}

TEST(Chat, StopStringLeavesTheFiguresOfTheWindowUpToIt) {
  SimGateway sim;
  sim.WaitReady();
  const Json body = BodyOf(sim.Ask(kChat, ChatBody("gfedcba", R"("stop":"de")")));
  const Json& timings = *body.Find("timings");
  EXPECT_DOUBLE_EQ(timings.Find("gb_s")->as_double(), 5);
  EXPECT_DOUBLE_EQ(timings.Find("percent_of_roof")->as_double(), 50);
  EXPECT_EQ(*timings.Find("bytes_per_token")->as_int64(), 5'000'000);
  EXPECT_DOUBLE_EQ(timings.Find("mean_batch")->as_double(), 1);
}

TEST(Chat, StopStringThatNeverCompletesIsSentAtTheEnd) {
  SimGateway sim;
  sim.WaitReady();
  const ChatEvents events = ReadChatEvents(sim.Ask(kChat, ChatBody("dcba", R"("stream":true,"stop":["cdX"])")).body);
  EXPECT_EQ(events.content, "abcd");
}

TEST(Chat, MaxTokensEndsWithLength) {
  SimGateway sim;
  sim.WaitReady();
  const Json body = BodyOf(sim.Ask(kChat, ChatBody("edcba", R"("max_tokens":2)")));
  EXPECT_EQ(body.Find("choices")->items()[0].Find("finish_reason")->as_string(), "length");
  EXPECT_EQ(body.Find("choices")->items()[0].Find("message")->Find("content")->as_string(), "ab");
}

TEST(Chat, ContextLengthIsHeldBeforeTheWorkerIsAsked) {
  GatewayOptions options = SimGateway::DefaultOptions();
  options.models[0].context = 64;
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.context = 64;
  uint32_t most = 0;
  worker.on_submit = [&](const ipc::Submit& submit) { most = submit.sampling.max_tokens; };
  SimGateway sim({}, std::move(options), std::move(worker));
  sim.WaitReady();
  const Answer answer = sim.Ask(kChat, ChatBody(std::string(100, 'x')));
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(ErrorField(answer, "code"), "context_length_exceeded");
  EXPECT_NE(ErrorField(answer, "message").find("maximum context length is 64 tokens"), std::string::npos);
  EXPECT_EQ(most, 0U);
  EXPECT_EQ(sim.Ask(kChat, ChatBody("abc", R"("max_tokens":1000)")).status, 200);
  EXPECT_EQ(most, 64 - (kChatMlTokens + 3)) << "an answer never leaves the context";
}

TEST(Chat, SamplingDefaultsOfTheModelFillWhatIsSilent) {
  GatewayOptions options = SimGateway::DefaultOptions();
  options.models[0].sampling = {.temperature = 0.25F, .top_p = 0.5F, .min_p = {}, .top_k = 7, .repetition_penalty = {}};
  SamplingParams seen;
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.on_submit = [&](const ipc::Submit& submit) { seen = submit.sampling; };
  SimGateway sim({}, std::move(options), std::move(worker));
  sim.WaitReady();
  sim.Ask(kChat, ChatBody("a"));
  EXPECT_EQ(seen.temperature, 0.25F);
  EXPECT_EQ(seen.top_p, 0.5F);
  EXPECT_EQ(seen.top_k, 7);
  EXPECT_EQ(seen.repetition_penalty, 1.0F);
  sim.Ask(kChat, ChatBody("a", R"("temperature":0,"top_p":1,"top_k":-1,"seed":9,"ignore_eos":true,"max_tokens":3)"));
  EXPECT_EQ(seen.temperature, 0.0F);
  EXPECT_EQ(seen.top_p, 1.0F);
  EXPECT_EQ(seen.top_k, 0);
  EXPECT_EQ(seen.seed, 9U);
  EXPECT_TRUE(seen.ignore_eos);
}

TEST(Chat, LogprobsStandBesideTheirText) {
  SimGateway sim;
  sim.WaitReady();
  const Json body = BodyOf(sim.Ask(kChat, ChatBody("cba", R"("logprobs":true,"top_logprobs":2,"stop":"c")")));
  const Json& choice = body.Find("choices")->items()[0];
  EXPECT_EQ(choice.Find("message")->Find("content")->as_string(), "ab");
  const auto& content = choice.Find("logprobs")->Find("content")->items();
  ASSERT_EQ(content.size(), 2U) << "the token of the stop string is not part of the answer";
  EXPECT_EQ(content[0].Find("token")->as_string(), "a");
  EXPECT_EQ(content[1].Find("top_logprobs")->items().size(), 2U);
}

// Every token of the tiny model is one byte, so each of these characters comes in pieces.
TEST(Chat, CodePointsAreNeverCut) {
  const std::string text = "né €uro 😀 fin";
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.answer = [&](const std::vector<TokenId>&) { return TokensOf(text); };
  SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
  sim.WaitReady();
  const ChatEvents events = ReadChatEvents(sim.Ask(kChat, ChatBody("x", R"("stream":true)")).body);
  EXPECT_EQ(events.content, text) << "no replacement characters in between";
  const Json body = BodyOf(sim.Ask(kChat, ChatBody("x", R"("logprobs":true,"stop":["😁","fix"])")));
  const Json& choice = body.Find("choices")->items()[0];
  EXPECT_EQ(choice.Find("message")->Find("content")->as_string(), text);
  EXPECT_EQ(choice.Find("logprobs")->Find("content")->items().size(), text.size()) << "one per token, however its bytes fell";
}

TEST(Chat, BytesThatAreNoTextBecomeReplacementCharacters) {
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.answer = [](const std::vector<TokenId>&) { return TokensOf("a\xC3(\xE2\x82"); };
  SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
  sim.WaitReady();
  for (const char* more : {R"("stream":true)", R"("stream":true,"logprobs":true,"stop":"zz")"}) {
    EXPECT_EQ(ReadChatEvents(sim.Ask(kChat, ChatBody("x", more)).body).content, "a�(�");
  }
}

TEST(Chat, LongPromptsAreReadBesideTheLoop) {
  GatewayOptions options = SimGateway::DefaultOptions();
  options.models[0].context = 4096;
  SimGateway sim({}, std::move(options));
  sim.WaitReady();
  const Answer answer = sim.Ask(kChat, ChatBody(std::string(40'000, 'x')));
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(ErrorField(answer, "message").find("resulted in at least 16384 tokens"), std::string::npos) << answer.body;
}

TEST(Chat, RefusalsNameTheParameter) {
  SimGateway sim;
  sim.WaitReady();
  EXPECT_EQ(ErrorField(sim.Ask(kChat, ChatBody("a", R"("tools":[1])")), "param"), "tools[0]");
  EXPECT_EQ(ErrorField(sim.Ask(kChat, ChatBody("a", R"("logit_bias":{"258":1})")), "param"), "logit_bias");
  EXPECT_EQ(ErrorField(sim.Ask(kChat, ChatBody("a", R"("stop_token_ids":[258])")), "param"), "stop_token_ids");
  const Answer missing = sim.Ask(kChat, R"({"model":"huge","messages":[{"role":"user","content":"a"}]})");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(ErrorField(missing, "code"), "model_not_found");
  EXPECT_EQ(sim.Ask(kChat, "{").status, 400);
}

TEST(Chat, BeforeTheModelIsReadyComes503WithRetryAfter) {
  SimGateway sim;
  const Answer answer = sim.Ask(kChat, ChatBody("a"));
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(ErrorField(answer, "code"), "model_not_ready");
  EXPECT_NE(answer.head.find("Retry-After: "), std::string::npos);
  EXPECT_NE(answer.head.find("retry-after-ms: "), std::string::npos);
}

TEST(Chat, RequestsBeyondTheSlotsWaitAndBeyondTheQueueAreRefused) {
  GatewayOptions options = SimGateway::DefaultOptions();
  options.models[0].max_waiting = 2;
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.slots = 1;
  worker.step_ns = 100 * kMs;
  SimGateway sim({}, std::move(options), std::move(worker));
  sim.WaitReady();
  std::vector<SimClient*> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(&sim.Post(kChat, ChatBody("abcdefghij", R"("stream":true)")));
    ASSERT_TRUE(sim.RunUntil([&] { return sim.model().running + sim.model().waiting == static_cast<uint32_t>(i) + 1; }));
  }
  EXPECT_EQ(sim.model().running, 1U);
  EXPECT_EQ(sim.model().waiting, 2U);
  const Answer refused = sim.Ask(kChat, ChatBody("x"));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(ErrorField(refused, "code"), "overloaded");
  for (SimClient* client : clients) EXPECT_EQ(ReadChatEvents(sim.Finish(*client).body).content, "jihgfedcba");
  EXPECT_EQ(sim.model().running + sim.model().waiting, 0U);
}

TEST(Chat, AClientThatLeavesIsCancelled) {
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.step_ns = 50 * kMs;
  SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
  sim.WaitReady();
  SimClientOptions client;
  client.path = kChat;
  client.body = ChatBody("a long answer that nobody wants to read to its end", R"("stream":true)");
  client.leave_after_bytes = 600;
  sim.Connect(client);
  ASSERT_TRUE(sim.RunUntil([&] { return sim.launcher().cancels() == 1; }, kSecond));
  EXPECT_EQ(sim.model().running, 0U);
  EXPECT_TRUE(sim.RunUntil([&] { return sim.launcher().current()->sequences() == 0; }, kSecond));
}

TEST(Chat, AWaitingClientThatLeavesIsForgotten) {
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.slots = 1;
  worker.step_ns = 100 * kMs;
  int submits = 0;
  worker.on_submit = [&](const ipc::Submit&) { ++submits; };
  SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
  sim.WaitReady();
  SimClient& first = sim.Post(kChat, ChatBody("abcdefghijklmnop", R"("stream":true)"));
  ASSERT_TRUE(sim.RunUntil([&] { return sim.model().running == 1; }));
  SimClientOptions leaver;
  leaver.path = kChat;
  leaver.body = ChatBody("x", R"("stream":true)");
  leaver.leave_after_ns = 50 * kMs;
  const SimClient& second = sim.Connect(leaver);
  ASSERT_TRUE(sim.RunUntil([&] { return sim.model().waiting == 1; }));
  ASSERT_TRUE(sim.RunUntil([&] { return second.left() && sim.model().waiting == 0; }, 60 * kMs));
  EXPECT_EQ(ReadChatEvents(sim.Finish(first).body).content, "ponmlkjihgfedcba");
  EXPECT_EQ(submits, 1);
}

TEST(Routes, TextEndpoints) {
  SimGateway sim;
  EXPECT_EQ(sim.Ask("/tokenize", R"({"content":"Hi"})").body, R"({"tokens":[72,105]})");
  EXPECT_EQ(sim.Ask("/tokenize", R"({"content":"é","with_pieces":true})").body,
            R"({"tokens":[{"id":195,"piece":[195]},{"id":169,"piece":[169]}]})");
  EXPECT_EQ(sim.Ask("/tokenize", R"({"content":"<|im_start|>"})").body, R"({"tokens":[256]})");
  EXPECT_EQ(sim.Ask("/detokenize", R"({"tokens":[72,105,257]})").body, R"({"content":"Hi<|im_end|>"})");
  EXPECT_EQ(ErrorField(sim.Ask("/detokenize", R"({"tokens":[1,258]})"), "param"), "tokens[1]");
  EXPECT_EQ(BodyOf(sim.Ask("/apply-template", R"({"messages":[{"role":"user","content":"Hi"}]})")).Find("prompt")->as_string(),
            TinyPrompt("Hi"));
  EXPECT_EQ(sim.Ask("/tokenize", R"({"content":"x","model":"none"})").status, 404);
  const std::string long_text(100'000, 'x');
  EXPECT_EQ(BodyOf(sim.Ask("/tokenize", "{\"content\":\"" + long_text + "\"}")).Find("tokens")->items().size(), long_text.size());
}

TEST(Routes, StatusEndpoints) {
  SimGateway sim;
  EXPECT_EQ(sim.Get("/livez").status, 200);
  EXPECT_EQ(sim.Get("/readyz").status, 503);
  const Json loading = BodyOf(sim.Get("/health"));
  EXPECT_EQ(loading.Find("status")->as_string(), "ok");
  EXPECT_EQ(loading.Find("models")->items()[0].Find("id")->as_string(), "tiny");
  sim.WaitReady();
  EXPECT_EQ(sim.Get("/readyz").status, 200);
  EXPECT_EQ(BodyOf(sim.Get("/health")).Find("models")->items()[0].Find("state")->as_string(), "ready");
  EXPECT_EQ(BodyOf(sim.Get("/version")).Find("build")->as_string(), "build");
  const Json list = BodyOf(sim.Get("/v1/models"));
  EXPECT_EQ(list.Find("data")->items()[0].Find("id")->as_string(), "tiny");
  EXPECT_EQ(BodyOf(sim.Get("/v1/models/tiny")).Find("meta")->Find("n_vocab")->as_double(), 258);
  EXPECT_EQ(ErrorField(sim.Get("/v1/models/none"), "code"), "model_not_found");
  EXPECT_EQ(ErrorField(sim.Get("/nothing"), "code"), "not_found");
  EXPECT_EQ(sim.Get(kChat).status, 405);
}

TEST(Keys, GuardEverythingThatIsNotPublic) {
  GatewayOptions options = SimGateway::DefaultOptions();
  options.keys = {{"ann", "secret-a"}, {"bob", "secret-b"}};
  SimGateway sim({}, std::move(options));
  sim.WaitReady();
  EXPECT_EQ(sim.Get("/livez").status, 200);
  EXPECT_EQ(sim.Get("/health").body, R"({"status":"ok","models":[{"id":"tiny","state":"ready"}]})");
  EXPECT_NE(sim.Get("/health", "Authorization: Bearer secret-a\r\n").body.find("\"pid\""), std::string::npos);
  EXPECT_EQ(sim.Get("/v1/models").status, 401);
  const Answer refused = sim.Ask(kChat, ChatBody("a"));
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(ErrorField(refused, "code"), "invalid_api_key");
  EXPECT_EQ(sim.Ask(kChat, ChatBody("a"), "Authorization: Bearer secret-c\r\n").status, 401);
  EXPECT_EQ(sim.Ask(kChat, ChatBody("a"), "Authorization: Basic secret-a\r\n").status, 401);
  EXPECT_EQ(sim.Ask(kChat, ChatBody("a"), "Authorization: Bearer secret-b\r\n").status, 200);
}

TEST(Drain, RunningStreamsFinishNewOnesAreRefused) {
  SimWorkerOptions worker = SimGateway::DefaultWorker();
  worker.step_ns = 50 * kMs;
  SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
  sim.WaitReady();
  SimClient& client = sim.Post(kChat, ChatBody("abcdefghij", R"("stream":true)"));
  ASSERT_TRUE(sim.RunUntil([&] { return sim.model().running == 1; }));
  bool drained = false;
  sim.gateway().Drain([&] { drained = true; });
  EXPECT_EQ(sim.Get("/readyz").status, 503);
  EXPECT_EQ(sim.Get("/livez").status, 200);
  const Answer refused = sim.Ask(kChat, ChatBody("x"));
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.head.find("Retry-After"), std::string::npos);
  const ChatEvents events = ReadChatEvents(sim.Finish(client).body);
  EXPECT_EQ(events.content, "jihgfedcba");
  EXPECT_EQ(events.finish_reason, "stop");
  ASSERT_TRUE(sim.RunUntil([&] { return drained; }, 10 * kSecond));
  EXPECT_EQ(sim.model().state, ModelState::kStopped);
}

TEST(Drain, AtTheTimeoutStreamsEndWithAnErrorEvent) {
  for (const bool twice : {false, true}) {
    SimWorkerOptions worker = SimGateway::DefaultWorker();
    worker.step_ns = 5 * kSecond;
    SimGateway sim({}, SimGateway::DefaultOptions(), std::move(worker));
    sim.WaitReady();
    SimClient& client = sim.Post(kChat, ChatBody("abcdefghijklmnopqrstuvwxyz", R"("stream":true)"));
    ASSERT_TRUE(sim.RunUntil([&] { return sim.model().running == 1; }));
    const int64_t begin = sim.loop().NowNs();
    bool drained = false;
    sim.gateway().Drain([&] { drained = true; });
    if (twice) sim.gateway().Drain(nullptr);
    const Answer answer = sim.Finish(client);
    EXPECT_TRUE(answer.whole);
    EXPECT_EQ(ReadChatEvents(answer.body).errors, 1);
    const int64_t took = sim.loop().NowNs() - begin;
    EXPECT_TRUE(twice ? took < kSecond : took >= 30 * kSecond && took < 31 * kSecond) << took;
    EXPECT_TRUE(sim.RunUntil([&] { return drained; }, 10 * kSecond));
  }
}

TEST(Options, ContradictionsAreRefused) {
  const auto loop = net::SimLoop::Make();
  const auto create = [&](const std::function<void(GatewayOptions&)>& change) {
    GatewayOptions options = SimGateway::DefaultOptions();
    change(options);
    return Gateway::Create(*loop, std::move(options), std::make_unique<SimLauncher>(*loop, SimWorkerOptions{})).status();
  };
  EXPECT_TRUE(create([](GatewayOptions&) {}).ok());
  EXPECT_EQ(create([](GatewayOptions& o) { o.models.clear(); }).code(), Code::kInvalidArgument);
  EXPECT_EQ(create([](GatewayOptions& o) { o.models.push_back(o.models[0]); }).code(), Code::kInvalidArgument);
  EXPECT_EQ(create([](GatewayOptions& o) { o.address = "0.0.0.0"; }).code(), Code::kInvalidArgument);
  EXPECT_TRUE(create([](GatewayOptions& o) {
                o.address = "0.0.0.0";
                o.keys = {{"a", "secret"}};
              }).ok());
  EXPECT_EQ(create([](GatewayOptions& o) { o.address = "example.org"; }).code(), Code::kInvalidArgument);
  EXPECT_EQ(create([](GatewayOptions& o) { o.keys = {{"a", "1"}, {"a", "2"}}; }).code(), Code::kInvalidArgument);
  EXPECT_EQ(create([](GatewayOptions& o) { o.models[0].path = "/nonexistent.gguf"; }).code(), Code::kNotFound);
  EXPECT_EQ(create([](GatewayOptions& o) { o.models[0].context = kTinyContext + 1; }).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace millrace::gateway
