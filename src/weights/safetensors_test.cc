#include "weights/safetensors.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "weights/testing/gguf_builder.h"
#include "weights/testing/safetensors_builder.h"

namespace millrace::weights {
namespace {

using testing::AsBytes;
using testing::SafetensorsBuilder;
using testing::SafetensorsImage;

std::string SmallFile() {
  SafetensorsBuilder builder;
  builder.Add("b", "F32", {2, 3}, std::string(24, 'b')).Add("a", "BF16", {5}, std::string(10, 'a'));
  return builder.Add("scalar", "I64", {}, std::string(8, 's')).Build();
}

TEST(Safetensors, ReadsTensorsWhereTheyLie) {
  const std::string image = SmallFile();
  const auto file = SafetensorsFile::Parse(AsBytes(image));
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_EQ(file->tensors().size(), 3u);
  const SafetensorsTensor* b = file->FindTensor("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->type, SafetensorsType::kF32);
  EXPECT_EQ(b->shape, (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(b->ShapeText(), "[2, 3]");
  EXPECT_EQ(b->data.size(), 24u);
  EXPECT_EQ(b->data[0], std::byte{'b'});
  EXPECT_EQ(file->FindTensor("a")->data[9], std::byte{'a'});
  EXPECT_TRUE(file->FindTensor("scalar")->shape.empty());
  EXPECT_EQ(file->FindTensor("c"), nullptr);
}

TEST(Safetensors, NamesStayValidWhenTheFileMoves) {
  const std::string image = SmallFile();
  auto file = SafetensorsFile::Parse(AsBytes(image));
  ASSERT_TRUE(file.ok());
  const SafetensorsTensor* before = file->FindTensor("a");
  const SafetensorsFile moved = *std::move(file);
  EXPECT_EQ(moved.FindTensor("a"), before);
}

TEST(Safetensors, MetadataPaddingAndEmptyTensors) {
  const std::string image = SafetensorsImage(
      R"({"__metadata__":{"format":"pt"},"e":{"dtype":"F16","shape":[0,4],"data_offsets":[0,0]},"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}    )",
      "xy");
  const auto file = SafetensorsFile::Parse(AsBytes(image));
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_EQ(file->metadata().size(), 1u);
  EXPECT_EQ(file->metadata()[0].second, "pt");
  EXPECT_EQ(file->tensors().size(), 2u);
  const std::string none = SafetensorsImage("{}", "");
  EXPECT_TRUE(SafetensorsFile::Parse(AsBytes(none)).ok());
}

TEST(Safetensors, FloatTypes) {
  EXPECT_EQ(FloatTypeOf(SafetensorsType::kBF16), DType::kBF16);
  EXPECT_EQ(FloatTypeOf(SafetensorsType::kU32), std::nullopt);
  EXPECT_EQ(SafetensorsTypeName(SafetensorsType::kU64), "U64");
  EXPECT_EQ(SafetensorsTypeBytes(SafetensorsType::kF8E4M3), 1u);
}

struct Lie {
  std::string name;
  std::string image;
  Code code;
  std::vector<std::string> words;  // all of them stand in the message
};

void PrintTo(const Lie& lie, std::ostream* out) { *out << lie.name; }

std::string Length(uint64_t length, std::string_view rest) {
  return std::string(reinterpret_cast<const char*>(&length), 8).append(rest);
}

std::vector<Lie> HeaderLies() {
  const Code loss = Code::kDataLoss;
  return {
      {"empty", "", loss, {"not a safetensors file", "0 bytes"}},
      {"seven_bytes", "1234567", loss, {"7 bytes"}},
      {"huge_length", Length(~0ULL, "{}"), loss, {"18446744073709551615", "2 are left"}},
      {"one_too_long", Length(3, "{}"), loss, {"3 bytes long", "2 are left", "of 10"}},
      {"wrapping_length", Length(~0ULL - 7, "{}"), loss, {"18446744073709551608"}},
      {"no_header", Length(0, ""), loss, {"begins with '{'"}},
      {"other_file", Length(4, "GGUF"), loss, {"begins with '{'", "GGUF"}},
      {"space_first", SafetensorsImage(" {}", ""), loss, {"begins with '{'"}},
      {"control_first", SafetensorsImage("\x1b[2J", ""), loss, {"'?[2J'"}},
      {"array", SafetensorsImage("[]", ""), loss, {"begins with"}},
      {"cut_json", SafetensorsImage(R"({"a":)", ""), loss, {"header", "JSON"}},
      {"two_values", SafetensorsImage("{} {}", ""), loss, {"header", "after the value"}},
      {"deep", SafetensorsImage("{\"a\":" + std::string(9, '[') + std::string(9, ']') + "}", ""), loss, {"header"}},
      {"ill_formed_utf8", SafetensorsImage("{\"a\xff\":1}", ""), loss, {"header"}},
      {"same_name_twice",
       SafetensorsImage(
           R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", "x"),
       loss,
       {"same name"}},
      {"member_twice",
       SafetensorsImage(R"({"a":{"dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]}})", "x"),
       loss,
       {"same name"}},
      {"metadata_of_numbers", SafetensorsImage(R"({"__metadata__":{"n":1}})", ""), loss, {"'__metadata__'", "'n'", "integer"}},
      {"metadata_array", SafetensorsImage(R"({"__metadata__":[]})", ""), loss, {"'__metadata__'", "array"}},
      {"buffer_without_tensors", SafetensorsImage("{}", "xyz"), loss, {"0 bytes", "buffer of 3"}},
  };
}

// One tensor "t" with these members over a buffer of 8 bytes.
Lie One(std::string name, std::string_view members, Code code, std::vector<std::string> words) {
  const std::string header = "{\"t\":{" + std::string(members) + "}}";
  return {std::move(name), SafetensorsImage(header, "12345678"), code, std::move(words)};
}

std::vector<Lie> TensorLies() {
  const Code loss = Code::kDataLoss;
  std::vector<Lie> lies = {
      One("no_dtype", R"("shape":[8],"data_offsets":[0,8])", loss, {"'t'", "'dtype'"}),
      One("number_dtype", R"("dtype":3,"shape":[8],"data_offsets":[0,8])", loss, {"'dtype'"}),
      One("unknown_dtype", R"("dtype":"F4","shape":[8],"data_offsets":[0,8])", Code::kUnsupported, {"'F4'", "BF16", "U32"}),
      One("no_shape", R"("dtype":"U8","data_offsets":[0,8])", loss, {"'shape'"}),
      One("text_in_shape", R"("dtype":"U8","shape":["8"],"data_offsets":[0,8])", loss, {"'shape'", "\"8\""}),
      One("negative_shape", R"("dtype":"U8","shape":[-8],"data_offsets":[0,8])", loss, {"'shape'", "-8"}),
      One("real_shape", R"("dtype":"U8","shape":[8.5],"data_offsets":[0,8])", loss, {"'shape'", "8.5"}),
      One("huge_shape", R"("dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,8])", loss, {"'shape'"}),
      One("nine_dimensions", R"("dtype":"U8","shape":[1,1,1,1,1,1,1,1,8],"data_offsets":[0,8])", loss, {"9 numbers", "8"}),
      One("wrapping_product", R"("dtype":"U8","shape":[4294967296,4294967296,8],"data_offsets":[0,8])", loss, {"64 bits"}),
      One("wrapping_bytes", R"("dtype":"U64","shape":[2305843009213693953],"data_offsets":[0,8])", loss, {"64 bits"}),
      One("too_large", R"("dtype":"F32","shape":[3],"data_offsets":[0,8])", loss, {"12 bytes", "[0, 8]", "are 8"}),
      One("too_small", R"("dtype":"F32","shape":[1],"data_offsets":[0,8])", loss, {"4 bytes"}),
      One("no_offsets", R"("dtype":"U8","shape":[8])", loss, {"'data_offsets'"}),
      One("one_offset", R"("dtype":"U8","shape":[8],"data_offsets":[8])", loss, {"'data_offsets'", "[8]"}),
      One("three_offsets", R"("dtype":"U8","shape":[8],"data_offsets":[0,8,8])", loss, {"3 numbers"}),
      One("backwards", R"("dtype":"U8","shape":[8],"data_offsets":[8,0])", loss, {"[8, 0]"}),
      One("beyond_the_file", R"("dtype":"U8","shape":[9],"data_offsets":[0,9])", loss, {"[0, 9]", "at most 8"}),
      One("huge_offsets", R"("dtype":"U8","shape":[8],"data_offsets":[18446744073709551607,18446744073709551615])", loss,
          {"at most 8"}),
      One("gap_before", R"("dtype":"U8","shape":[7],"data_offsets":[1,8])", loss, {"begins at 1", "expected 0", "gap"}),
      One("gap_behind", R"("dtype":"U8","shape":[7],"data_offsets":[0,7])", loss, {"fill 7 bytes", "of 8"}),
  };
  const auto two = [&](const char* name, std::string_view a, std::string_view b, std::vector<std::string> words) {
    lies.push_back({name, SafetensorsImage("{\"a\":{" + std::string(a) + "},\"b\":{" + std::string(b) + "}}", "12345678"), loss,
                    std::move(words)});
  };
  two("overlap", R"("dtype":"U8","shape":[5],"data_offsets":[0,5])", R"("dtype":"U8","shape":[4],"data_offsets":[4,8])",
      {"'b'", "begins at 4", "expected 5", "overlap"});
  two("same_place", R"("dtype":"U8","shape":[8],"data_offsets":[0,8])", R"("dtype":"U8","shape":[8],"data_offsets":[0,8])",
      {"overlap"});
  two("gap", R"("dtype":"U8","shape":[3],"data_offsets":[0,3])", R"("dtype":"U8","shape":[4],"data_offsets":[4,8])", {"gap"});
  lies.push_back({"not_an_object", SafetensorsImage(R"({"t":3})", ""), loss, {"'t'", "expected an object"}});
  lies.push_back(
      {"empty_name", SafetensorsImage(R"({"":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", "x"), loss, {"non-empty"}});
  lies.push_back({"control_in_name",
                  SafetensorsImage(R"({"a\u001b[31m":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", "x"),
                  loss,
                  {"'a?[31m'", "control"}});
  lies.push_back({"long_name",
                  SafetensorsImage("{\"" + std::string(300, 'n') + R"(":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", "x"),
                  Code::kResourceExhausted,
                  {"300 bytes", "256"}});
  return lies;
}

class SafetensorsLies : public ::testing::TestWithParam<Lie> {};

TEST_P(SafetensorsLies, AreRefusedWithTheReason) {
  const Lie& lie = GetParam();
  const auto file = SafetensorsFile::Parse(AsBytes(lie.image));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), lie.code) << file.status().message();
  for (const std::string& word : lie.words) {
    EXPECT_NE(file.status().message().find(word), std::string::npos) << "'" << word << "' is not in: " << file.status().message();
  }
}

const auto kName = [](const auto& row) { return row.param.name; };
INSTANTIATE_TEST_SUITE_P(Header, SafetensorsLies, ::testing::ValuesIn(HeaderLies()), kName);
INSTANTIATE_TEST_SUITE_P(Tensor, SafetensorsLies, ::testing::ValuesIn(TensorLies()), kName);

TEST(SafetensorsTruncated, AtEveryByteIsAnError) {
  const std::string image = SmallFile();
  for (size_t size = 0; size < image.size(); ++size) {
    // A copy of exactly this size, so that a sanitizer sees the first byte read beyond it.
    const std::vector<char> cut(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(size));
    const auto file = SafetensorsFile::Parse(std::as_bytes(std::span(cut)));
    ASSERT_FALSE(file.ok()) << "cut at " << size;
    EXPECT_EQ(file.status().code(), Code::kDataLoss) << file.status().message();
  }
}

TEST(SafetensorsFlipped, EveryBitNeverCrashes) {
  const std::string image = SmallFile();
  for (size_t bit = 0; bit < image.size() * 8; ++bit) {
    std::string flipped = image;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto file = SafetensorsFile::Parse(AsBytes(flipped));
    if (!file.ok()) continue;
    size_t bytes = 0;
    for (const SafetensorsTensor& tensor : file->tensors()) bytes += tensor.data.size();
    EXPECT_EQ(bytes, 42u);
  }
}

TEST(SafetensorsLimitsTest, AreTheCallersToLower) {
  const std::string image = SmallFile();
  EXPECT_EQ(SafetensorsFile::Parse(AsBytes(image), {.header_bytes = 20}).status().code(), Code::kResourceExhausted);
  EXPECT_EQ(SafetensorsFile::Parse(AsBytes(image), {.json_values = 5}).status().code(), Code::kDataLoss);
  EXPECT_EQ(SafetensorsFile::Parse(AsBytes(image), {.tensors = 1}).status().code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace millrace::weights
