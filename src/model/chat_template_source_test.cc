#include "model/chat_template_source.h"

#include <gtest/gtest.h>

#include <string>

#include "model/testing/checkpoint_image.h"
#include "weights/testing/gguf_builder.h"

namespace millrace::model {
namespace {

using testing::CheckpointImage;
using testing::FilesOf;
using weights::testing::GgufBuilder;

template <typename Reader>
auto OfDirectory(std::map<std::string, std::string> texts, Reader reader) {
  CheckpointImage image;
  image.files = std::move(texts);
  const auto directory = image.Build();
  const auto source = ModelSource::Parse(FilesOf(directory));
  EXPECT_TRUE(source.ok()) << source.status().message();
  return reader(*source);
}

template <typename Reader>
auto OfGguf(const GgufBuilder& builder, Reader reader) {
  const std::string image = builder.Build();
  const auto source = ModelSource::ParseGguf(std::as_bytes(std::span(image)));
  EXPECT_TRUE(source.ok()) << source.status().message();
  return reader(*source);
}

// "name=source", one after the other, or the error.
std::string Shown(const Result<std::vector<text::NamedTemplate>>& found) {
  if (!found.ok()) return found.status().message();
  std::string out;
  for (const auto& each : *found) out += fmt::format("{}{}={}", out.empty() ? "" : " ", each.name, each.source);
  return out;
}

std::string Templates(std::map<std::string, std::string> texts) { return Shown(OfDirectory(std::move(texts), ChatTemplatesOf)); }

constexpr const char* kConfig = "tokenizer_config.json";
constexpr const char* kJson = "chat_template.json";

TEST(ChatTemplatesOf, ADirectory) {
  EXPECT_EQ(Templates({}), "");
  EXPECT_EQ(Templates({{kConfig, R"({"chat_template":null})"}}), "");
  EXPECT_EQ(Templates({{kConfig, R"({"chat_template":"one"})"}}), "default=one");
  EXPECT_EQ(Templates({{kConfig, R"({"chat_template":[{"name":"tool_use","template":"t"},{"name":"default","template":"d"}]})"}}),
            "tool_use=t default=d");
  EXPECT_EQ(Templates({{kConfig, R"({"chat_template":[{"name":"a","template":"1"},{"name":"a","template":"2"}]})"}}), "a=2");
  EXPECT_EQ(Templates({{kJson, R"({"chat_template":"three"})"}}), "default=three");
}

TEST(ChatTemplatesOf, FilesComeBeforeTheConfiguration) {
  const std::string one = R"({"chat_template":"one"})";
  EXPECT_EQ(Templates({{kConfig, one}, {"chat_template.jinja", "two"}, {kJson, "{}"}}), "default=two");
  EXPECT_EQ(Templates({{kConfig, one}, {kJson, R"({"chat_template":"three"})"}}), "default=one");
  EXPECT_EQ(Templates({{"chat_template.jinja", "two"}, {"additional_chat_templates/tool_use.jinja", "t"}}),
            "tool_use=t default=two");
  EXPECT_EQ(Templates({{kConfig, one}, {"additional_chat_templates/rag.jinja", "r"}}), "rag=r");
  EXPECT_EQ(Templates({{"chat_template.jinja", "two"}, {"additional_chat_templates/default.jinja", "d"}}), "default=d");
}

TEST(ChatTemplatesOf, RefusesWhatIsNone) {
  const std::string expected =
      "tokenizer_config.json: 'chat_template': expected a text, or a list of objects with name and template";
  for (const char* value : {"5", "{}", "[5]", R"([{"name":"a"}])", R"([{"name":1,"template":"x"}])"}) {
    EXPECT_EQ(Templates({{kConfig, fmt::format(R"({{"chat_template":{}}})", value)}}), expected) << value;
  }
  EXPECT_EQ(Templates({{"chat_template.jinja", "a\xff"}}), "chat_template.jinja: expected UTF-8, found ill-formed bytes");
  EXPECT_EQ(Templates({{"chat_template.jinja", std::string((1 << 20) + 1, 'x')}}),
            "chat_template.jinja: a chat template of 1048577 bytes, expected at most 1048576");
  std::map<std::string, std::string> many;
  for (int i = 0; i < 33; ++i) many.emplace(fmt::format("additional_chat_templates/{}.jinja", i), "x");
  EXPECT_NE(Templates(many).find("more than 32 chat templates"), std::string::npos);
}

TEST(ChatTemplatesOf, AGgufFile) {
  const auto found = [](const GgufBuilder& builder) { return Shown(OfGguf(builder, ChatTemplatesOf)); };
  EXPECT_EQ(found(GgufBuilder()), "");
  EXPECT_EQ(found(GgufBuilder().String("tokenizer.chat_template", "{{ x }}")), "default={{ x }}");
  EXPECT_EQ(found(GgufBuilder()
                      .String("tokenizer.chat_template.tool_use", "t")
                      .Strings("tokenizer.chat_templates", {"tool_use"})
                      .String("tokenizer.chat_template", "d")),
            "tool_use=t default=d");
  EXPECT_EQ(found(GgufBuilder().String("tokenizer.chat_template", "d").String("tokenizer.chat_template.default", "e")),
            "default=d");
  EXPECT_EQ(found(GgufBuilder().String("tokenizer.chat_template.default", "e").String("tokenizer.chat_template", "d")),
            "default=d");
  EXPECT_NE(found(GgufBuilder().U32("tokenizer.chat_template", 1)).find("tokenizer.chat_template"), std::string::npos);
  EXPECT_NE(found(GgufBuilder().String("tokenizer.chat_template.x", std::string((1 << 20) + 1, 'x'))).find("1048577 bytes"),
            std::string::npos);
}

std::string Tokens(std::map<std::string, std::string> texts) {
  const auto found = OfDirectory(std::move(texts), ChatTokensOf);
  return found.ok() ? Json(*found).Write() : found.status().message();
}

TEST(ChatTokensOf, ADirectory) {
  EXPECT_EQ(Tokens({{kConfig, "{}"}}), "{}");
  EXPECT_EQ(Tokens({{kConfig, R"({"bos_token":"<s>","eos_token":{"__type":"AddedToken","content":"</s>"},"pad_token":null,)"
                              R"("add_bos_token":true,"image_token":"<image>","model_max_length":5,)"
                              R"("extra_special_tokens":{"boi_token":"<boi>"}})"}}),
            R"({"bos_token":"<s>","eos_token":"</s>","image_token":"<image>","boi_token":"<boi>"})");
  const std::string map = R"({"bos_token":"<other>","cls_token":{"content":"<cls>"}})";
  EXPECT_EQ(Tokens({{kConfig, R"({"bos_token":"<s>"})"}, {"special_tokens_map.json", map}}),
            R"({"bos_token":"<other>","cls_token":"<cls>"})");
  EXPECT_EQ(Tokens({{kConfig, R"({"bos_token":"<s>","added_tokens_decoder":{}})"}, {"special_tokens_map.json", map}}),
            R"({"bos_token":"<s>"})");
  Json many;
  for (int i = 0; i < 257; ++i) many.Set(fmt::format("t{}_token", i), "x");
  EXPECT_EQ(Tokens({{kConfig, many.Write()}}), "tokenizer_config.json: more than 256 special tokens have names");
}

TEST(ChatTokensOf, AGgufFile) {
  const auto found = [](const GgufBuilder& builder) { return Json(*OfGguf(builder, ChatTokensOf)).Write(); };
  EXPECT_EQ(found(GgufBuilder()), "{}");
  const auto with = GgufBuilder().Strings("tokenizer.ggml.tokens", {"a", "<s>", "</s>"});
  EXPECT_EQ(found(GgufBuilder(with)
                      .U32("tokenizer.ggml.bos_token_id", 1)
                      .U32("tokenizer.ggml.eos_token_id", 2)
                      .U32("tokenizer.ggml.padding_token_id", 2)
                      .U32("tokenizer.ggml.mask_token_id", ~0U)),
            R"({"bos_token":"<s>","eos_token":"</s>","pad_token":"</s>"})");
}

TEST(ChatOf, StandsInForWhatIsMissing) {
  const auto chat = [](std::map<std::string, std::string> texts, bool has_tokens) {
    return OfDirectory(std::move(texts),
                       [&](const ModelSource& source) { return ChatOf(source, [&](std::string_view) { return has_tokens; }); });
  };
  EXPECT_EQ(chat({{kConfig, R"({"chat_template":"one"})"}}, true)->format, "model");
  EXPECT_EQ(chat({{kConfig, "{}"}}, true)->format, "chatml");
  EXPECT_EQ(chat({{kConfig, "{}"}}, false)->format, "plain");
  EXPECT_EQ(chat({{kConfig, R"({"chat_template":"{{"})"}}, true).status().code(), Code::kInvalidArgument);
}

TEST(TemplateFileOf, IsAlwaysAFileOfTheFolder) {
  EXPECT_EQ(TemplateFileOf("default"), "chat_template.jinja");
  EXPECT_EQ(TemplateFileOf("tool_use"), "additional_chat_templates/tool_use.jinja");
  EXPECT_EQ(TemplateFileOf("../../x"), "additional_chat_templates/_._.._x.jinja");
}

}  // namespace
}  // namespace millrace::model
