// Files that lie. Each row breaks one thing and says which words the error must hold.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "weights/gguf.h"
#include "weights/testing/gguf_builder.h"

namespace millrace::weights {
namespace {

using testing::AsBytes;
using testing::ByteWriter;
using testing::GgufBuilder;

constexpr uint64_t kHuge = ~0ULL;

std::string Header(uint32_t version, uint64_t tensors, uint64_t entries) {
  return ByteWriter().Raw("GGUF").Put(version).Put(tensors).Put(entries).bytes();
}

GgufBuilder::Tensor F32Tensor(std::string name, uint64_t elements) {
  return {.name = std::move(name), .dims = {elements}, .type = 0, .data = std::string(elements * 4, 'x')};
}

struct Lie {
  std::string name;
  std::string image;
  Code code;
  std::vector<std::string> words;  // all of them stand in the message
};

void PrintTo(const Lie& lie, std::ostream* out) { *out << lie.name; }

std::vector<Lie> HeaderLies() {
  std::vector<Lie> lies;
  lies.push_back({"empty", "", Code::kDataLoss, {"not a GGUF file", "0 bytes"}});
  lies.push_back({"three_bytes", "GGU", Code::kDataLoss, {"3 bytes"}});
  lies.push_back({"other_magic", "ggjt\3\0\0\0 and so on and so on", Code::kDataLoss, {"'GGUF'", "67 67 6a 74"}});
  lies.push_back({"control_in_magic", std::string("\x1b[2J\0\0\0\0", 8), Code::kDataLoss, {"1b 5b 32 4a"}});
  lies.push_back({"magic_only", "GGUF", Code::kDataLoss, {"version", "4..8", "has 4"}});
  lies.push_back({"version_one", Header(1, 0, 0), Code::kUnsupported, {"version 1", "2 and 3"}});
  lies.push_back({"version_zero", Header(0, 0, 0), Code::kUnsupported, {"version 0"}});
  lies.push_back({"version_four", Header(4, 0, 0), Code::kUnsupported, {"version 4", "2 and 3"}});
  lies.push_back({"big_endian", Header(0x03000000, 0, 0), Code::kUnsupported, {"big-endian", "version 3"}});
  lies.push_back({"huge_tensor_count", Header(3, kHuge, 0), Code::kDataLoss, {"18446744073709551615 tensors"}});
  lies.push_back({"wrapping_tensor_count", Header(3, 1ULL << 59, 0), Code::kDataLoss, {"tensors"}});
  lies.push_back({"huge_entry_count", Header(3, 0, kHuge), Code::kDataLoss, {"18446744073709551615 metadata entries"}});
  lies.push_back({"one_entry_too_many", Header(3, 0, 1), Code::kDataLoss, {"1 metadata entries"}});
  lies.push_back({"more_tensors_than_limit",
                  Header(3, 100'001, 0) + std::string(100'001 * 33, '\0'),
                  Code::kResourceExhausted,
                  {"100001 tensors", "100000"}});
  lies.push_back({"more_entries_than_limit",
                  Header(3, 0, 70'000) + std::string(70'000 * 14, '\0'),
                  Code::kResourceExhausted,
                  {"70000 metadata entries", "65536"}});
  GgufBuilder missing;
  missing.claimed_entries = 2;
  missing.U32("only.one", 1).Add(F32Tensor("t", 64));
  lies.push_back({"entry_read_from_tensor_info", missing.Build(), Code::kDataLoss, {"tensor 1 of 1"}});
  return lies;
}

std::string WithEntry(const ByteWriter& entry) { return Header(3, 0, 1) + entry.bytes() + std::string(64, '\0'); }

std::vector<Lie> EntryLies() {
  const auto u32 = static_cast<uint32_t>(GgufType::kUint32);
  const auto string = static_cast<uint32_t>(GgufType::kString);
  std::vector<Lie> lies;
  lies.push_back({"huge_key", WithEntry(ByteWriter().Put(kHuge).Raw("k")), Code::kDataLoss, {"key", "18446744073709551615"}});
  lies.push_back({"key_beyond_file", WithEntry(ByteWriter().Put<uint64_t>(900).Raw("k")), Code::kDataLoss, {"key", "900 bytes"}});
  lies.push_back({"key_over_limit",
                  WithEntry(ByteWriter().String(std::string(2000, 'k')).Put(u32).Put(1)),
                  Code::kResourceExhausted,
                  {"2000", "key_bytes", "1024"}});
  lies.push_back({"empty_key", WithEntry(ByteWriter().String("").Put(u32).Put(1)), Code::kDataLoss, {"non-empty"}});
  lies.push_back(
      {"ill_formed_key", WithEntry(ByteWriter().String("a\xFFz").Put(u32).Put(1)), Code::kDataLoss, {"UTF-8", "a\xEF\xBF\xBDz"}});
  lies.push_back({"overlong_key", WithEntry(ByteWriter().String("\xC0\x80").Put(u32).Put(1)), Code::kDataLoss, {"UTF-8"}});
  lies.push_back(
      {"control_in_key", WithEntry(ByteWriter().String("a\x1b[31m").Put(u32).Put(1)), Code::kDataLoss, {"'a?[31m'", "control"}});
  lies.push_back({"unknown_type",
                  WithEntry(ByteWriter().String("k").Put<uint32_t>(13).Put(1)),
                  Code::kDataLoss,
                  {"'k'", "type 13", "0 to 12"}});
  lies.push_back({"huge_type", WithEntry(ByteWriter().String("k").Put<uint32_t>(~0U).Put(1)), Code::kDataLoss, {"4294967295"}});
  lies.push_back(
      {"bool_of_two", WithEntry(ByteWriter().String("k").Put<uint32_t>(7).Put<uint8_t>(2)), Code::kDataLoss, {"bool", "2"}});
  lies.push_back({"huge_string",
                  WithEntry(ByteWriter().String("k").Put(string).Put(kHuge)),
                  Code::kDataLoss,
                  {"'k'", "18446744073709551615"}});
  lies.push_back({"string_beyond_file",
                  WithEntry(ByteWriter().String("k").Put(string).Put<uint64_t>(65)),
                  Code::kDataLoss,
                  {"'k'", "65 bytes", "64 are left"}});

  GgufBuilder twice;
  twice.U32("a", 1).U32("b", 1).F32("a", 2);
  lies.push_back({"duplicate_key", twice.Build(), Code::kDataLoss, {"'a'", "twice"}});
  GgufBuilder split;
  split.Add<uint16_t>("split.count", GgufType::kUint16, 4);
  lies.push_back({"split_file", split.Build(), Code::kUnsupported, {"split.count", "4 files"}});
  GgufBuilder odd_split;
  odd_split.String("split.count", "two");
  lies.push_back({"split_count_of_wrong_type", odd_split.Build(), Code::kInvalidArgument, {"split.count", "found string"}});
  for (const uint32_t alignment : {0U, 1U, 4U, 24U, 48U, 1U << 21, ~0U}) {
    GgufBuilder builder;
    builder.U32("general.alignment", alignment).Filled("t", {4}, DType::kF32);
    lies.push_back({"alignment_" + std::to_string(alignment),
                    builder.Build(),
                    Code::kDataLoss,
                    {"general.alignment", std::to_string(alignment), "power of two"}});
  }
  GgufBuilder alignment_text;
  alignment_text.String("general.alignment", "32");
  lies.push_back(
      {"alignment_of_wrong_type", alignment_text.Build(), Code::kInvalidArgument, {"general.alignment", "found string"}});
  return lies;
}

std::vector<Lie> ArrayLies() {
  std::vector<Lie> lies;
  const auto array = [](GgufType element, uint64_t count, const std::string& rest) {
    return GgufBuilder().Array("list", element, count).RawEntryBytes(rest).Build();
  };
  lies.push_back({"huge_array", array(GgufType::kUint8, kHuge, "x"), Code::kDataLoss, {"'list'", "18446744073709551615"}});
  lies.push_back(
      {"wrapping_array", array(GgufType::kUint64, (1ULL << 61) + 1, std::string(8, 'x')), Code::kDataLoss, {"'list'"}});
  lies.push_back({"array_one_too_long",
                  array(GgufType::kUint32, 3, std::string(11, 'x')),
                  Code::kDataLoss,
                  {"3 elements", "u32", "11 bytes"}});
  lies.push_back({"huge_string_array", array(GgufType::kString, kHuge / 8, "x"), Code::kDataLoss, {"'list'", "string"}});
  lies.push_back({"string_in_array_beyond_file",
                  array(GgufType::kString, 1, ByteWriter().Put<uint64_t>(5).Raw("four").bytes()),
                  Code::kDataLoss,
                  {"'list'", "string in array", "5 bytes"}});
  lies.push_back(
      {"huge_string_in_array", array(GgufType::kString, 1, ByteWriter().Put(kHuge).bytes()), Code::kDataLoss, {"'list'"}});
  lies.push_back({"nested_array", array(GgufType::kArray, 1, std::string(32, '\0')), Code::kUnsupported, {"'list'", "nested"}});
  lies.push_back(
      {"array_of_unknown_type", array(static_cast<GgufType>(77), 1, std::string(32, '\0')), Code::kDataLoss, {"'list'", "77"}});
  return lies;
}

std::vector<Lie> TensorLies() {
  std::vector<Lie> lies;
  const auto add = [&](const char* name, const GgufBuilder& builder, Code code, std::vector<std::string> words) {
    lies.push_back({name, builder.Build(), code, std::move(words)});
  };
  const auto one = [](GgufBuilder::Tensor tensor) { return GgufBuilder().Add(std::move(tensor)); };
  const std::string data(64, 'x');

  GgufBuilder more;
  more.claimed_tensors = 3;
  more.Add(F32Tensor("a", 4)).Add(F32Tensor("b", 512));
  add("one_tensor_too_many", more, Code::kDataLoss, {"tensor 3 of 3"});
  add("no_dimensions", one({"t", {}, 0, data, -1}), Code::kDataLoss, {"'t'", "0 dimensions", "1 to 4"});
  add("five_dimensions", one({"t", {1, 1, 1, 1, 1}, 0, data, -1}), Code::kDataLoss, {"5 dimensions"});
  add("zero_dimension", one({"t", {4, 0}, 0, data, -1}), Code::kDataLoss, {"'t'", "dimension 1 is 0"});
  add("zero_columns", one({"t", {0}, 0, data, -1}), Code::kDataLoss, {"dimension 0 is 0"});
  add("huge_columns", one({"t", {kHuge}, 0, data, -1}), Code::kDataLoss, {"'t'", "64 bits"});
  add("wrapping_rows", one({"t", {32, 1ULL << 32, 1ULL << 32}, 0, data, -1}), Code::kDataLoss, {"'t'", "64 bits"});
  add("wrapping_bytes", one({"t", {1ULL << 31, 1ULL << 31}, 0, data, -1}), Code::kDataLoss, {"'t'", "64 bits"});
  add("unknown_tensor_type", one({"blk.0.q", {16}, 99, data, -1}), Code::kUnsupported,
      {"'blk.0.q'", "type 99", "0 F32", "8 Q8_0", "14 Q6_K"});
  add("foreign_tensor_type", one({"t", {256}, 10, data, -1}), Code::kUnsupported, {"10 (Q2_K)", "3 Q4_1"});
  add("part_of_a_block", one({"t", {48, 2}, 3, data, -1}), Code::kDataLoss, {"48 elements", "multiple of 32", "Q4_1"});
  add("part_of_a_large_block", one({"t", {576, 2}, 12, data, -1}), Code::kDataLoss, {"576", "multiple of 256", "Q4_K"});
  add("odd_offset", one({"t", {4}, 0, data, 4}), Code::kDataLoss, {"'t'", "offset 4", "alignment 32"});
  add("offset_beyond_file", one({"t", {4}, 0, data, 4096}), Code::kDataLoss,
      {"'t'", "needs bytes 4160..4176", "the file has 128"});
  add("wrapping_offset", one({"t", {4}, 0, data, INT64_MAX - 31}), Code::kDataLoss, {"'t'"});
  add("data_cut_short", one({"t", {17}, 0, data, -1}), Code::kDataLoss, {"'t'", "needs bytes 64..132", "the file has 128"});
  add("overlap", GgufBuilder().Add(F32Tensor("a", 16)).Add({"b", {4}, 0, data, 32}), Code::kDataLoss, {"'b'", "overlaps", "'a'"});
  add("same_place", GgufBuilder().Add(F32Tensor("a", 4)).Add({"b", {4}, 0, data, 0}), Code::kDataLoss, {"overlaps"});
  add("duplicate_tensor", GgufBuilder().Add(F32Tensor("a", 4)).Add(F32Tensor("a", 4)), Code::kDataLoss, {"'a'", "twice"});
  add("empty_name", one({"", {4}, 0, data, -1}), Code::kDataLoss, {"tensor 1 of 1", "non-empty"});
  add("ill_formed_name", one({"t\xED\xA0\x80", {4}, 0, data, -1}), Code::kDataLoss, {"UTF-8"});
  add("name_over_limit", one({std::string(300, 'n'), {4}, 0, std::string(400, 'x'), -1}), Code::kResourceExhausted,
      {"300", "256"});
  return lies;
}

class GgufLies : public ::testing::TestWithParam<Lie> {};

TEST_P(GgufLies, AreRefusedWithTheReason) {
  const Lie& lie = GetParam();
  const auto file = GgufFile::Parse(AsBytes(lie.image));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), lie.code) << file.status().message();
  for (const std::string& word : lie.words) {
    EXPECT_NE(file.status().message().find(word), std::string::npos) << "'" << word << "' is not in: " << file.status().message();
  }
}

const auto kName = [](const auto& row) { return row.param.name; };
INSTANTIATE_TEST_SUITE_P(Header, GgufLies, ::testing::ValuesIn(HeaderLies()), kName);
INSTANTIATE_TEST_SUITE_P(Entry, GgufLies, ::testing::ValuesIn(EntryLies()), kName);
INSTANTIATE_TEST_SUITE_P(Array, GgufLies, ::testing::ValuesIn(ArrayLies()), kName);
INSTANTIATE_TEST_SUITE_P(Tensor, GgufLies, ::testing::ValuesIn(TensorLies()), kName);

std::string SmallFile() {
  GgufBuilder builder;
  builder.String("general.architecture", "llama").Strings("tokens", {"a", "bc"}).U32("n", 3);
  builder.Numbers<int32_t>("types", GgufType::kInt32, {1, 2}).Filled("w", {32, 2}, DType::kQ8_0).Filled("v", {8}, DType::kF32);
  return builder.Build();
}

TEST(GgufTruncated, AtEveryByteIsAnError) {
  const std::string image = SmallFile();
  ASSERT_TRUE(GgufFile::Parse(AsBytes(image)).ok());
  for (size_t size = 0; size < image.size(); ++size) {
    // A copy of exactly this size, so that a sanitizer sees the first byte read beyond it.
    const std::vector<char> cut(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(size));
    const auto file = GgufFile::Parse(std::as_bytes(std::span(cut)));
    ASSERT_FALSE(file.ok()) << "cut at " << size;
    EXPECT_EQ(file.status().code(), Code::kDataLoss) << file.status().message();
  }
}

TEST(GgufFlipped, EveryBitNeverCrashes) {
  const std::string image = SmallFile();
  size_t refused = 0;
  for (size_t bit = 0; bit < image.size() * 8; ++bit) {
    std::string flipped = image;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto file = GgufFile::Parse(AsBytes(flipped));
    refused += file.ok() ? 0 : 1;
    if (!file.ok()) continue;
    for (const TensorView& tensor : file->tensors()) EXPECT_EQ(tensor.data.size(), tensor.rows * tensor.row_bytes());
  }
  EXPECT_GT(refused, 500u);
}

TEST(GgufLimitsTest, AreTheCallersToLower) {
  const std::string image = SmallFile();
  GgufLimits limits;
  limits.array_elements = 1;
  EXPECT_EQ(GgufFile::Parse(AsBytes(image), limits).status().code(), Code::kResourceExhausted);
  limits = {};
  limits.string_bytes = 2;
  EXPECT_EQ(GgufFile::Parse(AsBytes(image), limits).status().code(), Code::kResourceExhausted);
  limits = {};
  limits.tensors = 1;
  EXPECT_EQ(GgufFile::Parse(AsBytes(image), limits).status().code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace millrace::weights
