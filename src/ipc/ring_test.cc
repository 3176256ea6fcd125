#include "ipc/ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "os/cpu.h"
#include "os/thread.h"
#include "os/wake.h"

namespace millrace::ipc {
namespace {

// Zeroed memory with a formatted ring, and typed access to its words for playing the hostile peer.
class RingMemory {
 public:
  explicit RingMemory(size_t capacity, uint32_t incarnation = 7) : words_(RingBytes(capacity) / sizeof(Line)) {
    EXPECT_TRUE(FormatRing(bytes(), incarnation).ok());
  }
  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(words_)); }
  RingHeader& header() { return *std::launder(reinterpret_cast<RingHeader*>(words_.data())); }
  std::span<std::byte> data() { return bytes().subspan(kRingHeaderBytes); }
  RingProducer Producer(RingProducer::Wake wake = {}) { return RingProducer::Attach(bytes(), 7, std::move(wake)).value(); }
  RingConsumer Consumer() { return RingConsumer::Attach(bytes(), 7).value(); }

 private:
  struct alignas(kCacheLineBytes) Line {
    std::byte bytes[kCacheLineBytes] = {};
  };
  std::vector<Line> words_;
};

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

std::string Text(const Record& record) {
  return std::string(reinterpret_cast<const char*>(record.payload().data()), record.payload().size());
}

// The record pushed as number `i` by the random tests: its size and bytes follow from `i` alone.
std::vector<std::byte> PatternPayload(uint64_t i, size_t most) {
  std::minstd_rand random(static_cast<unsigned>(i * 2654435761U + 1));
  std::vector<std::byte> payload(random() % (most + 1));
  for (std::byte& b : payload) b = static_cast<std::byte>(random());
  return payload;
}

TEST(RingTest, CarriesRecordsInOrder) {
  RingMemory memory(1024);
  RingProducer producer = memory.Producer();
  RingConsumer consumer = memory.Consumer();
  Record record;
  EXPECT_FALSE(consumer.TryPop(record).value());
  EXPECT_TRUE(producer.TryPush(3, Bytes("one")).value());
  EXPECT_TRUE(producer.TryPush(4, {}).value());
  ASSERT_TRUE(consumer.TryPop(record).value());
  EXPECT_EQ(record.type(), 3);
  EXPECT_EQ(record.sequence(), 0U);
  EXPECT_EQ(Text(record), "one");
  ASSERT_TRUE(consumer.TryPop(record).value());
  EXPECT_EQ(record.type(), 4);
  EXPECT_EQ(record.sequence(), 1U);
  EXPECT_TRUE(record.payload().empty());
  EXPECT_FALSE(consumer.TryPop(record).value());
}

TEST(RingTest, EveryOffsetWrapsAndKeepsBytes) {
  RingMemory memory(256);
  RingProducer producer = memory.Producer();
  RingConsumer consumer = memory.Consumer();
  Record record;
  for (uint64_t i = 0; i < 5000; ++i) {
    const auto payload = PatternPayload(i, 256 - kRecordHeaderBytes);
    ASSERT_TRUE(producer.TryPush(static_cast<uint16_t>(i), payload).value()) << i;
    ASSERT_TRUE(consumer.TryPop(record).value()) << i;
    ASSERT_EQ(record.type(), static_cast<uint16_t>(i));
    ASSERT_TRUE(std::equal(payload.begin(), payload.end(), record.payload().begin(), record.payload().end())) << i;
  }
}

TEST(RingTest, FullIsFalseAndChangesNothing) {
  RingMemory memory(256);
  RingProducer producer = memory.Producer();
  RingConsumer consumer = memory.Consumer();
  const std::string payload(40, 'x');  // 64 bytes each: four fit exactly
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(producer.TryPush(1, Bytes(payload)).value());
  EXPECT_EQ(producer.FreeBytes(), 0U);
  EXPECT_FALSE(producer.TryPush(1, {}).value());
  EXPECT_EQ(producer.sequence(), 4U);
  Record record;
  EXPECT_TRUE(consumer.TryPop(record).value());
  EXPECT_EQ(producer.FreeBytes(), 64U);
  EXPECT_TRUE(producer.TryPush(2, Bytes(payload)).value());
  EXPECT_FALSE(producer.TryPush(2, {}).value());
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(consumer.TryPop(record).value());
  EXPECT_EQ(record.type(), 2);
}

TEST(RingTest, SeveralRecordsArriveTogetherOrNotAtAll) {
  RingMemory memory(256);
  RingProducer producer = memory.Producer();
  RingConsumer consumer = memory.Consumer();
  const std::string payload(40, 'x');
  const RingProducer::Item item{9, Bytes(payload)};
  const std::vector<RingProducer::Item> three(3, item);
  EXPECT_TRUE(producer.TryPushAll(three).value());
  EXPECT_FALSE(producer.TryPushAll(three).value());
  EXPECT_EQ(producer.sequence(), 3U);
  EXPECT_EQ(producer.TryPushAll(std::vector<RingProducer::Item>(5, item)).status().code(), Code::kInvalidArgument);
  Record record;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(consumer.TryPop(record).value());
  EXPECT_FALSE(consumer.TryPop(record).value());
  EXPECT_TRUE(producer.TryPushAll(three).value());
}

TEST(RingTest, LargestRecordFitsAndOneByteMoreIsRefused) {
  RingMemory memory(size_t{128} << 10);
  RingProducer producer = memory.Producer();
  RingConsumer consumer = memory.Consumer();
  const std::string largest(kMaxPayloadBytes, 'y');
  EXPECT_TRUE(producer.TryPush(1, Bytes(largest)).value());
  EXPECT_EQ(producer.TryPush(1, Bytes(largest + "y")).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(producer.health().ok()) << "a caller's mistake does not break the ring";
  Record record;
  ASSERT_TRUE(consumer.TryPop(record).value());
  EXPECT_EQ(Text(record), largest);
}

TEST(RingTest, AttachRefusesWhatItDidNotExpect) {
  RingMemory memory(256);
  EXPECT_EQ(RingConsumer::Attach(memory.bytes(), 8).status().code(), Code::kDataLoss);
  EXPECT_EQ(RingConsumer::Attach(memory.bytes().first(300), 7).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(RingConsumer::Attach(memory.bytes().subspan(8), 7).status().code(), Code::kInvalidArgument);
  memory.header().capacity = 512;
  EXPECT_EQ(RingConsumer::Attach(memory.bytes(), 7).status().code(), Code::kDataLoss);
  memory.header().capacity = 256;
  memory.header().version = 2;
  EXPECT_EQ(RingProducer::Attach(memory.bytes(), 7, {}).status().code(), Code::kDataLoss);
  memory.header().version = kRingVersion;
  memory.header().magic = 0;
  EXPECT_EQ(RingProducer::Attach(memory.bytes(), 7, {}).status().code(), Code::kDataLoss);
}

// One way for a producer to lie. Applied after one honest record was pushed and popped and another pushed.
struct Lie {
  const char* name;
  void (*tell)(RingMemory&);
};

RecordHeader* SecondHeader(RingMemory& memory) { return reinterpret_cast<RecordHeader*>(memory.data().data() + 64); }

// Makes the checksum right again, so that the field itself must be what is refused.
void Reseal(RingMemory& memory) {
  RecordHeader& header = *SecondHeader(memory);
  header.crc32c = 0;
  const size_t length = std::min<size_t>(header.length, 128);
  header.crc32c = Crc32c(memory.data().subspan(64 + kRecordHeaderBytes, length), Crc32c(std::as_bytes(std::span(&header, 1))));
}

class LyingProducerTest : public testing::TestWithParam<Lie> {};

TEST_P(LyingProducerTest, IsFoundAndStaysDead) {
  RingMemory memory(256);
  RingProducer producer = memory.Producer();
  RingConsumer consumer = memory.Consumer();
  const std::string payload(40, 'x');
  Record record;
  ASSERT_TRUE(producer.TryPush(1, Bytes(payload)).value());
  ASSERT_TRUE(consumer.TryPop(record).value());
  ASSERT_TRUE(producer.TryPush(1, Bytes(payload)).value());
  GetParam().tell(memory);
  EXPECT_EQ(consumer.TryPop(record).status().code(), Code::kDataLoss);
  EXPECT_FALSE(consumer.health().ok());
  EXPECT_FALSE(consumer.PrepareSleep()) << "a dead ring must be looked at, not slept on";
  EXPECT_TRUE(consumer.HasRecords());
  memory.header().written.store(128);
  EXPECT_EQ(consumer.TryPop(record).status().code(), Code::kDataLoss) << "there is no way back";
}

INSTANTIATE_TEST_SUITE_P(Ring, LyingProducerTest,
                         testing::Values(Lie{"PositionWentBack", [](RingMemory& m) { m.header().written.store(56); }},
                                         Lie{"PositionZero", [](RingMemory& m) { m.header().written.store(0); }},
                                         Lie{"PositionTooFar", [](RingMemory& m) { m.header().written.store(64 + 256 + 8); }},
                                         Lie{"PositionHuge", [](RingMemory& m) { m.header().written.store(~uint64_t{7}); }},
                                         Lie{"PositionOdd", [](RingMemory& m) { m.header().written.store(129); }},
                                         Lie{"HalfAHeader", [](RingMemory& m) { m.header().written.store(64 + 16); }},
                                         Lie{"HeaderWithoutPayload", [](RingMemory& m) { m.header().written.store(64 + 24); }},
                                         Lie{"LengthBeyondLimit",
                                             [](RingMemory& m) {
                                               SecondHeader(m)->length = kMaxPayloadBytes + 1;
                                               Reseal(m);
                                             }},
                                         Lie{"LengthHuge",
                                             [](RingMemory& m) {
                                               SecondHeader(m)->length = 0xFFFFFFFFU;
                                               Reseal(m);
                                             }},
                                         Lie{"LengthLonger",
                                             [](RingMemory& m) {
                                               SecondHeader(m)->length = 41;
                                               Reseal(m);
                                             }},
                                         Lie{"LengthShorter", [](RingMemory& m) { SecondHeader(m)->length = 39; }},
                                         Lie{"OtherIncarnation",
                                             [](RingMemory& m) {
                                               SecondHeader(m)->incarnation = 8;
                                               Reseal(m);
                                             }},
                                         Lie{"SequenceRepeats",
                                             [](RingMemory& m) {
                                               SecondHeader(m)->sequence = 0;
                                               Reseal(m);
                                             }},
                                         Lie{"SequenceSkips",
                                             [](RingMemory& m) {
                                               SecondHeader(m)->sequence = 2;
                                               Reseal(m);
                                             }},
                                         Lie{"ReservedSet",
                                             [](RingMemory& m) {
                                               SecondHeader(m)->reserved = 1;
                                               Reseal(m);
                                             }},
                                         Lie{"TypeChanged", [](RingMemory& m) { SecondHeader(m)->type = 2; }},
                                         Lie{"PayloadBitFlipped", [](RingMemory& m) { m.data()[64 + 24 + 39] ^= std::byte{1}; }},
                                         Lie{"ChecksumChanged", [](RingMemory& m) { SecondHeader(m)->crc32c ^= 1U; }}),
                         [](const testing::TestParamInfo<Lie>& param) { return std::string(param.param.name); });

TEST(RingTest, ResealedHonestRecordIsAccepted) {  // shows that the lies above are refused for what they are
  RingMemory memory(256);
  RingProducer producer = memory.Producer();
  RingConsumer consumer = memory.Consumer();
  Record record;
  const std::string payload(40, 'x');
  ASSERT_TRUE(producer.TryPush(1, Bytes(payload)).value());
  ASSERT_TRUE(consumer.TryPop(record).value());
  ASSERT_TRUE(producer.TryPush(1, Bytes(payload)).value());
  SecondHeader(memory)->type = 2;
  Reseal(memory);
  ASSERT_TRUE(consumer.TryPop(record).value());
  EXPECT_EQ(record.type(), 2);
}

TEST(RingTest, ProducerDistrustsTheConsumersPosition) {
  for (const uint64_t position : {uint64_t{72}, uint64_t{4}, ~uint64_t{0}, uint64_t{1} << 63}) {
    RingMemory memory(256);
    RingProducer producer = memory.Producer();
    ASSERT_TRUE(producer.TryPush(1, Bytes(std::string(40, 'x'))).value());
    memory.header().read.store(position);
    EXPECT_EQ(producer.FreeBytes(), 0U) << position;
    EXPECT_EQ(producer.TryPush(1, {}).status().code(), Code::kDataLoss) << position;
  }
  RingMemory memory(256);
  RingProducer producer = memory.Producer();
  ASSERT_TRUE(producer.TryPush(1, Bytes(std::string(40, 'x'))).value());
  memory.header().read.store(64);
  EXPECT_EQ(producer.FreeBytes(), 256U);
  memory.header().read.store(0);
  EXPECT_EQ(producer.FreeBytes(), 0U) << "a position that goes back is a lie";
}

TEST(RingTest, WakesOnlyASleeper) {
  RingMemory memory(256);
  int wakes = 0;
  RingProducer producer = memory.Producer([&wakes] { ++wakes; });
  RingConsumer consumer = memory.Consumer();
  Record record;
  EXPECT_TRUE(producer.TryPush(1, {}).value());
  EXPECT_EQ(wakes, 0);
  EXPECT_FALSE(consumer.PrepareSleep()) << "there is a record";
  EXPECT_TRUE(consumer.TryPop(record).value());
  EXPECT_TRUE(consumer.PrepareSleep());
  EXPECT_TRUE(producer.TryPush(1, {}).value());
  EXPECT_TRUE(producer.TryPush(1, {}).value());
  EXPECT_EQ(wakes, 1) << "the second push finds the wake-up already on its way";
  consumer.EndSleep();
  EXPECT_TRUE(consumer.TryPop(record).value());
  EXPECT_TRUE(consumer.TryPop(record).value());
  EXPECT_TRUE(consumer.PrepareSleep());
  consumer.EndSleep();
  EXPECT_TRUE(producer.TryPush(1, {}).value());
  EXPECT_EQ(wakes, 1) << "the request was taken back";
}

TEST(RingStressTest, TwoThreadsSpinning) {
  constexpr uint64_t kRecords = 40'000;
  RingMemory memory(1024);
  std::thread writer([&memory] {
    RingProducer producer = memory.Producer();
    for (uint64_t i = 0; i < kRecords;) {
      const auto payload = PatternPayload(i, 300);
      const Result<bool> pushed = producer.TryPush(static_cast<uint16_t>(i), payload);
      ASSERT_TRUE(pushed.ok()) << pushed.status().ToString();
      if (*pushed) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  RingConsumer consumer = memory.Consumer();
  Record record;
  for (uint64_t i = 0; i < kRecords;) {
    const Result<bool> popped = consumer.TryPop(record);
    ASSERT_TRUE(popped.ok()) << popped.status().ToString();
    if (!*popped) {
      std::this_thread::yield();
      continue;
    }
    const auto payload = PatternPayload(i, 300);
    ASSERT_TRUE(std::equal(payload.begin(), payload.end(), record.payload().begin(), record.payload().end())) << i;
    ++i;
  }
  writer.join();
}

// Up to a microsecond or so. Both sides take such breaks, so that their critical moments meet in every order.
void Dawdle(std::minstd_rand& random) {
  for (volatile unsigned pause = static_cast<unsigned>(random() % 512); pause > 0;) pause = pause - 1;
}

// Two threads on one core never meet in the middle of anything.
void TakeOwnCore(size_t index) {
  const std::vector<int> cpus = UsableCpus();
  if (cpus.size() >= 2) (void)PinThread(cpus[index]);
}

// A consumer that sleeps whenever it may, and a producer that pushes one record at a time, at a random moment around the consumer's falling
// asleep, and then waits for it to be taken. A lost wake-up shows as a sleep that ends by its (long) timeout.
TEST(RingStressTest, NoWakeUpIsLost) {
  constexpr uint64_t kRecords = 50'000;
  RingMemory memory(256);
  std::atomic<uint32_t> event{0};  // the wake-up: a counter that only grows
  std::thread writer([&] {
    TakeOwnCore(1);
    std::minstd_rand random(5);
    RingProducer producer = memory.Producer([&event] {
      event.fetch_add(1);
      WakeOne(event, WordScope::kThreads);
    });
    for (uint64_t i = 0; i < kRecords; ++i) {
      ASSERT_TRUE(producer.TryPush(1, {}).value());
      for (int spins = 0; producer.FreeBytes() < 256; ++spins) {
        if (spins > 1000) std::this_thread::yield();
      }
      Dawdle(random);
    }
  });
  uint64_t slept = 0;
  uint64_t lost = 0;
  std::thread reader([&] {
    TakeOwnCore(0);
    RingConsumer consumer = memory.Consumer();
    Record record;
    std::minstd_rand random(6);
    for (uint64_t seen = 0; seen < kRecords;) {
      const uint32_t before = event.load();
      if (consumer.TryPop(record).value()) {
        ++seen;
        Dawdle(random);
        continue;
      }
      if (!consumer.PrepareSleep()) continue;
      ++slept;
      bool in_time = true;
      while (in_time && event.load() == before) in_time = WaitOnWord(event, before, WordScope::kThreads, std::chrono::seconds(2));
      if (!in_time) ++lost;
      consumer.EndSleep();
    }
  });
  reader.join();
  writer.join();
  EXPECT_EQ(lost, 0U);
  EXPECT_GT(slept, 0U);
}

}  // namespace
}  // namespace millrace::ipc
