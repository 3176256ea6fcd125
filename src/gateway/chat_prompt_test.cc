// What a conversation becomes: requests over simulated connections, prompts as /apply-template shows them and as the worker gets them.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "gateway/chat_input.h"
#include "gateway/testing/sim_gateway.h"

namespace millrace::gateway {
namespace {

using namespace millrace::gateway::testing;

constexpr const char* kTools =
    R"("tools":[{"type":"function","function":{"name":"get_weather","description":"d","parameters":{"type":"object","properties":{}}}}])";
constexpr const char* kUser = R"({"role":"user","content":"Hi"})";

std::string Template(const std::string& name) {
  std::ifstream file(std::string(MILLRACE_SOURCE_DIR "/tests/text/template_samples/") + name + ".jinja");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

using Templates = std::map<std::string, std::string>;

// A server of a tiny model with these chat templates.
class ChatServer {
 public:
  explicit ChatServer(const Templates& templates, bool chatml_tokens = true)
      : model_(templates, chatml_tokens), sim_({}, Options(model_), Worker(model_)) {
    sim_.WaitReady();
  }

  Answer Chat(const std::string& messages, const std::string& more = "") {
    return sim_.Ask(kChat, fmt::format(R"({{"model":"tiny","messages":[{}]{}{}}})", messages, more.empty() ? "" : ",", more));
  }

  // The prompt, or "param: message".
  std::string Prompt(const std::string& messages, const std::string& more = "") {
    const Answer answer =
        sim_.Ask("/apply-template", fmt::format(R"({{"messages":[{}]{}{}}})", messages, more.empty() ? "" : ",", more));
    if (answer.status == 200) return BodyOf(answer).Find("prompt")->as_string();
    EXPECT_EQ(answer.status, 400);
    return ErrorField(answer, "param") + ": " + ErrorField(answer, "message");
  }

  SimGateway& sim() { return sim_; }

 private:
  static constexpr const char* kChat = "/v1/chat/completions";

  static GatewayOptions Options(const TinyModelFile& model) {
    GatewayOptions options = SimGateway::DefaultOptions();
    options.models[0].path = model.path();
    return options;
  }
  // Answers with the prompt itself, special tokens left out.
  static SimWorkerOptions Worker(const TinyModelFile& model) {
    const auto entry = *ModelEntry::Open(Options(model).models[0]);
    SimWorkerOptions worker = SimGateway::DefaultWorker();
    worker.vocabulary_fingerprint = entry->vocabulary().fingerprint();
    worker.answer = [](const std::vector<TokenId>& prompt) { return TokensOf(TextOf(prompt)); };
    return worker;
  }

  TinyModelFile model_;
  SimGateway sim_;
};

std::string IgnoredIn(const Answer& answer) {
  EXPECT_EQ(answer.status, 200) << answer.body;
  const size_t at = answer.head.find("x-millrace-ignored: ");
  if (at == std::string::npos) return "";
  const size_t begin = at + std::string("x-millrace-ignored: ").size();
  return answer.head.substr(begin, answer.head.find("\r\n", begin) - begin);
}

std::string ContentOf(const Answer& answer) {
  EXPECT_EQ(answer.status, 200) << answer.body;
  return BodyOf(answer).Find("choices")->items()[0].Find("message")->Find("content")->as_string();
}

TEST(ChatPrompt, ToolsAreShownAndCallsComeAsText) {
  ChatServer server(Templates{{"default", Template("qwen_reasoning")}});
  const Answer answer = server.Chat(kUser, kTools);
  EXPECT_NE(ContentOf(answer).find(R"({"type": "function", "function": {"name": "get_weather", "description": "d")"),
            std::string::npos);
  EXPECT_EQ(IgnoredIn(answer), "tool_calls");
  EXPECT_EQ(BodyOf(answer).Find("millrace")->Find("ignored")->Write(), R"(["tool_calls"])");
  EXPECT_EQ(server.Prompt(kUser, std::string(kTools) + R"(,"tool_choice":"none")"), server.Prompt(kUser));
  EXPECT_EQ(IgnoredIn(server.Chat(kUser, std::string(kTools) + R"(,"tool_choice":"none")")), "");
}

TEST(ChatPrompt, TheTemplateForToolsServesThem) {
  ChatServer server(Templates{{"default", "plain {{ messages | length }}"}, {"tool_use", "tools {{ tools[0].function.name }}"}});
  EXPECT_EQ(server.Prompt(kUser), "plain 1");
  EXPECT_EQ(server.Prompt(kUser, kTools), "tools get_weather");
  EXPECT_EQ(server.Prompt(kUser, R"("tools":[])"), "plain 1");
}

TEST(ChatPrompt, ToolsThatNoTemplateShowsAreRefused) {
  ChatServer server(Templates{{"default", Template("chatml")}});
  EXPECT_EQ(server.Prompt(kUser, kTools), "tools: 'tools': the chat template of the model 'tiny' does not show them");
  EXPECT_EQ(server.Prompt(kUser, R"("documents":[{"title":"a","text":"b"}])"),
            "documents: 'documents': the chat template of the model 'tiny' does not show them");
  EXPECT_EQ(ErrorField(server.Chat(kUser, kTools), "code"), "unsupported_parameter");
}

TEST(ChatPrompt, AWholeConversationWithTools) {
  ChatServer server(Templates{{"default", Template("hermes_tools")}});
  const std::string chat =
      R"({"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1",)"
      R"("type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Paris\"}"}}]},)"
      R"({"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"21"},{"type":"text","text":"degrees"}]})";
  const std::string prompt = server.Prompt(chat, kTools);
  EXPECT_NE(prompt.find(R"("arguments": {"city": "Paris"})"), std::string::npos) << prompt;
  EXPECT_NE(prompt.find("21\ndegrees"), std::string::npos) << prompt;
  const std::string older =
      R"({"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"assistant","content":null,)"
      R"("function_call":{"name":"get_weather","arguments":"{\"city\":\"Paris\"}"}},{"role":"function","name":"get_weather","content":"21\ndegrees"})";
  EXPECT_EQ(server.Prompt(older, kTools), prompt);
}

TEST(ChatPrompt, WhatATemplateLeavesOutIsReported) {
  ChatServer server(Templates{{"default", Template("chatml")}});
  const std::string chat =
      R"({"role":"user","content":"u"},{"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[{"function":{"name":"f"}}]})";
  EXPECT_EQ(IgnoredIn(server.Chat(chat)), "messages.tool_calls, messages.reasoning_content");
  EXPECT_EQ(IgnoredIn(server.Chat(
                kUser, R"("user":"x","reasoning_effort":"low","chat_template_kwargs":{"enable_thinking":true,"a b":1})")),
            "user, reasoning_effort, chat_template_kwargs.enable_thinking, chat_template_kwargs");
  EXPECT_EQ(IgnoredIn(server.Chat(kUser)), "");
  EXPECT_EQ(IgnoredIn(server.Chat(kUser, R"("chat_template_kwargs":{"reasoning_effort":"low"})")),
            "chat_template_kwargs.reasoning_effort");
  EXPECT_EQ(IgnoredIn(server.sim().Ask("/apply-template", fmt::format(R"({{"messages":[{}]}})", chat))),
            "messages.tool_calls, messages.reasoning_content");
}

TEST(ChatPrompt, ReasoningIsReportedWhereATemplateOnlyMentionsIt) {
  const std::string chat = R"({"role":"user","content":"u"},{"role":"assistant","content":"a","reasoning_content":"r"})";
  const std::string mentions = "{{ 'think' if enable_thinking }}{% for m in messages %}{{ m.content }}{% endfor %}";
  ChatServer without(Templates{{"default", mentions}});
  EXPECT_EQ(IgnoredIn(without.Chat(chat)), "messages.reasoning_content");
  ChatServer with(Templates{{"default", "{% for m in messages %}{{ m.content }}{{ m.thinking }}{% endfor %}"}});
  EXPECT_EQ(IgnoredIn(with.Chat(chat)), "");
}

TEST(ChatPrompt, RolesThatATemplateSkipsAreReported) {
  const std::string chat = R"({"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"tool","content":"1"})";
  ChatServer skips(Templates{{"default", "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"}});
  EXPECT_EQ(IgnoredIn(skips.Chat(chat)), "messages.system, messages.tool");
  ChatServer quotes(Templates{{"default", "{% for m in messages %}{{ m.content | tojson }}{% endfor %}"}});
  EXPECT_EQ(IgnoredIn(quotes.Chat(chat)), "");
}

TEST(ChatPrompt, ArgumentsReplaceNoSpecialToken) {
  ChatServer server(Templates{{"default", "{{ boi }}"}});
  EXPECT_EQ(server.Prompt(kUser, R"("chat_template_kwargs":{"boi":"x"})"), "x");  // this model has none of the name
  EXPECT_EQ(server.Prompt(kUser, R"("chat_template_kwargs":{"eos_token":"x"})").substr(0, 32),
            "chat_template_kwargs.eos_token: ");
  const auto chat = text::ChatTemplates::Create({{"default", "{{ boi }}"}}, {{"boi", Json("<boi>")}});
  ASSERT_TRUE(chat.ok());
  api::PromptRequest prompt;
  prompt.messages = {*Json::Parse(kUser)};
  prompt.template_arguments = {{"boi", Json("x")}};
  const auto plan = PlanChat(prompt, *chat, "tiny");
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().param, "chat_template_kwargs.boi");
}

TEST(ChatPrompt, OneBrokenTemplateIsInNoOnesWay) {
  ChatServer server(Templates{{"default", "plain"}, {"rag", "{{"}, {"tool_use", "{% oops %}{{ tools }}"}});
  EXPECT_EQ(server.Prompt(kUser), "plain");
  EXPECT_EQ(server.Prompt(kUser, kTools).substr(0, 46), "messages: 'messages': chat template 'tool_use'");
}

TEST(ChatPrompt, ArgumentsReachTheTemplate) {
  ChatServer server(Templates{
      {"default", "{{ enable_thinking }} {{ reasoning_effort | default('none') }} {{ list | default([]) | join('-') }}"}});
  EXPECT_EQ(server.Prompt(kUser, R"("chat_template_kwargs":{"enable_thinking":false,"list":[1,2]},"reasoning_effort":"high")"),
            "False high 1-2");
  EXPECT_EQ(server.Prompt(kUser, R"("chat_template_kwargs":{"reasoning_effort":"own"})"), " own ");
  EXPECT_EQ(server.Prompt(kUser, R"("chat_template_kwargs":{"reasoning_effort":"own"},"reasoning_effort":"own")"), " own ");
  EXPECT_EQ(server.Prompt(kUser, R"("chat_template_kwargs":{"reasoning_effort":"own"},"reasoning_effort":"high")"),
            "reasoning_effort: 'reasoning_effort' and 'chat_template_kwargs.reasoning_effort' differ: send one of them");
  EXPECT_EQ(IgnoredIn(server.Chat(kUser, R"("chat_template_kwargs":{"enable_thinking":true},"reasoning_effort":"high")")), "");
}

TEST(ChatPrompt, DocumentsReachTheTemplate) {
  ChatServer server(
      Templates{{"default", "{% for d in documents or [] %}{{ d.title }}={{ d.text }};{% endfor %}{{ documents is none }}"}});
  EXPECT_EQ(server.Prompt(kUser, R"("documents":[{"title":"a","text":"b"},{"title":"c","text":"d"}])"), "a=b;c=d;False");
  EXPECT_EQ(server.Prompt(kUser, R"("documents":[])"), "True");
}

TEST(ChatPrompt, AMessageIsContinued) {
  ChatServer server(Templates{});
  const std::string chat = std::string(kUser) + R"(,{"role":"assistant","content":"One, "})";
  const std::string prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nOne, ";
  EXPECT_EQ(server.Prompt(chat, R"("continue_final_message":true)"), prompt);
  EXPECT_EQ(ContentOf(server.Chat(chat, R"("continue_final_message":true)")), "user\nHi\nassistant\nOne, ");
  EXPECT_EQ(server.Prompt(chat, R"("continue_final_message":true,"add_generation_prompt":true)").substr(0, 24),
            "continue_final_message: ");
  EXPECT_EQ(server.Prompt(kUser, R"("continue_final_message":"reasoning_content")"),
            "continue_final_message: the last message has no 'reasoning_content' to continue");
}

TEST(ChatPrompt, SpecialTokensAreThoseOfTheModel) {
  ChatServer server(Templates{{"default", "{{ eos_token }}{{ bos_token is defined }}"}});
  EXPECT_EQ(server.Prompt(kUser), "<|im_end|>False");
}

TEST(ChatPrompt, AModelWithoutTemplateHasAStatedDefault) {
  const auto format = [](ChatServer& server) {
    return BodyOf(server.sim().Get("/v1/models/tiny")).Find("meta")->Find("chat_format")->as_string();
  };
  ChatServer chatml(Templates{});
  EXPECT_EQ(chatml.Prompt(kUser), "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(format(chatml), "chatml");
  ChatServer plain(Templates{}, false);
  EXPECT_EQ(plain.Prompt(kUser), "User: Hi\nAssistant:");
  EXPECT_EQ(ContentOf(plain.Chat(kUser)), "User: Hi\nAssistant:");
  EXPECT_EQ(format(plain), "plain");
  ChatServer own(Templates{{"default", "x"}});
  EXPECT_EQ(format(own), "model");
}

TEST(ChatPrompt, NoTemplateForConversationsWithoutTools) {
  ChatServer server(Templates{{"tool_use", "tools {{ tools[0].function.name }}"}});
  EXPECT_EQ(server.Prompt(kUser, kTools), "tools get_weather");
  EXPECT_EQ(server.Prompt(kUser), "messages: 'messages': the model has no default chat template, only 'tool_use'");
}

TEST(ChatPrompt, TheTemplatesOwnRefusal) {
  ChatServer server(
      Templates{{"default", "{{ raise_exception('only cats may ask') if messages[0].content != 'cat' else 'meow' }}"}});
  EXPECT_EQ(server.Prompt(kUser).substr(0, 10), "messages: ");
  EXPECT_NE(server.Prompt(kUser).find("only cats may ask"), std::string::npos);
}

TEST(ChatPrompt, LongConversationsGoThroughTheTextThread) {
  ChatServer server(Templates{{"default", "{{ messages[0].content | length }}"}});
  EXPECT_EQ(server.Prompt(fmt::format(R"({{"role":"user","content":"{}"}})", std::string(100'000, 'x'))), "100000");
}

}  // namespace
}  // namespace millrace::gateway
