// Prompts against those of transformers (tests/text/chat_golden.json), and what clients of OpenAI's interface send made fit for templates.
#include "text/chat_prompt.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>

#include "text/chat_default.h"

namespace millrace::text {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(std::string(MILLRACE_SOURCE_DIR "/tests/text/") + path);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << path;
  return text.str();
}

Json Parsed(const std::string& text) {
  Result<Json> json = Json::Parse(text);
  EXPECT_TRUE(json.ok()) << json.status().message() << ": " << text;
  return json.ok() ? *json : Json();
}

Json::Array Messages(const std::string& text) { return Parsed(text).items(); }

std::string Source(const std::string& name) { return ReadFile("template_samples/" + name + ".jinja"); }

// One template, under the default name.
ChatTemplates Of(const std::string& source, const Json::Object& special_tokens = {}) {
  auto chat = ChatTemplates::Create({{std::string(kDefaultTemplate), source}}, special_tokens);
  EXPECT_TRUE(chat.ok()) << chat.status().message();
  return *chat;
}

std::optional<Json::Array> ArrayIn(const Json& input, std::string_view key) {
  const Json* value = input.Find(key);
  return value == nullptr ? std::nullopt : std::optional(value->items());
}

std::string TextIn(const Json& input, std::string_view key) {
  const Json* value = input.Find(key);
  return value == nullptr ? "" : value->as_string();
}

ChatInput InputOf(const Json& golden) {
  ChatInput input;
  input.messages = golden.Find("messages")->items();
  input.tools = ArrayIn(golden, "tools");
  input.documents = ArrayIn(golden, "documents");
  if (const Json* arguments = golden.Find("arguments")) input.arguments = arguments->members();
  if (const Json* prompt = golden.Find("add_generation_prompt")) input.add_generation_prompt = prompt->as_bool();
  input.continue_field = TextIn(golden, "continue");
  input.template_name = TextIn(golden, "template_name");
  return input;
}

TEST(ChatPrompt, IsThatOfTransformers) {
  setenv("TZ", "UTC", 1);
  tzset();
  const Json golden = Parsed(ReadFile("chat_golden.json"));
  const int64_t now = golden.Find("now")->as_int64().value();
  size_t outputs = 0;
  for (const auto& [set_name, set] : golden.Find("sets")->members()) {
    std::vector<NamedTemplate> templates;
    for (const auto& [name, source] : set.Find("templates")->members()) {
      const std::string& text = source.as_string();
      templates.push_back({name, text.starts_with('@') ? Source(text.substr(1)) : text});
    }
    const auto chat = ChatTemplates::Create(templates, set.Find("special_tokens")->members());
    ASSERT_TRUE(chat.ok()) << chat.status().message();
    for (const auto& [input_name, expected] : set.Find("outputs")->members()) {
      SCOPED_TRACE(set_name + ", " + input_name);
      const auto output = chat->RenderAt(InputOf(*golden.Find("inputs")->Find(input_name)), now);
      if (expected.is_null()) {
        EXPECT_FALSE(output.ok()) << *output;
      } else {
        EXPECT_EQ(output.ok() ? *output : output.status().message(), expected.as_string());
        ++outputs;
      }
    }
  }
  EXPECT_GT(outputs, 200U);
}

TEST(ChatPrompt, SaysWhyThereIsNone) {
  const auto user = Messages(R"([{"role":"user","content":"Hi"}])");
  const ChatTemplates chat = Of(Source("chatml"));
  const auto error = [&](const ChatInput& input) { return chat.Render(input).status(); };
  EXPECT_EQ(error({}).message(), "the conversation is empty: expected at least one message");
  EXPECT_EQ(error({.messages = {Json(1)}}).message(), "messages[0]: expected an object, found integer");
  EXPECT_EQ(error({.messages = user, .tools = Json::Array{Json("x")}}).message(), "tools[0]: expected an object, found string");
  EXPECT_EQ(error({.messages = user, .arguments = {{"messages", Json()}}}).message(),
            "'messages' is no name for a template argument");
  EXPECT_EQ(error({.messages = user, .continue_field = "reasoning"}).message(),
            "the last message has no 'reasoning' to continue");
  EXPECT_EQ(error({.messages = user, .template_name = "rag"}).message(),
            "no chat template is called 'rag': the model has 'default'");
  EXPECT_EQ(error({.messages = user, .template_name = "rag"}).code(), Code::kNotFound);
  const auto created = [](std::vector<NamedTemplate> templates) {
    return ChatTemplates::Create(std::move(templates), {}).status().message();
  };
  EXPECT_EQ(created({}), "expected 1 to 32 chat templates, found 0");
  EXPECT_EQ(created({{"a", ""}, {"a", ""}}), "two chat templates are called 'a'");
  EXPECT_EQ(created({{"rag", "{{"}}).substr(0, 36), "chat template 'rag': template line 1");
  EXPECT_EQ(created({{"default", "{{"}, {"rag", "{{"}}).substr(0, 15), "template line 1");
  const auto one = ChatTemplates::Create({{"default", "x"}, {"rag", "{{"}}, {});
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(*one->Render({.messages = user}), "x");
  EXPECT_EQ(one->Render({.messages = user, .template_name = "rag"}).status().message().substr(0, 36),
            "chat template 'rag': template line 1");
  EXPECT_EQ(one->errors().size(), 1U);
}

// Roles other than system are put through as they are, content may be parts or text.
constexpr const char* kParts =
    "{% for m in messages %}<{{ m.role }}>{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ p.text "
    "}};"
    "{% endfor %}{% endif %}{% endfor %}";
constexpr const char* kOnlyParts =
    "{% for m in messages %}<{{ m.role }}>{% for p in m.content %}{{ p.text }};{% endfor %}{% endfor %}";

std::string Fitted(const std::string& source, const std::string& messages, const char* tools = nullptr) {
  const ChatTemplates chat = Of(source);
  ChatInput input{.messages = Messages(messages)};
  if (tools != nullptr) input.tools = Messages(tools);
  const auto fitted = chat.Fit(input);
  EXPECT_TRUE(fitted.ok()) << fitted.status().message();
  const auto output = chat.Render(*fitted);
  return output.ok() ? *output : output.status().message();
}

TEST(ChatFit, ContentTakesTheFormThatTheTemplateShows) {
  const std::string parts = R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])";
  const std::string text = R"([{"role":"user","content":"a"}])";
  EXPECT_EQ(Fitted(kParts, parts), "<user>a;b;");
  EXPECT_EQ(Fitted(kParts, text), "<user>a");
  EXPECT_EQ(Fitted(kOnlyParts, text), "<user>a;");
  EXPECT_EQ(Fitted(Source("chatml"), parts), "<|im_start|>user\na\nb<|im_end|>\n");
  // The first part alone is not the whole.
  EXPECT_EQ(Fitted("{% for m in messages %}{{ m.content[0].text if m.content is not string else m.content }}{% endfor %}", parts),
            "a\nb");
}

TEST(ChatFit, EachRoleHasItsOwnForm) {
  const std::string source =
      "{% for m in messages %}{% if m.role == 'user' %}{% for p in m.content %}{{ p.text }}{% endfor %}{% else %}{{ m.content }}"
      "{% endif %}|{% endfor %}";
  const std::string part = R"([{"type":"text","text":"x"}])";
  EXPECT_EQ(Fitted(source, R"([{"role":"system","content":)" + part + R"(},{"role":"user","content":"u"}])"), "x|u|");
}

TEST(ChatFit, DeveloperIsSystemUnlessTheTemplateTellsItFromOthers) {
  const std::string chat = R"([{"role":"developer","content":"d"},{"role":"user","content":"u"}])";
  EXPECT_EQ(Fitted(kParts, chat), "<system>d<user>u");
  const std::string knows =
      "{# developer #}{% for m in messages %}<{{ 'dev' if m.role == 'developer' else m.role }}>{{ m.content }}{% endfor %}";
  EXPECT_EQ(Fitted(knows, chat), "<dev>d<user>u");
  // Its name in a comment or in the text is no knowledge of it.
  EXPECT_EQ(Fitted("{# developer #}made by developers" + std::string(kParts), chat), "made by developers<system>d<user>u");
  const std::string refuses =
      "{% for m in messages %}{% if m.role not in ['system', 'user', 'assistant'] %}{{ raise_exception('no') }}{% endif %}"
      "<{{ m.role }}>{{ m.content }}{% endfor %}";
  EXPECT_EQ(Fitted(refuses, chat), "<system>d<user>u");
  // Dropping it is no knowledge either.
  EXPECT_EQ(Fitted("{% for m in messages if m.role != 'developer' %}<{{ m.role }}>{{ m.content }}{% endfor %}", chat),
            "<system>d<user>u");
}

constexpr const char* kCall =
    R"([{"role":"user","content":"u"},{"role":"assistant","content":null,"tool_calls":[{"id":"abcdefghi","type":"function",)"
    R"("function":{"name":"f","arguments":"{\"city\":\"Paris\"}"}}]},{"role":"tool","content":"1","tool_call_id":"abcdefghi"}])";
constexpr const char* kTools =
    R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{}}}}])";

TEST(ChatFit, ArgumentsTakeTheFormThatTheTemplateShows) {
  for (const char* name : {"hermes_tools", "llama3_tools", "qwen_reasoning", "granite_style"}) {
    const ChatTraits traits = TraitsOf(Source(name), {});
    EXPECT_TRUE(traits.object_arguments) << name;
  }
  EXPECT_NE(Fitted(Source("hermes_tools"), kCall, kTools).find(R"({"city": "Paris"})"), std::string::npos);
  const auto shown = [](const std::string& expression) {
    return "{% for m in messages %}{% for c in m.tool_calls or [] %}" + expression + "{% endfor %}{% endfor %}";
  };
  EXPECT_EQ(Fitted(shown("{{ c.function.arguments | tojson }}"), kCall), R"({"city": "Paris"})");
  EXPECT_EQ(Fitted(shown("{{ c.function.arguments }}"), kCall), R"({"city":"Paris"})");  // not {'city': 'Paris'}
  EXPECT_EQ(Fitted(shown("{{ 'a' + c.function.arguments }}"), kCall), R"(a{"city":"Paris"})");
  EXPECT_EQ(Fitted(shown("{% for k, v in c.function.arguments | items %}{{ k }}={{ v }}{% endfor %}"), kCall), "city=Paris");
}

TEST(ChatFit, ArgumentsThatAreNoObjectStayText) {
  ChatTraits traits;
  const auto fitted = [&](const std::string& arguments) {
    Json::Array messages = {Json(Json::Object{
        {"role", Json("assistant")},
        {"tool_calls", Json(Json::Array{Json(Json::Object{
                           {"function", Json(Json::Object{{"name", Json("f")}, {"arguments", Parsed(arguments)}})}})})}})};
    FitMessages(traits, messages);
    return messages[0].Find("tool_calls")->items()[0].Find("function")->Find("arguments")->Write();
  };
  EXPECT_EQ(fitted(R"("{\"a\": 1.5}")"), R"({"a":1.5})");
  EXPECT_EQ(fitted(R"("")"), "{}");
  EXPECT_EQ(fitted(R"("[1]")"), R"("[1]")");
  EXPECT_EQ(fitted(R"("{\"a\":")"), R"("{\"a\":")");
  EXPECT_EQ(fitted("7"), "7");
  traits.object_arguments = false;
  EXPECT_EQ(fitted(R"({"a":[1]})"), R"("{\"a\":[1]}")");
  EXPECT_EQ(fitted(R"("{\"a\": 1}")"), R"("{\"a\": 1}")");
}

TEST(ChatFit, NullContentIsNone) {
  const std::string tells =
      "{% for m in messages %}{{ m.role }}:{{ 'none' if m.content is not defined else m.content + '.' }}|{% endfor %}";
  EXPECT_EQ(Fitted(tells, kCall), "user:u.|assistant:none|tool:1.|");
  const std::string needs = "{% for m in messages %}{{ m.role + ':' + m.content }}|{% endfor %}";
  EXPECT_EQ(Fitted(needs, kCall), "user:u|assistant:|tool:1|");
  EXPECT_EQ(Fitted(tells, R"([{"role":"user","content":"u"},{"role":"assistant","content":null}])"), "user:u.|assistant:.|");
}

TEST(ChatFit, OlderFunctionsAreTools) {
  ChatTraits traits;
  Json::Array messages = Messages(
      R"([{"role":"user","content":"u"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},)"
      R"({"role":"function","name":"f","content":"1"}])");
  FitMessages(traits, messages);
  EXPECT_EQ(
      Json(messages).Write(),
      R"([{"role":"user","content":"u"},{"role":"assistant","content":null,"tool_calls":[{"id":"call00001","type":"function",)"
      R"("function":{"name":"f","arguments":{}}}]},{"role":"tool","name":"f","content":"1","tool_call_id":"call00001"}])");
}

TEST(ChatFit, OddMembersAreLeftAlone) {
  ChatTraits traits;
  traits.object_arguments = false;
  Json::Array messages =
      Messages(R"([1,{},{"role":5},{"role":"user","content":[5]},{"role":"assistant","tool_calls":"x","function_call":7},)"
               R"({"role":"assistant","tool_calls":[5,{"function":6},{"function":{}}],"content":8}])");
  const std::string before = Json(messages).Write();
  FitMessages(traits, messages);
  EXPECT_EQ(Json(messages).Write(), Json(Messages(before)).Write());
}

TEST(ChatTraits, CallsAreShownOrNot) {
  EXPECT_FALSE(TraitsOf(Source("chatml"), {}).calls);
  EXPECT_TRUE(TraitsOf(Source("mistral"), {{"bos_token", Json("<s>")}, {"eos_token", Json("</s>")}}).calls);
  EXPECT_TRUE(TraitsOf(Source("deepseek"), {}).calls);
  EXPECT_TRUE(TraitsOf(Source("deepseek"), {}).needs_content);
  EXPECT_FALSE(TraitsOf(Source("qwen_reasoning"), {}).needs_content);
}

TEST(ChatTraits, AHostileTemplateCostsLittle) {
  const auto start = std::clock();
  const ChatTraits traits =
      TraitsOf("{% for a in range(100000) %}{% for b in range(100000) %}{{ a }}{% endfor %}{% endfor %}", {});
  EXPECT_FALSE(traits.developer);
  EXPECT_TRUE(traits.calls) << "nothing rendered: the default traits";
  EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 1.0);
}

TEST(ChatDefault, FollowsTheVocabulary) {
  const auto chat_of = [](std::vector<std::string_view> tokens) {
    return DefaultChatFor([&](std::string_view token) { return std::find(tokens.begin(), tokens.end(), token) != tokens.end(); });
  };
  const std::string chat =
      R"([{"role":"system","content":"Be brief."},{"role":"user","content":" Hi"},{"role":"assistant","content":" Ho"}])";
  const auto rendered = [&](const DefaultChat& found) {
    return *Of(found.text.source).Render({.messages = Messages(chat), .add_generation_prompt = true});
  };
  const DefaultChat chatml = chat_of({"<|im_start|>", "<|im_end|>"});
  EXPECT_EQ(chatml.kind, "chatml");
  EXPECT_EQ(rendered(chatml),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hi<|im_end|>\n<|im_start|>assistant\n Ho<|im_end|>\n"
            "<|im_start|>assistant\n");
  const DefaultChat plain = chat_of({"<|im_start|>"});
  EXPECT_EQ(plain.kind, "plain");
  EXPECT_EQ(rendered(plain), "System: Be brief.\nUser: Hi\nAssistant: Ho\nAssistant:");
}

}  // namespace
}  // namespace millrace::text
