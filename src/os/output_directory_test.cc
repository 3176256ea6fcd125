#include "os/output_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

namespace millrace {
namespace {

namespace fs = std::filesystem;

class OutputDirectoryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "output-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string Path(const char* name) const { return (folder_ / name).string(); }
  bool Empty() const { return fs::is_empty(folder_); }

  fs::path folder_;
};

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST_F(OutputDirectoryTest, AppearsWhole) {
  {
    auto out = OutputDirectory::Create(Path("model/"));
    ASSERT_TRUE(out.ok()) << out.status().ToString();
    EXPECT_TRUE(out->WriteFile("a", Bytes("one")).ok());
    EXPECT_FALSE(out->WriteFile("a", Bytes("two")).ok());
    EXPECT_FALSE(fs::exists(Path("model")));
    ASSERT_TRUE(out->Commit().ok());
  }
  std::ifstream in(folder_ / "model/a");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "one");
  EXPECT_FALSE(fs::exists(Path("model.partial")));
}

TEST_F(OutputDirectoryTest, LeavesNothingWithoutCommit) {
  {
    auto out = OutputDirectory::Create(Path("model"));
    ASSERT_TRUE(out.ok());
    EXPECT_TRUE(out->WriteFile("a", Bytes("one")).ok());
    const OutputDirectory moved = std::move(*out);
    EXPECT_TRUE(fs::exists(Path("model.partial")));
  }
  EXPECT_TRUE(Empty());
}

TEST_F(OutputDirectoryTest, Refusals) {
  EXPECT_EQ(OutputDirectory::Create(Path("a/b")).status().code(), Code::kNotFound);
  fs::create_directory(Path("there"));
  EXPECT_EQ(OutputDirectory::Create(Path("there")).status().code(), Code::kAlreadyExists);
  auto first = OutputDirectory::Create(Path("model"));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(OutputDirectory::Create(Path("model")).status().code(), Code::kAlreadyExists);
  fs::create_directory(Path("model"));  // by somebody else, meanwhile
  EXPECT_EQ(first->Commit().code(), Code::kAlreadyExists);
  EXPECT_GT(*FreeDiskBytes(Path("model")), 0U);
  EXPECT_FALSE(FreeDiskBytes(Path("a/b")).ok());
}

}  // namespace
}  // namespace millrace
