#include "weights/safetensors_writer.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace::weights {
namespace {

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::vector<SafetensorsEntry> Entries() {
  return {{"b.weight", SafetensorsType::kU32, {2, 3}}, {"a", SafetensorsType::kF16, {5}}, {"scalar", SafetensorsType::kBF16, {}}};
}

TEST(SafetensorsWriter, WhatItWritesIsRead) {
  std::string file;
  const ByteSink sink = [&file](std::span<const std::byte> data) {
    file.append(reinterpret_cast<const char*>(data.data()), data.size());
    return Status();
  };
  auto writer = SafetensorsWriter::Start(Entries(), {{"format", "mlx"}}, sink);
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ(file.size() % 8, 0U);
  EXPECT_EQ(writer->Finish().code(), Code::kInternal);
  const std::string data = "abcdefghijklmnopqrstuvwx0123456789zz";
  for (const auto& [begin, size] : {std::pair<size_t, size_t>{0, 20}, {20, 4}, {24, 1}, {25, 9}, {34, 2}}) {
    ASSERT_TRUE(writer->Append(Bytes(data.substr(begin, size))).ok());
  }
  EXPECT_TRUE(writer->Finish().ok());
  EXPECT_EQ(writer->Append(Bytes("x")).code(), Code::kInternal);

  const auto read = SafetensorsFile::Parse(Bytes(file));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  ASSERT_EQ(read->tensors().size(), 3U);
  ASSERT_EQ(read->metadata().size(), 1U);
  EXPECT_EQ(read->metadata()[0].second, "mlx");
  const SafetensorsTensor* matrix = read->FindTensor("b.weight");
  ASSERT_NE(matrix, nullptr);
  EXPECT_EQ(matrix->type, SafetensorsType::kU32);
  EXPECT_EQ(matrix->shape, (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(matrix->data.data()), matrix->data.size()), data.substr(0, 24));
  EXPECT_TRUE(read->FindTensor("scalar")->shape.empty());
}

TEST(SafetensorsWriter, DataPastATensorAndFailingSinks) {
  size_t left = 1000;
  const ByteSink sink = [&left](std::span<const std::byte> data) {
    if (data.size() > left) return Status(Code::kResourceExhausted, "full");
    left -= data.size();
    return Status();
  };
  auto writer = SafetensorsWriter::Start(Entries(), {}, sink);
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ(writer->Append(Bytes(std::string(25, 'x'))).code(), Code::kInternal);
  left = 0;
  EXPECT_EQ(writer->Append(Bytes("x")).code(), Code::kResourceExhausted);
  EXPECT_EQ(SafetensorsWriter::Start(Entries(), {}, sink).status().code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace millrace::weights
