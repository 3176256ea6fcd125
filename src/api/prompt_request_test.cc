// Messages, tools, documents and what else becomes a prompt, through the body of a chat request.
#include "api/prompt_request.h"

#include <gtest/gtest.h>

#include <string>

#include "api/chat_request.h"

namespace millrace::api {
namespace {

constexpr const char* kUser = R"({"role":"user","content":"Hi"})";

std::string Body(const std::string& messages, const std::string& more) {
  return fmt::format(R"({{"model":"m","messages":[{}]{}{}}})", messages, more.empty() ? "" : ",", more);
}

PromptRequest Accepted(const std::string& messages, const std::string& more = "") {
  auto parsed = ParseChat(Body(messages, more));
  EXPECT_TRUE(parsed.ok()) << messages << more << ": " << (parsed.ok() ? "" : parsed.error().message);
  return parsed.ok() ? std::move(parsed->prompt) : PromptRequest{};
}

std::string Messages(const std::string& messages) { return Json(Accepted(messages).messages).Write(); }

// "param: message (code)"
std::string Refused(const std::string& messages, const std::string& more = "") {
  const auto parsed = ParseChat(Body(messages, more));
  if (parsed.ok()) return "accepted";
  const ApiError& error = parsed.error();
  EXPECT_EQ(error.status, 400);
  return fmt::format("{}: {}{}", error.param, error.message, error.code == "unsupported_parameter" ? " (unsupported)" : "");
}

std::string RefusedMore(const std::string& more) { return Refused(kUser, more); }

TEST(Messages, KeepRolesOrderAndForm) {
  const std::string same =
      R"([{"role":"developer","content":"be brief"},{"content":[{"type":"text","text":"a"}],"role":"user","name":"Ann"},)"
      R"({"role":"assistant","reasoning_content":"hm","content":null},{"role":"assistant","content":"","reasoning":"so"},)"
      R"({"role":"tool","content":"4","tool_call_id":"c1"},{"role":"function","name":"f","content":"4"}])";
  EXPECT_EQ(Messages(same.substr(1, same.size() - 2)), same);
}

TEST(Messages, WhatSaysNothingIsLeftOut) {
  EXPECT_EQ(Messages(R"({"role":"assistant","tool_calls":null,"refusal":null,"annotations":[],"audio":null,"name":null})"),
            R"([{"role":"assistant","content":null}])");
  EXPECT_EQ(Messages(R"({"role":"assistant","content":"x","tool_calls":[],"function_call":null})"),
            R"([{"role":"assistant","content":"x"}])");
  EXPECT_EQ(Messages(R"({"role":"user","content":[{"cache_control":{"type":"ephemeral"},"text":"b","type":"text"}]})"),
            R"([{"role":"user","content":[{"type":"text","text":"b"}]}])");
}

TEST(Messages, CallsHaveOneForm) {
  EXPECT_EQ(
      Messages(
          R"({"role":"assistant","content":null,"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":1}","name":"f"},)"
          R"("type":"function","id":"c1"},{"id":null,"function":{"name":"g","arguments":{"b":[2]}}},{"function":{"name":"h"}}]})"),
      R"([{"role":"assistant","content":null,"tool_calls":[)"
      R"({"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},)"
      R"({"type":"function","function":{"name":"g","arguments":{"b":[2]}}},)"
      R"({"type":"function","function":{"name":"h","arguments":""}}]}])");
  EXPECT_EQ(Messages(R"({"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}})"),
            R"([{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}])");
}

TEST(Messages, RefusalsNameTheMemberAndTheReason) {
  const std::pair<const char*, const char*> rows[] = {
      {R"("hi")", "messages[0]: 'messages[0]': expected an object with 'role' and 'content', found string 'hi'"},
      {R"({"content":"x"})",
       "messages[0].role: 'messages[0].role': expected one of system, developer, user, assistant, tool, function, found null"},
      {R"({"role":"robot","content":"x"})", nullptr},
      {R"({"role":"user"})",
       "messages[0].content: 'messages[0].content': expected a string or an array of text parts, found null"},
      {R"({"role":"tool","content":null})", nullptr},
      {R"({"role":"user","content":7})", nullptr},
      {R"({"role":"user","content":["x"]})", nullptr},
      {R"({"role":"user","content":[{"text":"x"}]})",
       "messages[0].content[0].type: 'messages[0].content[0].type': expected a string, found null"},
      {R"({"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]})",
       "messages[0].content[0].type: 'messages[0].content[0].type': only parts of type 'text' are supported, found string "
       "'image_url' "
       "(unsupported)"},
      {R"({"role":"user","content":[{"type":"text"}]})", nullptr},
      {R"({"role":"user","content":[{"type":"text","text":"x","y":1}]})",
       "messages[0].content[0]: 'messages[0].content[0]': unknown field 'y'"},
      {R"({"role":"user","content":"x","colour":"red"})", "messages[0].colour: unknown parameter 'messages[0].colour'"},
      {R"({"role":"user","content":"x","name":1})", "messages[0].name: 'messages[0].name': expected a string, found integer 1"},
      {R"({"role":"user","content":"x","refusal":"no"})",
       "messages[0].refusal: 'messages[0].refusal' is not supported (unsupported)"},
      {R"({"role":"user","content":"x","tool_calls":[{}]})",
       "messages[0].tool_calls: 'messages[0].tool_calls': only messages of the role 'assistant' have it"},
      {R"({"role":"assistant","content":null,"tool_calls":5})",
       "messages[0].tool_calls: 'messages[0].tool_calls': expected an array of calls, found integer 5"},
      {R"({"role":"assistant","content":null,"tool_calls":[{"id":"1"}]})",
       "messages[0].tool_calls[0].function: 'messages[0].tool_calls[0].function': expected an object with 'name' and "
       "'arguments', found null"},
      {R"({"role":"assistant","content":null,"tool_calls":[{"id":1,"function":{"name":"f"}}]})",
       "messages[0].tool_calls[0].id: 'messages[0].tool_calls[0].id': expected a string of 1 to 256 bytes, found integer 1"},
      {R"({"role":"assistant","content":null,"tool_calls":[{"type":"custom","custom":{}}]})",
       "messages[0].tool_calls[0]: 'messages[0].tool_calls[0]': unknown field 'custom'"},
      {R"({"role":"assistant","content":null,"tool_calls":[{"type":"custom","function":{"name":"f"}}]})",
       "messages[0].tool_calls[0].type: 'messages[0].tool_calls[0].type': only 'function' is supported, found string 'custom' "
       "(unsupported)"},
      {R"({"role":"assistant","content":null,"tool_calls":[{"function":{"name":""}}]})",
       "messages[0].tool_calls[0].function.name: 'messages[0].tool_calls[0].function.name': expected a string of 1 to 256 bytes, "
       "found "
       "string ''"},
      {R"({"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":[1]}}]})",
       "messages[0].tool_calls[0].function.arguments: 'messages[0].tool_calls[0].function.arguments': expected a string that "
       "holds a JSON "
       "object, or the object, found array"},
      {R"({"role":"assistant","content":null,"function_call":"f"})",
       "messages[0].function_call: 'messages[0].function_call': expected an object with 'name' and 'arguments', found string "
       "'f'"},
  };
  for (const auto& [message, expected] : rows) {
    const std::string refused = Refused(message);
    if (expected == nullptr) {
      EXPECT_NE(refused, "accepted") << message;
    } else {
      EXPECT_EQ(refused, expected);
    }
  }
  EXPECT_EQ(Refused(""), "messages: 'messages': must not be empty: expected at least one message");
}

TEST(Tools, PassAsTheyAre) {
  const std::string tools =
      R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"b":{},"a":{}}},)"
      R"("strict":true,"extra":[1]},"note":"n"},{"function":{"name":"g"},"type":"function"}])";
  EXPECT_EQ(Json(Accepted(kUser, "\"tools\":" + tools).tools).Write(), tools);
  EXPECT_TRUE(Accepted(kUser, R"("tools":[])").tools.empty());
  EXPECT_TRUE(Accepted(kUser, R"("tools":null,"tool_choice":"auto")").tools.empty());
}

TEST(Tools, ChoiceNoneLeavesThemOut) {
  const std::string tools = R"("tools":[{"type":"function","function":{"name":"f"}}])";
  EXPECT_TRUE(Accepted(kUser, tools + R"(,"tool_choice":"none")").tools.empty());
  EXPECT_TRUE(Accepted(kUser, R"("tool_choice":"none",)" + tools).tools.empty());
  EXPECT_EQ(Accepted(kUser, tools + R"(,"tool_choice":"auto")").tools.size(), 1U);
  EXPECT_EQ(RefusedMore(tools + R"(,"tool_choice":"required")"),
            "tool_choice: 'tool_choice': calls cannot be forced, only 'none' and 'auto' are supported, found string 'required' "
            "(unsupported)");
  EXPECT_EQ(
      RefusedMore(tools + R"(,"tool_choice":{"type":"function","function":{"name":"f"}})"),
      "tool_choice: 'tool_choice': calls cannot be forced, only 'none' and 'auto' are supported, found object (unsupported)");
  EXPECT_EQ(RefusedMore(R"("tool_choice":"any")"), "tool_choice: 'tool_choice': expected 'none' or 'auto', found string 'any'");
}

TEST(Tools, RefusalsNameTheMemberAndTheReason) {
  const auto refused = [](const std::string& tool) { return RefusedMore("\"tools\":[" + tool + "]"); };
  EXPECT_EQ(RefusedMore(R"("tools":{})"), "tools: 'tools': expected an array of tools, found object");
  EXPECT_EQ(refused("1"), "tools[0]: 'tools[0]': expected an object with 'type' and 'function', found integer 1");
  EXPECT_EQ(refused(R"({"function":{"name":"f"}})"), "tools[0].type: 'tools[0].type': expected 'function', found null");
  EXPECT_EQ(refused(R"({"type":"web_search"})"),
            "tools[0].type: 'tools[0].type': only 'function' is supported, found string 'web_search' (unsupported)");
  EXPECT_EQ(refused(R"({"type":"function"})"),
            "tools[0].function: 'tools[0].function': expected an object with 'name', found null");
  EXPECT_EQ(refused(R"({"type":"function","function":{}})"),
            "tools[0].function.name: 'tools[0].function.name': expected a string of 1 to 256 bytes, found null");
  EXPECT_EQ(refused(R"({"type":"function","function":{"name":"f","description":5}})"),
            "tools[0].function.description: 'tools[0].function.description': expected a string, found integer 5");
  EXPECT_EQ(refused(R"({"type":"function","function":{"name":"f","parameters":[]}})"),
            "tools[0].function.parameters: 'tools[0].function.parameters': expected an object: a JSON schema, found array");
}

TEST(Tools, CountsAndSizesAreBounded) {
  const auto repeated = [](const std::string& item, size_t count) {
    std::string all = item;
    for (size_t i = 1; i < count; ++i) all += "," + item;
    return all;
  };
  const std::string tool = R"({"type":"function","function":{"name":"f"}})";
  EXPECT_EQ(Accepted(kUser, "\"tools\":[" + repeated(tool, kMaxTools) + "]").tools.size(), kMaxTools);
  EXPECT_EQ(RefusedMore("\"tools\":[" + repeated(tool, kMaxTools + 1) + "]"), "tools: 'tools': at most 512 tools, found 513");
  const std::string large =
      fmt::format(R"({{"type":"function","function":{{"name":"f","description":"{}"}}}})", std::string(kMaxToolBytes, 'x'));
  EXPECT_EQ(RefusedMore("\"tools\":[" + large + "]"), "tools: 'tools': 1048638 bytes of JSON, expected at most 1048576");
  EXPECT_EQ(Refused(repeated(kUser, kMaxMessages + 1)), "messages: 'messages': at most 4096 messages, found 4097");
  const std::string call = R"({"function":{"name":"f"}})";
  EXPECT_EQ(Refused(R"({"role":"assistant","content":null,"tool_calls":[)" + repeated(call, kMaxToolCalls + 1) + "]}"),
            "messages[0].tool_calls: 'messages[0].tool_calls': at most 256 calls, found 257");
  EXPECT_EQ(RefusedMore("\"documents\":[" + repeated("{}", kMaxDocuments + 1) + "]"),
            "documents: 'documents': at most 1024 documents, found 1025");
}

TEST(Documents, AreObjects) {
  EXPECT_EQ(Json(Accepted(kUser, R"("documents":[{"title":"A","text":"x"}])").documents).Write(),
            R"([{"title":"A","text":"x"}])");
  EXPECT_EQ(RefusedMore(R"("documents":"x")"), "documents: 'documents': expected an array of objects, found string 'x'");
  EXPECT_EQ(RefusedMore(R"("documents":["x"])"), "documents[0]: 'documents[0]': expected an object, found string 'x'");
}

TEST(TemplateArguments, AreWhateverTheTemplateReadsButNotItsOwn) {
  const std::string arguments = R"({"enable_thinking":false,"controls":{"length":"short"},"list":[1,null]})";
  EXPECT_EQ(Json(Accepted(kUser, "\"chat_template_kwargs\":" + arguments).template_arguments).Write(), arguments);
  EXPECT_EQ(RefusedMore(R"("chat_template_kwargs":[])"),
            "chat_template_kwargs: 'chat_template_kwargs': expected an object, found array");
  for (const char* name :
       {"messages", "tools", "documents", "tokenize", "chat_template", "bos_token", "image_token", "namespace"}) {
    EXPECT_EQ(RefusedMore(fmt::format(R"("chat_template_kwargs":{{"{}":1}})", name)),
              fmt::format("chat_template_kwargs.{0}: 'chat_template_kwargs.{0}': this name belongs to the server", name));
  }
  std::string many = R"("a0":1)";
  for (int i = 1; i <= 32; ++i) many += fmt::format(R"(,"a{}":1)", i);
  EXPECT_EQ(RefusedMore("\"chat_template_kwargs\":{" + many + "}"),
            "chat_template_kwargs: 'chat_template_kwargs': at most 32 arguments, found 33");
  EXPECT_EQ(
      RefusedMore(R"("chat_template":"{{ x }}")"),
      "chat_template: 'chat_template' is not supported: a template is a program, and comes with the model only (unsupported)");
}

TEST(ContinueFinalMessage, ExcludesTheBeginningOfAnother) {
  EXPECT_TRUE(Accepted(kUser).add_generation_prompt);
  EXPECT_FALSE(Accepted(kUser, R"("add_generation_prompt":false)").add_generation_prompt);
  const PromptRequest continued = Accepted(kUser, R"("continue_final_message":true)");
  EXPECT_EQ(continued.continue_field, "content");
  EXPECT_FALSE(continued.add_generation_prompt);
  EXPECT_EQ(Accepted(kUser, R"("continue_final_message":"reasoning_content")").continue_field, "reasoning_content");
  EXPECT_TRUE(Accepted(kUser, R"("continue_final_message":false)").add_generation_prompt);
  EXPECT_EQ(Accepted(kUser, R"("continue_final_message":true,"add_generation_prompt":false)").continue_field, "content");
  EXPECT_EQ(RefusedMore(R"("continue_final_message":true,"add_generation_prompt":true)").substr(0, 24),
            "continue_final_message: ");
  EXPECT_EQ(RefusedMore(R"("continue_final_message":"name")").substr(0, 24), "continue_final_message: ");
  EXPECT_EQ(RefusedMore(R"("add_generation_prompt":"no")"),
            "add_generation_prompt: 'add_generation_prompt': expected true or false, found string 'no'");
}

TEST(ReasoningEffort, IsAShortText) {
  EXPECT_EQ(Accepted(kUser, R"("reasoning_effort":"high")").reasoning_effort, "high");
  EXPECT_EQ(RefusedMore(R"("reasoning_effort":5)"),
            "reasoning_effort: 'reasoning_effort': expected a string of 1 to 32 bytes, found integer 5");
}

}  // namespace
}  // namespace millrace::api
