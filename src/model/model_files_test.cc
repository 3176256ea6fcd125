#include "model/model_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "os/random.h"

namespace millrace::model {
namespace {

namespace fs = std::filesystem;

class ModelFilesTest : public ::testing::Test {
 protected:
  ModelFilesTest() : folder_(fs::temp_directory_path() / fmt::format("millrace-model-{:016x}", RandomU64()) / "tiny") {
    fs::create_directories(folder_);
  }
  ~ModelFilesTest() override { fs::remove_all(folder_.parent_path()); }

  void Write(const std::string& name, const std::string& text = "{}") const { std::ofstream(folder_ / name) << text; }
  std::vector<std::string> Names() const {
    const auto opened = OpenedModelFiles::Open(folder_.string());
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    return {opened->names().begin(), opened->names().end()};
  }
  std::string Refusal(const std::string& path) const { return OpenedModelFiles::Open(path).status().message(); }

  const fs::path folder_;
};

TEST_F(ModelFilesTest, TemplatesOfTheirFolder) {
  Write("config.json");
  Write("a.safetensors");
  Write("chat_template.json");
  fs::create_directories(folder_ / "additional_chat_templates" / "deeper");
  for (const char* name : {"tool_use.jinja", "rag.jinja", ".hidden.jinja", "README.md"}) {
    Write(std::string("additional_chat_templates/") + name);
  }
  EXPECT_EQ(Names(),
            (std::vector<std::string>{"a.safetensors", "config.json", "chat_template.json", "additional_chat_templates/rag.jinja",
                                      "additional_chat_templates/tool_use.jinja"}));
}

TEST_F(ModelFilesTest, OneFile) {
  Write("x.gguf", "GGUF!");
  const auto opened = OpenedModelFiles::Open((folder_ / "x.gguf").string());
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_FALSE(opened->is_directory());
  EXPECT_EQ(opened->names().size(), 1u);
  EXPECT_EQ(opened->bytes(), 5u);
  auto mapped = opened->Map();
  ASSERT_TRUE(mapped.ok());
  const MappedModelFiles moved = *std::move(mapped);
  EXPECT_EQ(moved.files()[0].name, "x.gguf");
  EXPECT_EQ(moved.files()[0].text(), "GGUF!");
  EXPECT_EQ(ModelNameOf((folder_ / "x.gguf").string()), "x");
}

TEST_F(ModelFilesTest, ADirectoryByItsNameOrItsConfig) {
  for (const char* name : {"config.json", "model.safetensors", "other.safetensors", "tokenizer.json", "README.md"}) Write(name);
  const std::vector<std::string> expected = {"model.safetensors", "config.json", "tokenizer.json"};
  EXPECT_EQ(Names(), expected);
  const auto by_config = OpenedModelFiles::Open((folder_ / "config.json").string());
  ASSERT_TRUE(by_config.ok()) << by_config.status().message();
  EXPECT_EQ(by_config->path(), folder_.string());
  EXPECT_EQ(by_config->names().size(), 3u);
  for (const std::string& path : {folder_.string(), folder_.string() + "/", (folder_ / "config.json").string()}) {
    EXPECT_EQ(ModelNameOf(path), "tiny") << path;
  }
}

TEST_F(ModelFilesTest, TheIndexChoosesShards) {
  for (const char* name : {"config.json", "a.safetensors", "b.safetensors", "model.safetensors"}) Write(name);
  Write("model.safetensors.index.json", R"({"weight_map":{"x":"b.safetensors","y":"a.safetensors","z":"missing.safetensors"}})");
  EXPECT_EQ(Names(), (std::vector<std::string>{"a.safetensors", "b.safetensors", "config.json", "model.safetensors.index.json"}));
}

TEST_F(ModelFilesTest, WithoutIndexEveryShard) {
  for (const char* name : {"config.json", "weights.01.safetensors", "weights.00.safetensors"}) Write(name);
  EXPECT_EQ(Names(), (std::vector<std::string>{"weights.00.safetensors", "weights.01.safetensors", "config.json"}));
}

TEST_F(ModelFilesTest, RefusesWithAdvice) {
  const std::string path = folder_.string();
  EXPECT_EQ(Refusal(path), path + ": an empty directory, expected config.json and *.safetensors");
  Write("model.gguf");
  EXPECT_EQ(Refusal(path), path + ": no config.json in this directory, but model.gguf: name that file");
  fs::remove(folder_ / "model.gguf");
  Write("config.json");
  EXPECT_EQ(Refusal(path), path + ": no *.safetensors in this directory");
  Write("pytorch_model.bin");
  EXPECT_EQ(Refusal(path),
            path +
                ": no *.safetensors in this directory, but pytorch_model.bin, which this build does not read: take the "
                "safetensors files");
  Write("model-1.safetensors");
  EXPECT_EQ(Refusal(path + "/model-1.safetensors"),
            path + "/model-1.safetensors: one part of a model: name the directory with its config.json");
  EXPECT_FALSE(OpenedModelFiles::Open(path + "/nothing").ok());
}

TEST_F(ModelFilesTest, RefusesWhatIsNoRegularFile) {
  Write("config.json");
  ASSERT_EQ(::mkfifo((folder_ / "model.safetensors").c_str(), 0600), 0);  // opening it for reading would block
  const auto opened = OpenedModelFiles::Open(folder_.string());
  EXPECT_EQ(opened.status().code(), Code::kInvalidArgument);
  EXPECT_NE(opened.status().message().find("model.safetensors"), std::string::npos) << opened.status().message();
}

TEST_F(ModelFilesTest, BoundsTheNumberOfFiles) {
  Write("config.json");
  for (size_t i = 0; i < kMaxModelFiles; ++i) Write(fmt::format("{:04}.safetensors", i));
  EXPECT_EQ(OpenedModelFiles::Open(folder_.string()).status().code(), Code::kResourceExhausted);
}

TEST_F(ModelFilesTest, NamesMustBeFitForMessages) {
  Write("config.json");
  Write("bad\xff.safetensors");
  EXPECT_EQ(OpenedModelFiles::Open(folder_.string()).status().code(), Code::kInvalidArgument);
  Write("\xff.gguf");
  const auto opened = OpenedModelFiles::Open((folder_ / "\xff.gguf").string());
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_EQ(opened->names()[0], "model.gguf");
}

}  // namespace
}  // namespace millrace::model
