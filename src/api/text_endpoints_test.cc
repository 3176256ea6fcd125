#include "api/text_endpoints.h"

#include <gtest/gtest.h>

#include "api/models.h"

namespace millrace::api {
namespace {

TEST(Tokenize, FieldsAndDefaults) {
  const auto plain = ParseTokenize(R"({"content":"Hi"})");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->content, "Hi");
  EXPECT_FALSE(plain->add_special || plain->with_pieces);
  EXPECT_TRUE(plain->parse_special);
  const auto full = ParseTokenize(R"({"content":"","add_special":true,"parse_special":false,"with_pieces":true,"model":"m"})");
  ASSERT_TRUE(full.ok());
  EXPECT_TRUE(full->add_special && full->with_pieces && !full->parse_special);
  EXPECT_EQ(full->model, "m");
}

TEST(Tokenize, RefusalsNameTheParameter) {
  EXPECT_EQ(ParseTokenize("{}").error().param, "content");
  EXPECT_EQ(ParseTokenize(R"({"content":1})").error().param, "content");
  EXPECT_EQ(ParseTokenize(R"({"content":"x","with_pieces":1})").error().param, "with_pieces");
  EXPECT_EQ(ParseTokenize(R"({"content":"x","y":1})").error().code, "unknown_parameter");
}

TEST(Detokenize, TokensAreChecked) {
  const auto request = ParseDetokenize(R"({"tokens":[1,2.0,3]})");
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->tokens, (std::vector<TokenId>{1, 2, 3}));
  EXPECT_EQ(ParseDetokenize(R"({"tokens":[1,-2]})").error().param, "tokens[1]");
  EXPECT_EQ(ParseDetokenize(R"({"tokens":["1"]})").error().param, "tokens[0]");
  EXPECT_EQ(ParseDetokenize(R"({"tokens":7})").error().param, "tokens");
  EXPECT_EQ(ParseDetokenize("{}").error().param, "tokens");
  EXPECT_EQ(ParseDetokenize(R"({"tokens":[2147483648]})").error().param, "tokens[0]");
}

TEST(ApplyTemplate, SharesTheRulesOfChat) {
  const auto request = ParseApplyTemplate(R"({"messages":[{"role":"user","content":"x"}],"add_generation_prompt":false,
                                             "chat_template_kwargs":{"a":1}})");
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(Json(request->prompt.messages).Write(), R"([{"role":"user","content":"x"}])");
  EXPECT_FALSE(request->prompt.add_generation_prompt);
  EXPECT_EQ(request->prompt.template_arguments.size(), 1U);
  const auto with_tools = ParseApplyTemplate(
      R"({"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}],"documents":null})");
  ASSERT_TRUE(with_tools.ok()) << with_tools.error().message;
  EXPECT_EQ(with_tools->prompt.tools.size(), 1U);
  EXPECT_EQ(ParseApplyTemplate(R"({"messages":[{"role":"user","content":"x"}],"tools":5})").error().param, "tools");
  EXPECT_EQ(ParseApplyTemplate("{}").error().param, "messages");
  EXPECT_EQ(ParseApplyTemplate(R"({"messages":[{"role":"x","content":"x"}]})").error().param, "messages[0].role");
}

TEST(TextEndpoints, Replies) {
  EXPECT_EQ(WriteTokens({}), R"({"tokens":[]})");
  EXPECT_EQ(WriteTokens({1, 20}), R"({"tokens":[1,20]})");
  EXPECT_EQ(WriteTokensWithPieces({{1, "He\n"}, {2, "\xC3"}, {3, ""}}),
            R"({"tokens":[{"id":1,"piece":"He\n"},{"id":2,"piece":[195]},{"id":3,"piece":""}]})");
  EXPECT_EQ(WriteContent("a\"b"), R"({"content":"a\"b"})");
  EXPECT_EQ(WritePrompt("p"), R"({"prompt":"p"})");
}

TEST(Models, ListAndItem) {
  ModelCard card;
  card.id = "smollm2";
  card.created = 17;
  card.state = "ready";
  card.name = "SmolLM2";
  card.chat_format = "model";
  card.context = 2048;
  card.trained_context = 8192;
  card.vocabulary = 49152;
  const std::string item =
      R"({"id":"smollm2","object":"model","created":17,"owned_by":"millrace","meta":{"state":"ready","name":"SmolLM2",)"
      R"("chat_format":"model","n_ctx":2048,)"
      R"("n_ctx_train":8192,"n_vocab":49152,"bytes_per_token":null}})";
  EXPECT_EQ(WriteModel(card), item);
  EXPECT_EQ(WriteModelList({card}), R"({"object":"list","data":[)" + item + "]}");
  EXPECT_EQ(WriteModelList({}), R"({"object":"list","data":[]})");
}

}  // namespace
}  // namespace millrace::api
