#include "ipc/messages.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ipc/channel.h"

namespace millrace::ipc {
namespace {

// Both directions of a channel in one process.
struct Wires {
  std::pair<GatewayChannel, WorkerChannel> ends = HeapChannel::Create();
  ToWorkerReader reader;
  Record record;

  RingProducer& down() { return ends.first.down(); }
  RingProducer& up() { return ends.second.up(); }

  // The next whole message that a worker sees; a failure stops.
  Result<ToWorker> AtWorker() {
    while (true) {
      ASSIGN_OR_RETURN(const bool popped, ends.second.down().TryPop(record));
      if (!popped) return Error(Code::kNotFound, "nothing complete");
      ASSIGN_OR_RETURN(std::optional<ToWorker> message, reader.Feed(record));
      if (message) return std::move(*message);
    }
  }
  Result<ToGateway> AtGateway() {
    ASSIGN_OR_RETURN(const bool popped, ends.first.up().TryPop(record));
    if (!popped) return Error(Code::kNotFound, "nothing there");
    return ReadToGateway(record);
  }
};

HopClocks SomeClocks() { return {1, 2, 3, 4, 5, 6, 7, 8, 9}; }

void ExpectClocks(const HopClocks& clocks) {
  const HopClocks want = SomeClocks();
  EXPECT_EQ(std::memcmp(&clocks, &want, sizeof(want)), 0);
}

Submit FullSubmit(size_t prompt, size_t forced) {
  Submit submit;
  submit.request = 77;
  submit.tenant = 0xFEEDFACECAFEBEEFULL;
  submit.priority = -100;
  submit.deadline_ns = 123456789;
  submit.supersede_group = 5;
  submit.cache_salt = 6;
  submit.adapter = 3;
  submit.emitted_tokens = static_cast<uint32_t>(forced);
  submit.choices = 2;
  submit.output = SubmitOutput::kHidden;
  submit.sampling.temperature = 0.5F;
  submit.sampling.top_k = 40;
  submit.sampling.top_p = 0.9F;
  submit.sampling.min_p = 0.05F;
  submit.sampling.repetition_penalty = 1.1F;
  submit.sampling.presence_penalty = -2.0F;
  submit.sampling.frequency_penalty = 2.0F;
  submit.sampling.seed = ~uint64_t{0};
  submit.sampling.top_logprobs = 20;
  submit.sampling.max_tokens = 99;
  submit.sampling.min_tokens = 9;
  submit.sampling.ignore_eos = true;
  submit.sampling.logit_bias = {{5, -100.0F}, {6, 1.5F}};
  submit.sampling.stop_tokens = {1, 2, 3};
  for (size_t i = 0; i < prompt; ++i) submit.prompt.push_back(static_cast<TokenId>(i * 31 % 50000));
  for (size_t i = 0; i < forced; ++i) submit.forced.push_back(static_cast<TokenId>(i * 17 % 50000));
  submit.clocks = SomeClocks();
  return submit;
}

void ExpectEqual(const Submit& a, const Submit& b) {
  EXPECT_EQ(a.request, b.request);
  EXPECT_EQ(a.tenant, b.tenant);
  EXPECT_EQ(a.priority, b.priority);
  EXPECT_EQ(a.deadline_ns, b.deadline_ns);
  EXPECT_EQ(a.supersede_group, b.supersede_group);
  EXPECT_EQ(a.cache_salt, b.cache_salt);
  EXPECT_EQ(a.adapter, b.adapter);
  EXPECT_EQ(a.emitted_tokens, b.emitted_tokens);
  EXPECT_EQ(a.choices, b.choices);
  EXPECT_EQ(a.output, b.output);
  EXPECT_EQ(a.sampling.temperature, b.sampling.temperature);
  EXPECT_EQ(a.sampling.top_k, b.sampling.top_k);
  EXPECT_EQ(a.sampling.top_p, b.sampling.top_p);
  EXPECT_EQ(a.sampling.min_p, b.sampling.min_p);
  EXPECT_EQ(a.sampling.repetition_penalty, b.sampling.repetition_penalty);
  EXPECT_EQ(a.sampling.presence_penalty, b.sampling.presence_penalty);
  EXPECT_EQ(a.sampling.frequency_penalty, b.sampling.frequency_penalty);
  EXPECT_EQ(a.sampling.seed, b.sampling.seed);
  EXPECT_EQ(a.sampling.top_logprobs, b.sampling.top_logprobs);
  EXPECT_EQ(a.sampling.max_tokens, b.sampling.max_tokens);
  EXPECT_EQ(a.sampling.min_tokens, b.sampling.min_tokens);
  EXPECT_EQ(a.sampling.ignore_eos, b.sampling.ignore_eos);
  EXPECT_EQ(a.sampling.logit_bias, b.sampling.logit_bias);
  EXPECT_EQ(a.sampling.stop_tokens, b.sampling.stop_tokens);
  EXPECT_EQ(a.prompt, b.prompt);
  EXPECT_EQ(a.forced, b.forced);
  EXPECT_EQ(std::memcmp(&a.clocks, &b.clocks, sizeof(a.clocks)), 0);
}

TEST(MessagesTest, SubmitsOfManySizesArriveWhole) {
  for (const auto& [prompt, forced] :
       {std::pair<size_t, size_t>{1, 0}, {100, 0}, {16374, 0}, {16375, 1}, {40000, 20000}, {900'000, 0}}) {
    Wires wires;
    const Submit sent = FullSubmit(prompt, forced);
    const size_t before = wires.down().FreeBytes();
    ASSERT_TRUE(Push(wires.down(), ToWorker(sent)));
    EXPECT_LE(before - wires.down().FreeBytes(), SubmitRingBytes(prompt + forced));
    Result<ToWorker> got = wires.AtWorker();
    ASSERT_TRUE(got.ok()) << got.status().ToString();
    ExpectEqual(std::get<Submit>(*got), sent);
    EXPECT_EQ(wires.AtWorker().status().code(), Code::kNotFound);
  }
}

TEST(MessagesTest, SubmitRingBytesHoldsForTheLargestBegin) {
  Wires wires;
  Submit submit = FullSubmit(20'000, 3);
  submit.sampling.logit_bias.assign(kMaxLogitBias, {1, 1.0F});
  submit.sampling.stop_tokens.assign(kMaxStopTokens, 1);
  const size_t before = wires.down().FreeBytes();
  ASSERT_TRUE(Push(wires.down(), ToWorker(submit)));
  EXPECT_LE(before - wires.down().FreeBytes(), SubmitRingBytes(20'003));
}

TEST(MessagesTest, ASubmitWithoutRoomLeavesNothingBehind) {
  Wires wires;
  ASSERT_TRUE(Push(wires.down(), ToWorker(FullSubmit(700'000, 0))));
  EXPECT_FALSE(Push(wires.down(), ToWorker(FullSubmit(400'000, 0))));
  EXPECT_TRUE(wires.down().health().ok());
  ASSERT_TRUE(Push(wires.down(), ToWorker(Cancel{5})));
  EXPECT_EQ(std::get<Submit>(wires.AtWorker().value()).prompt.size(), 700'000U);
  EXPECT_EQ(std::get<Cancel>(wires.AtWorker().value()).request, 5U);
  EXPECT_FALSE(Push(wires.down(), ToWorker(FullSubmit(kMaxPromptTokens, 0)))) << "can never fit 4 MiB";
}

TEST(MessagesTest, SmallMessagesToTheWorker) {
  Wires wires;
  ASSERT_TRUE(Push(wires.down(), ToWorker(Cancel{~uint64_t{0}})));
  ASSERT_TRUE(Push(wires.down(), ToWorker(Shutdown{30'000'000'000})));
  EXPECT_EQ(std::get<Cancel>(wires.AtWorker().value()).request, ~uint64_t{0});
  EXPECT_EQ(std::get<Shutdown>(wires.AtWorker().value()).drain_ns, 30'000'000'000);
}

TEST(MessagesTest, TheGatewayNeverSendsWhatItWouldRefuse) {
  Wires wires;
  const auto refused = [&wires](const std::function<void(Submit&)>& spoil) {
    Submit submit = FullSubmit(10, 2);
    spoil(submit);
    return !Push(wires.down(), ToWorker(submit));
  };
  EXPECT_TRUE(refused([](Submit& s) { s.request = 0; }));
  EXPECT_TRUE(refused([](Submit& s) { s.prompt.clear(); }));
  EXPECT_TRUE(refused([](Submit& s) { s.prompt[3] = -1; }));
  EXPECT_TRUE(refused([](Submit& s) { s.forced[1] = -5; }));
  EXPECT_TRUE(refused([](Submit& s) { s.emitted_tokens = 3; }));
  EXPECT_TRUE(refused([](Submit& s) { s.priority = 101; }));
  EXPECT_TRUE(refused([](Submit& s) { s.choices = 0; }));
  EXPECT_TRUE(refused([](Submit& s) { s.sampling.temperature = std::nanf(""); }));
  EXPECT_TRUE(refused([](Submit& s) { s.sampling.temperature = 100.5F; }));
  EXPECT_TRUE(refused([](Submit& s) { s.sampling.top_p = 0; }));
  EXPECT_TRUE(refused([](Submit& s) { s.sampling.top_logprobs = 21; }));
  EXPECT_TRUE(refused([](Submit& s) { s.sampling.logit_bias = {{1, std::numeric_limits<float>::infinity()}}; }));
  EXPECT_TRUE(refused([](Submit& s) { s.sampling.stop_tokens.assign(kMaxStopTokens + 1, 1); }));
  EXPECT_TRUE(refused([](Submit& s) { s.prompt.assign(kMaxPromptTokens + 1, 1); }));
  EXPECT_FALSE(Push(wires.down(), ToWorker(Cancel{0})));
  EXPECT_EQ(wires.AtWorker().status().code(), Code::kNotFound) << "nothing of it was sent";
  EXPECT_FALSE(refused([](Submit&) {}));
}

Hello SomeHello() {
  Hello hello;
  hello.build_id = std::string(64, 'b');
  hello.vocabulary_fingerprint = 1;
  hello.vocabulary_size = 49152;
  hello.end_of_sequence = {0, 2, 49151};
  hello.engine = "cpu";
  hello.isa = "avx2";
  hello.threads = 2;
  hello.slots = 8;
  hello.context = 8192;
  hello.block_tokens = 16;
  hello.blocks = 4096;
  hello.deterministic = true;
  hello.weight_bytes = 3;
  hello.kv_pool_bytes = 4;
  hello.bytes_per_token = 5;
  return hello;
}

Tokens SomeTokens() {
  Tokens tokens;
  tokens.request = 9;
  tokens.choice = 1;
  tokens.first_index = 100;
  tokens.tokens = {1, 2};
  tokens.logprobs = {{-0.5F, {{1, -0.5F}, {7, -1.5F}}}, {-std::numeric_limits<float>::infinity(), {}}};
  tokens.finish = FinishReason::kStop;
  tokens.clocks = SomeClocks();
  tokens.usage = Usage{10, 4, 20, 19, 1000, 2000, 3000, 1.5};
  return tokens;
}

TEST(MessagesTest, HelloArrives) {
  Wires wires;
  ASSERT_TRUE(Push(wires.up(), ToGateway(SomeHello())));
  const Hello got = std::get<Hello>(wires.AtGateway().value());
  EXPECT_EQ(got.build_id, SomeHello().build_id);
  EXPECT_EQ(got.vocabulary_fingerprint, 1U);
  EXPECT_EQ(got.vocabulary_size, 49152U);
  EXPECT_EQ(got.end_of_sequence, SomeHello().end_of_sequence);
  EXPECT_EQ(got.engine, "cpu");
  EXPECT_EQ(got.isa, "avx2");
  EXPECT_EQ(got.threads, 2U);
  EXPECT_EQ(got.slots, 8U);
  EXPECT_EQ(got.context, 8192U);
  EXPECT_EQ(got.block_tokens, 16U);
  EXPECT_EQ(got.blocks, 4096U);
  EXPECT_TRUE(got.deterministic);
  EXPECT_EQ(got.weight_bytes, 3U);
  EXPECT_EQ(got.kv_pool_bytes, 4U);
  EXPECT_EQ(got.bytes_per_token, 5U);
}

TEST(MessagesTest, TokensArrive) {
  Wires wires;
  ASSERT_TRUE(Push(wires.up(), ToGateway(SomeTokens())));
  const Tokens got = std::get<Tokens>(wires.AtGateway().value());
  EXPECT_EQ(got.request, 9U);
  EXPECT_EQ(got.choice, 1U);
  EXPECT_EQ(got.first_index, 100U);
  EXPECT_EQ(got.tokens, SomeTokens().tokens);
  ASSERT_EQ(got.logprobs.size(), 2U);
  EXPECT_EQ(got.logprobs[0].logprob, -0.5F);
  EXPECT_EQ(got.logprobs[0].top, SomeTokens().logprobs[0].top);
  EXPECT_TRUE(std::isinf(got.logprobs[1].logprob));
  EXPECT_EQ(got.finish, FinishReason::kStop);
  ExpectClocks(got.clocks);
  ASSERT_TRUE(got.usage.has_value());
  EXPECT_EQ(got.usage->prompt_tokens, 10U);
  EXPECT_EQ(got.usage->cached_tokens, 4U);
  EXPECT_EQ(got.usage->completion_tokens, 20U);
  EXPECT_EQ(got.usage->decode_steps, 19U);
  EXPECT_EQ(got.usage->prefill_ns, 1000);
  EXPECT_EQ(got.usage->decode_ns, 2000);
  EXPECT_EQ(got.usage->decode_bytes, 3000U);
  EXPECT_EQ(got.usage->mean_batch, 1.5);
}

TEST(MessagesTest, TheLargestTokensEventFitsARecord) {
  Wires wires;
  Tokens tokens = SomeTokens();
  tokens.tokens.assign(kMaxTokensPerEvent, 1);
  tokens.logprobs.assign(kMaxTokensPerEvent, {-1.0F, std::vector<std::pair<TokenId, float>>(kMaxTopLogprobs, {1, -1.0F})});
  ASSERT_TRUE(Push(wires.up(), ToGateway(tokens)));
  EXPECT_EQ(std::get<Tokens>(wires.AtGateway().value()).logprobs.back().top.size(), static_cast<size_t>(kMaxTopLogprobs));
}

TEST(MessagesTest, SmallMessagesToTheGateway) {
  Wires wires;
  ASSERT_TRUE(Push(wires.up(), ToGateway(Loading{3, 10})));
  ASSERT_TRUE(Push(wires.up(), ToGateway(Failed{4, Code::kDeadlineExceeded, "zu spät"})));
  ASSERT_TRUE(Push(wires.up(), ToGateway(Roof{1U << 30, 2, 17.25})));
  EXPECT_EQ(std::get<Loading>(wires.AtGateway().value()).done, 3U);
  const Failed failed = std::get<Failed>(wires.AtGateway().value());
  EXPECT_EQ(failed.request, 4U);
  EXPECT_EQ(failed.code, Code::kDeadlineExceeded);
  EXPECT_EQ(failed.message, "zu spät");
  const Roof roof = std::get<Roof>(wires.AtGateway().value());
  EXPECT_EQ(roof.buffer_bytes, 1U << 30);
  EXPECT_EQ(roof.threads, 2U);
  EXPECT_EQ(roof.gb_s, 17.25);
}

TEST(MessagesTest, LongErrorTextsAreCutBetweenCodePoints) {
  Wires wires;
  std::string text(kMaxErrorBytes - 1, 'x');
  text += "ä and more";
  ASSERT_TRUE(Push(wires.up(), ToGateway(Failed{4, Code::kInternal, text})));
  EXPECT_EQ(std::get<Failed>(wires.AtGateway().value()).message, std::string(kMaxErrorBytes - 1, 'x'));
  ASSERT_TRUE(Push(wires.up(), ToGateway(Failed{4, Code::kInternal, "file '\xFF'"})));
  EXPECT_EQ(std::get<Failed>(wires.AtGateway().value()).message, "file '\uFFFD'");
}

TEST(MessagesTest, FullRingIsFalse) {
  Wires wires;
  int pushed = 0;
  while (Push(wires.up(), ToGateway(SomeTokens()))) ++pushed;
  EXPECT_GT(pushed, 1000);
  EXPECT_TRUE(wires.up().health().ok());
}

TEST(MessagesTest, AttachArrives) {
  Attach attach;
  attach.incarnation = 3;
  attach.context = 4096;
  attach.slots = 4;
  attach.threads = 2;
  attach.prefill_chunk = 256;
  attach.kv_type = 1;
  attach.reference = true;
  attach.isa = "avx2";
  attach.model_name = "smollm2-é";
  attach.quantise = 4;
  attach.files = {"config.json", "model.safetensors"};
  const auto bytes = Encode(attach);
  const Attach got = DecodeAttach(bytes).value();
  EXPECT_EQ(got.protocol, kProtocolVersion);
  EXPECT_EQ(got.incarnation, 3U);
  EXPECT_EQ(got.context, 4096U);
  EXPECT_EQ(got.slots, 4U);
  EXPECT_EQ(got.threads, 2U);
  EXPECT_EQ(got.prefill_chunk, 256U);
  EXPECT_EQ(got.kv_type, 1);
  EXPECT_TRUE(got.reference);
  EXPECT_EQ(got.isa, "avx2");
  EXPECT_EQ(got.model_name, "smollm2-é");
  EXPECT_EQ(got.quantise, 4);
  EXPECT_EQ(got.files, attach.files);
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(DecodeAttach(std::span(bytes).first(size)).ok()) << size;
  auto longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(DecodeAttach(longer).ok());
}

TEST(MessagesTest, AttachHoldsManyFiles) {
  Attach attach;
  for (size_t i = 0; i < kMaxAttachFiles; ++i) attach.files.push_back(fmt::format("model-{:05}-of-00240.safetensors", i));
  auto bytes = Encode(attach);
  EXPECT_LE(bytes.size(), kMaxAttachBytes);
  EXPECT_EQ(DecodeAttach(bytes).value().files, attach.files);
  // One file more than there may be.
  const size_t count_at = bytes.size() - 240 * (4 + 32) - 4;
  ASSERT_EQ(bytes[count_at], std::byte{240});
  bytes[count_at] = std::byte{241};
  EXPECT_EQ(DecodeAttach(bytes).status().code(), Code::kDataLoss);
}

// ---- Hostile peers: records with honest checksums and bad contents ----

std::vector<std::byte> PayloadOf(const ToGateway& message) {
  Wires wires;
  EXPECT_TRUE(Push(wires.up(), message));
  EXPECT_TRUE(wires.ends.first.up().TryPop(wires.record).value());
  return {wires.record.payload().begin(), wires.record.payload().end()};
}

Code ReadRaw(RecordType type, std::span<const std::byte> payload) {
  Wires wires;
  EXPECT_TRUE(wires.up().TryPush(static_cast<uint16_t>(type), payload).value());
  return wires.AtGateway().status().code();
}

TEST(HostileMessagesTest, EveryTruncationIsRefused) {
  for (const auto& [type, message] : {std::pair<RecordType, ToGateway>{RecordType::kHello, SomeHello()},
                                      {RecordType::kTokens, SomeTokens()},
                                      {RecordType::kFailed, Failed{4, Code::kInternal, "text"}},
                                      {RecordType::kLoading, Loading{1, 2}},
                                      {RecordType::kRoof, Roof{1, 2, 3}}}) {
    std::vector<std::byte> payload = PayloadOf(message);
    EXPECT_EQ(ReadRaw(type, payload), Code::kOk);
    for (size_t size = 0; size < payload.size(); ++size) {
      EXPECT_EQ(ReadRaw(type, std::span(payload).first(size)), Code::kDataLoss) << static_cast<int>(type) << " cut to " << size;
    }
    payload.push_back(std::byte{0});
    EXPECT_EQ(ReadRaw(type, payload), Code::kDataLoss) << static_cast<int>(type) << " with a byte more";
  }
}

TEST(HostileMessagesTest, LiesOfTheWorkerAreRefused) {
  const auto patched = [](std::vector<std::byte> payload, size_t at, auto value) {
    EXPECT_LE(at + sizeof(value), payload.size());
    std::memcpy(payload.data() + at, &value, sizeof(value));
    return payload;
  };
  const auto tokens = PayloadOf(SomeTokens());  // request 0, choice 8, first_index 12, count 16, ids 20 and 24, count 28, ...
  EXPECT_EQ(ReadRaw(RecordType::kTokens, patched(tokens, 0, uint64_t{0})), Code::kDataLoss) << "request 0";
  EXPECT_EQ(ReadRaw(RecordType::kTokens, patched(tokens, 8, uint32_t{128})), Code::kDataLoss) << "choice";
  EXPECT_EQ(ReadRaw(RecordType::kTokens, patched(tokens, 12, ~uint32_t{0})), Code::kDataLoss) << "index overflows";
  EXPECT_EQ(ReadRaw(RecordType::kTokens, patched(tokens, 16, uint32_t{257})), Code::kDataLoss) << "too many tokens";
  EXPECT_EQ(ReadRaw(RecordType::kTokens, patched(tokens, 16, ~uint32_t{0})), Code::kDataLoss) << "count";
  EXPECT_EQ(ReadRaw(RecordType::kTokens, patched(tokens, 20, int32_t{-1})), Code::kDataLoss) << "negative token";
  EXPECT_EQ(ReadRaw(RecordType::kTokens, patched(tokens, 28, uint32_t{1})), Code::kDataLoss) << "logprobs for some tokens";
  EXPECT_EQ(ReadRaw(RecordType::kTokens, patched(tokens, 32, std::nanf(""))), Code::kDataLoss) << "NaN";
  EXPECT_EQ(ReadRaw(RecordType::kTokens, patched(tokens, 32, 1.0F)), Code::kDataLoss) << "a probability above 1";
  EXPECT_EQ(ReadRaw(RecordType::kTokens, patched(tokens, 36, uint32_t{21})), Code::kDataLoss) << "too many alternatives";
  const auto roof = PayloadOf(Roof{1, 2, 3});
  EXPECT_EQ(ReadRaw(RecordType::kRoof, patched(roof, 12, std::numeric_limits<double>::infinity())), Code::kDataLoss);
  EXPECT_EQ(ReadRaw(RecordType::kRoof, patched(roof, 12, -1.0)), Code::kDataLoss);
  EXPECT_EQ(ReadRaw(RecordType::kLoading, PayloadOf(Loading{1, 2})), Code::kOk);
  EXPECT_EQ(ReadRaw(RecordType::kLoading, patched(PayloadOf(Loading{1, 2}), 0, uint32_t{3})), Code::kDataLoss) << "done > total";
  const auto failed = PayloadOf(Failed{4, Code::kInternal, "text"});
  EXPECT_EQ(ReadRaw(RecordType::kFailed, patched(failed, 8, uint8_t{0})), Code::kDataLoss) << "a failure that is ok";
  EXPECT_EQ(ReadRaw(RecordType::kFailed, patched(failed, 8, uint8_t{11})), Code::kDataLoss) << "unknown code";
  EXPECT_EQ(ReadRaw(RecordType::kFailed, patched(failed, 13, uint8_t{0xFF})), Code::kDataLoss) << "not UTF-8";
  const auto hello = PayloadOf(SomeHello());
  EXPECT_EQ(ReadRaw(RecordType::kHello, patched(hello, 0, uint32_t{2})), Code::kDataLoss) << "protocol";
  EXPECT_EQ(ReadRaw(RecordType::kHello, patched(hello, 8, uint8_t{'\n'})), Code::kDataLoss) << "control character in a name";
  EXPECT_EQ(ReadRaw(RecordType::kHello, patched(hello, 80, uint32_t{49151})), Code::kDataLoss)
      << "end token outside the vocabulary";
  EXPECT_EQ(ReadRaw(RecordType::kCancel, PayloadOf(Loading{1, 2})), Code::kDataLoss) << "a record of the other direction";
  EXPECT_EQ(ReadRaw(static_cast<RecordType>(999), {}), Code::kDataLoss);
}

TEST(HostileMessagesTest, FinishHasARange) {
  std::vector<std::byte> payload = PayloadOf(SomeTokens());
  // Backwards from the end: usage (52 bytes), has_usage, clocks (72), finish.
  const size_t finish = payload.size() - 52 - 1 - 72 - 1;
  ASSERT_EQ(payload[finish], static_cast<std::byte>(FinishReason::kStop));
  payload[finish] = std::byte{0};
  EXPECT_EQ(ReadRaw(RecordType::kTokens, payload), Code::kOk) << "usage may come with every event";
  payload[finish] = std::byte{5};
  EXPECT_EQ(ReadRaw(RecordType::kTokens, payload), Code::kDataLoss);
}

// Records of an honest submission, to be replayed in a dishonest order.
class SubmitRecordsTest : public testing::Test {
 protected:
  struct Raw {
    uint16_t type;
    std::vector<std::byte> payload;
  };

  void SetUp() override {
    Wires wires;
    ASSERT_TRUE(Push(wires.down(), ToWorker(FullSubmit(20'000, 5))));
    while (wires.ends.second.down().TryPop(wires.record).value()) {
      records_.push_back({wires.record.type(), {wires.record.payload().begin(), wires.record.payload().end()}});
    }
    ASSERT_EQ(records_.size(), 5U);  // begin, two prompt parts, one forced part, end
  }

  // The verdict on the records in this order: ok means that a whole message came out of the last one.
  Code Replay(std::initializer_list<size_t> order) {
    Wires wires;
    for (const size_t i : order) EXPECT_TRUE(wires.down().TryPush(records_[i].type, records_[i].payload).value());
    return wires.AtWorker().status().code();
  }

  std::vector<Raw> records_;
};

TEST_F(SubmitRecordsTest, OnlyTheTrueOrderIsAccepted) {
  EXPECT_EQ(Replay({0, 1, 2, 3, 4}), Code::kOk);
  EXPECT_EQ(Replay({0, 1, 2, 3}), Code::kNotFound) << "incomplete, waits";
  EXPECT_EQ(Replay({1}), Code::kDataLoss) << "part without begin";
  EXPECT_EQ(Replay({4}), Code::kDataLoss) << "end without begin";
  EXPECT_EQ(Replay({0, 0}), Code::kDataLoss) << "begin twice";
  EXPECT_EQ(Replay({0, 4}), Code::kDataLoss) << "no tokens";
  EXPECT_EQ(Replay({0, 1, 3, 4}), Code::kDataLoss) << "a part is missing";
  EXPECT_EQ(Replay({0, 1, 1, 2, 3, 4}), Code::kDataLoss) << "a part twice";
  EXPECT_EQ(Replay({0, 3, 1, 2, 4}), Code::kDataLoss) << "prompt after forced";
}

TEST_F(SubmitRecordsTest, PartsOfAnotherRequestAreRefused) {
  records_[2].payload[0] ^= std::byte{1};
  EXPECT_EQ(Replay({0, 1, 2, 3, 4}), Code::kDataLoss);
}

TEST_F(SubmitRecordsTest, MovingTokensBetweenTheListsIsRefused) {
  records_[2].payload[8] = std::byte{1};  // the second prompt part poses as forced tokens
  EXPECT_EQ(Replay({0, 1, 2, 3, 4}), Code::kDataLoss);
}

TEST_F(SubmitRecordsTest, NothingElseBetweenParts) {
  Wires wires;
  EXPECT_TRUE(wires.down().TryPush(records_[0].type, records_[0].payload).value());
  ASSERT_TRUE(Push(wires.down(), ToWorker(Cancel{5})));
  EXPECT_EQ(wires.AtWorker().status().code(), Code::kDataLoss);
}

// Random damage to honest payloads must never crash and never yield values outside their ranges.
TEST(HostileMessagesTest, RandomDamageNeverEscapesTheRanges) {
  std::mt19937 random(3);
  const std::vector<std::byte> honest = PayloadOf(SomeTokens());
  auto wires = std::make_unique<Wires>();
  int accepted = 0;
  for (int round = 0; round < 5000; ++round) {
    std::vector<std::byte> payload = honest;
    for (unsigned i = 0; i <= random() % 3; ++i) payload[random() % payload.size()] = static_cast<std::byte>(random());
    ASSERT_TRUE(wires->up().TryPush(static_cast<uint16_t>(RecordType::kTokens), payload).value());
    const Result<ToGateway> got = wires->AtGateway();
    if (!got.ok()) continue;
    ++accepted;
    const Tokens& tokens = std::get<Tokens>(*got);
    EXPECT_NE(tokens.request, 0U);
    for (const TokenId token : tokens.tokens) EXPECT_GE(token, 0);
    for (const TokenLogprobs& item : tokens.logprobs) EXPECT_LE(item.logprob, 0.01F);
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace millrace::ipc
