// docs/ring-format.md against the code: what the page says about bytes is what the code writes.
#include <gtest/gtest.h>

#include <charconv>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/messages.h"
#include "ipc/ring.h"
#include "ipc/segment.h"

namespace millrace::ipc {
namespace {

constexpr size_t kCapacity = 256;
constexpr uint32_t kIncarnation = 7;

std::string ThePage() {
  std::ifstream in(MILLRACE_SOURCE_DIR "/docs/ring-format.md");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Offset and bytes of every byte listed in the n-th block that begins with `fence`.
std::map<size_t, std::byte> Example(int n, std::string_view fence = "```ring\n") {
  const std::string page = ThePage();
  size_t at = 0;
  for (int i = 0; i <= n; ++i) at = page.find(fence, at) + fence.size();
  std::istringstream block(page.substr(at, page.find("```", at) - at));
  std::map<size_t, std::byte> bytes;
  for (std::string line; std::getline(block, line);) {
    size_t offset = 0;
    std::from_chars(line.data(), line.data() + 4, offset, 16);
    for (size_t column = 6; column + 2 <= line.size(); column += 3) {
      unsigned value = 0;
      std::from_chars(line.data() + column, line.data() + column + 2, value, 16);
      bytes[offset++] = static_cast<std::byte>(value);
    }
  }
  return bytes;
}

class RingFormatTest : public testing::Test {
 protected:
  struct alignas(kCacheLineBytes) Line {
    std::byte bytes[kCacheLineBytes] = {};
  };

  RingFormatTest() : lines_(RingBytes(kCapacity) / sizeof(Line)), memory_(std::as_writable_bytes(std::span(lines_))) {
    EXPECT_TRUE(FormatRing(memory_, kIncarnation).ok());
    producer_ = RingProducer::Attach(memory_, kIncarnation, {}).value();
    consumer_ = RingConsumer::Attach(memory_, kIncarnation).value();
  }

  std::vector<Line> lines_;
  std::span<std::byte> memory_;
  RingProducer producer_;
  RingConsumer consumer_;
};

TEST_F(RingFormatTest, FirstExampleIsWhatTheCodeWrites) {
  ASSERT_TRUE(Push(producer_, ToWorker(Cancel{77})));
  ASSERT_TRUE(producer_.TryPush(9, std::as_bytes(std::span("abc", 3))).value());
  const std::map<size_t, std::byte> example = Example(0);
  ASSERT_EQ(example.size(), 96U);
  for (size_t i = 0; i < memory_.size(); ++i) {
    const auto listed = example.find(i);
    ASSERT_EQ(memory_[i], listed == example.end() ? std::byte{0} : listed->second) << "offset " << i;
  }
}

TEST_F(RingFormatTest, FirstExampleIsWhatTheCodeReads) {
  for (const auto& [offset, value] : Example(0)) memory_[offset] = value;
  Record record;
  ToWorkerReader reader;
  ASSERT_TRUE(consumer_.TryPop(record).value());
  EXPECT_EQ(std::get<Cancel>(**reader.Feed(record)).request, 77U);
  ASSERT_TRUE(consumer_.TryPop(record).value());
  EXPECT_EQ(record.type(), 9);
  EXPECT_EQ(record.payload().size(), 3U);
}

TEST_F(RingFormatTest, SecondExampleWraps) {
  Record record;
  ASSERT_TRUE(producer_.TryPush(1, std::vector<std::byte>(216)).value());
  ASSERT_TRUE(consumer_.TryPop(record).value());
  ASSERT_TRUE(Push(producer_, ToWorker(Cancel{77})));
  const std::map<size_t, std::byte> example = Example(1);
  ASSERT_EQ(example.size(), 48U);
  for (const auto& [offset, value] : example) EXPECT_EQ(memory_[offset], value) << "offset " << offset;
}

TEST(ControlFormatTest, TheExampleIsWhatTheCodeWrites) {
  Attach attach;
  attach.incarnation = 3;
  attach.context = 4096;
  attach.slots = 4;
  attach.threads = 2;
  attach.prefill_chunk = 256;
  attach.isa = "avx2";
  attach.model_name = "tiny";
  attach.quantise = 4;
  attach.files = {"config.json", "model.safetensors"};
  std::map<size_t, std::byte> written;
  for (const std::byte byte : Encode(attach)) written.emplace(written.size(), byte);
  EXPECT_EQ(Example(0, "```control\n"), written);
}

TEST(SegmentFormatTest, ThePageNamesTheCodesNumbers) {
  const std::string page = ThePage();
  for (const size_t number :
       {kSegmentBytes, kSegmentHeaderBytes, kDownCapacity, kUpCapacity, kUpOffset, kRingHeaderBytes, kMaxRecordBytes}) {
    EXPECT_NE(page.find(std::to_string(number)), std::string::npos) << number;
  }
  EXPECT_NE(page.find(fmt::format("| {} | heartbeat", offsetof(SegmentHeader, heartbeat))), std::string::npos);
  EXPECT_NE(page.find(fmt::format("| {} | step", offsetof(SegmentHeader, step))), std::string::npos);
  EXPECT_NE(page.find(fmt::format("| {} | statistics", offsetof(SegmentHeader, stats))), std::string::npos);
  EXPECT_NE(page.find(fmt::format("| {} | written", offsetof(RingHeader, written))), std::string::npos);
  EXPECT_NE(page.find(fmt::format("| {} | read", offsetof(RingHeader, read))), std::string::npos);
  EXPECT_NE(page.find(fmt::format("| {} | sleeping", offsetof(RingHeader, sleeping))), std::string::npos);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(&kSegmentMagic), 8), "LLMRSEG1");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(&kRingMagic), 4), "MRRG");
}

TEST(SegmentFormatTest, ThePageListsEveryRecordType) {
  const std::string page = ThePage();
  for (const auto& [type, name] : {std::pair{RecordType::kSubmitBegin, "SubmitBegin"},
                                   {RecordType::kSubmitPart, "SubmitPart"},
                                   {RecordType::kSubmitEnd, "SubmitEnd"},
                                   {RecordType::kCancel, "Cancel"},
                                   {RecordType::kShutdown, "Shutdown"},
                                   {RecordType::kHello, "Hello"},
                                   {RecordType::kLoading, "Loading"},
                                   {RecordType::kTokens, "Tokens"},
                                   {RecordType::kFailed, "Failed"},
                                   {RecordType::kRoof, "Roof"}}) {
    EXPECT_NE(page.find(fmt::format("| {} | {} |", static_cast<int>(type), name)), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace millrace::ipc
