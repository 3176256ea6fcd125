// Chat templates against jinja2's own results (tests/text/template_golden.json), and what jinja2 does not have: places in messages,
// refusals, budgets.
#include "jinja/chat_template.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <thread>

namespace millrace::jinja {
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
  EXPECT_TRUE(json.ok()) << json.status().message();
  return json.ok() ? *json : Json();
}

Result<std::string> Render(const std::string& source, const Json& context = Json(Json::Object{}),
                           const TemplateLimits& limits = {}) {
  ASSIGN_OR_RETURN(const ChatTemplate chat, ChatTemplate::Parse(source, limits));
  return chat.Render(context);
}

std::string ErrorOf(const std::string& source, const Json& context = Json(Json::Object{})) {
  const Result<std::string> result = Render(source, context);
  return result.ok() ? "no error, but: " + *result : result.status().message();
}

Code CodeOf(const std::string& source, const TemplateLimits& limits = {}) {
  return Render(source, Json(Json::Object{}), limits).status().code();
}

class Golden : public testing::Test {
 protected:
  void SetUp() override {
    setenv("TZ", "UTC", 1);
    tzset();
    golden_ = Parsed(ReadFile("template_golden.json"));
  }

  // `expected` is ["output", text] or ["error"], from index `at` on.
  void Check(const std::string& source, const Json& context, const Json::Array& expected, size_t at) {
    const Result<ChatTemplate> chat = ChatTemplate::Parse(source);
    const Result<std::string> output =
        chat.ok() ? chat->RenderAt(context, golden_.Find("now")->as_int64().value()) : Result<std::string>(chat.status());
    if (expected[at].as_string() == "error") {
      EXPECT_FALSE(output.ok()) << source << "\nrendered: " << *output;
    } else {
      EXPECT_TRUE(output.ok()) << source << "\n" << output.status().message();
      if (output.ok()) {
        EXPECT_EQ(*output, expected[at + 1].as_string()) << source;
      }
    }
  }

  Json golden_;
};

TEST_F(Golden, Templates) {
  size_t count = 0;
  for (const auto& [name, results] : golden_.Find("templates")->members()) {
    const std::string source = ReadFile("template_samples/" + name + ".jinja");
    for (const auto& [context, expected] : results.members()) {
      SCOPED_TRACE(name + " with context " + context);
      Check(source, *golden_.Find("contexts")->Find(context), expected.items(), 0);
      ++count;
    }
  }
  EXPECT_GE(count, 300u);
}

TEST_F(Golden, Snippets) {
  const Json& context = *golden_.Find("snippet_context");
  const Json::Array& snippets = golden_.Find("snippets")->items();
  EXPECT_GE(snippets.size(), 900u);
  for (const Json& snippet : snippets) Check(snippet.items()[0].as_string(), context, snippet.items(), 1);
}

TEST(ChatTemplate, ErrorsNameThePlace) {
  EXPECT_EQ(ErrorOf("{% if x %}\n\n  a {% endfor %}"),
            "template line 3, column 8: expected 'elif' or 'else' or 'endif', found 'endfor'");
  EXPECT_EQ(ErrorOf("a\n{{ message.role }}"), "template line 2, column 11: 'message' is undefined");
  EXPECT_EQ(ErrorOf("é{{ 'a' + 1 }}"), "template line 1, column 9: operator '+' does not take str and int");
  EXPECT_EQ(ErrorOf("{{ {}.a.b }}"), "template line 1, column 8: 'dict object' has no attribute 'a'");
  EXPECT_EQ(ErrorOf("{{ 'a"), "template line 1, column 4: the string is not closed: expected '");
  EXPECT_EQ(ErrorOf("a {{ b + 1\n"), "template line 1, column 3: the tag is not closed: expected '}}'");
  EXPECT_EQ(ErrorOf("{% for x in 5 %}{% endfor %}"),
            "template line 1, column 13: iteration is not possible for a value of type int");
  EXPECT_EQ(ErrorOf("{{ x | nofilter }}"), "template line 1, column 8: no filter named 'nofilter'");
}

TEST(ChatTemplate, ErrorsInsideMacrosNameTheInnerPlace) {
  EXPECT_EQ(ErrorOf("{% macro f() %}\n{{ 1 // 0 }}{% endmacro %}\n{{ f() }}"), "template line 2, column 6: division by zero");
}

TEST(ChatTemplate, RaiseExceptionPassesOnItsWords) {
  const Result<std::string> result =
      Render("{% macro f() %}{{ raise_exception('roles must ' ~ 'alternate') }}{% endmacro %}{{ f() }}");
  EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
  EXPECT_EQ(result.status().message(), "roles must alternate");
}

TEST(ChatTemplate, RefusesWhatItDoesNotImplement) {
  for (const char* source :
       {"{% include 'x' %}",
        "{% extends 'x' %}",
        "{% block a %}{% endblock %}",
        "{% import 'x' as y %}",
        "{% autoescape true %}{% endautoescape %}",
        "{{ x | urlize }}",
        "{% if 1 %}{{ x | from_json }}{% endif %}",
        "{{ x | pprint }}",
        "{{ [] | groupby('a', default=1) }}",
        "{{ é }}",
        "{{ 99999999999999999999 }}",
        "{{ 1[2:] }}",
        "{{ x.__class__ }}",
        "{{ {}.items }}",
        "{{ 'a'.encode() }}",
        "{{ [1]|map('upper') }}",
        "{{ ('<'|safe).upper() }}",
        "{{ self }}",
        "{{ -2 ** x }}",
        "{{ '\\ud800' }}",
        "{{ strftime_now('%Q') }}",
        "{% set ns = namespace() %}{% for a in [1] %}{% for b in [1] recursive %}{% set ns.l = loop %}{% endfor %}{% endfor %}"
        "{{ ns.l([1]) }}",
        "{% for i in [1] %}{% macro f() %}{% endmacro %}"
        "{% set ns = namespace(f=f) %}{{ ns.f() }}{% endfor %}{{ lipsum() }}"}) {
    EXPECT_EQ(CodeOf(source), Code::kUnsupported) << source << "\n" << ErrorOf(source);
  }
}

TEST(ChatTemplate, IntegersOutsideOf64BitsAreRefused) {
  for (const char* source :
       {"{{ 9223372036854775807 + 1 }}", "{{ -9223372036854775807 - 2 }}", "{{ 2 ** 63 }}", "{{ 3037000500 * 3037000500 }}",
        "{{ (0 - 9223372036854775807 - 1) // -1 }}", "{{ 1e300 | int }}", "{{ (0 - 9223372036854775807 - 1) | abs }}"}) {
    EXPECT_EQ(CodeOf(source), Code::kUnsupported) << source;
  }
  const Json big = Parsed(R"({"big": 18446744073709551615})");
  EXPECT_EQ(*Render("{{ big }}|{{ big | tojson }}|{{ big == big }}|{{ big > 1 }}", big),
            "18446744073709551615|18446744073709551615|True|True");
  EXPECT_FALSE(Render("{{ big + 1 }}", big).ok());
}

TEST(ChatTemplate, BudgetsStopRunawayTemplates) {
  for (const char* source :
       {"{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{{ 'x' * 9000000000 }}",
        "{{ [1] * 1000000000000 }}",
        "{% set ns = namespace(x='xxxxxxxxxxxxxxxx') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x | replace('', ns.x) %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(90) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(90) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x == ns.x[0] or "
        "ns.x | tojson }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% endfor %}",
        "{% set ns = namespace(x=(1,)) %}{% for i in range(90) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ {ns.x: 1} }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% set s = 'a' * 1000000 %}{% for i in range(100000) %}{% set x = s.find('aaaaaaaaaaaaaaab') %}{% endfor %}",
        "{% set s = '9' * 1000000 %}{% for i in range(100000) %}{% set x = s | float %}{% endfor %}",
        "{{ '%1000000d' % 1 * 10000 }}",
        "{{ 'a'.center(99999999999) }}",
        "{{ 'a' | indent(99999999999) }}",
        "{{ ('\\n' * 1000000) | indent(1000000) }}",
        "{{ [1] | batch(99999999999, 2) | list }}",
        "{{ 'ab'.join(['xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' * 1000000] * 1000000) }}",
        "{{ ([[[1]] * 100000] * 100000) | tojson(indent=1000) }}",
        "{% for a in range(100000) %}{{ 'x' * 100000 }}{% endfor %}",
        "{{ '{:>999999}'.format(1) * 1000 }}",
        "{% set a = 'a' * 3000000 %}{% for i in range(9000) %}{% set x = {a: 1} %}{% endfor %}",
        "{% set a = 'a' * 3000000 %}{% set d = {1: 1} %}{% for i in range(9000) %}{{ d[a] }}{% endfor %}",
        "{% set a = 'a' * 3000000 %}{% set d = {a ~ 1: 1} %}{% set b = a ~ 2 %}{% for i in range(9000) %}{{ d[b] }}{% endfor %}",
        "{% set a = 'a' * 3000000 %}{% for i in range(50) %}{{ a is lower }}{{ a is upper }}{% endfor %}",
        "{% set ns = namespace() %}{% for i in range(100000) %}{% set ns.l = loop %}{% for x in [ns.l] %}{% set ns.l = loop %}{% "
        "endfor %}{% endfor %}{{ 'x' * 99999999999 }}"}) {
    EXPECT_EQ(CodeOf(source), Code::kResourceExhausted) << source << "\n" << ErrorOf(source);
  }
}

TEST(ChatTemplate, LimitsAreThoseOfTheCaller) {
  EXPECT_EQ(CodeOf("0123456789", {.max_source_bytes = 9}), Code::kResourceExhausted);
  EXPECT_EQ(CodeOf("0123456789", {.max_source_bytes = 10}), Code::kOk);
  EXPECT_EQ(CodeOf("{{ 'x' * 11 }}", {.max_output_bytes = 10}), Code::kResourceExhausted);
  EXPECT_EQ(CodeOf("{{ 'x' * 10 }}", {.max_output_bytes = 10}), Code::kOk);
  EXPECT_EQ(CodeOf("{% for i in range(1000) %}{% endfor %}", {.max_steps = 1000}), Code::kResourceExhausted);
  EXPECT_EQ(CodeOf("{% for i in range(1000) %}{% endfor %}", {.max_steps = 10000}), Code::kOk);
  EXPECT_EQ(CodeOf("{{ ('x' * 2000000) | length }}", {.max_value_bytes = 1'000'000}), Code::kResourceExhausted);
}

TEST(ChatTemplate, NestingIsBounded) {
  const auto nested = [](const std::string& open, const std::string& middle, const std::string& close, size_t levels) {
    std::string source;
    for (size_t i = 0; i < levels; ++i) source += open;
    source += middle;
    for (size_t i = 0; i < levels; ++i) source += close;
    return source;
  };
  EXPECT_EQ(CodeOf("{{ " + nested("(", "1", ")", 60) + " }}"), Code::kOk);
  EXPECT_EQ(CodeOf(nested("{% if 1 %}", "x", "{% endif %}", 60)), Code::kOk);
  for (const std::string& source :
       {"{{ " + nested("(", "1", ")", 5000) + " }}", "{{ " + nested("[", "1", "]", 5000) + " }}",
        "{{ " + nested("{1:", "1", "}", 5000) + " }}", "{{ " + nested("not ", "1", "", 5000) + " }}",
        "{{ " + nested("- ", "1", "", 5000) + " }}", "{{ " + nested("x[", "1", "]", 5000) + " }}",
        "{{ " + nested("f(", "1", ")", 5000) + " }}", "{{ " + nested("1 if ", "1", "", 5000) + " }}",
        "{{ " + nested("1 if 1 else ", "1", "", 5000) + " }}", nested("{% if 1 %}", "", "{% endif %}", 5000),
        "{% set " + nested("(", "a", ")", 5000) + " = 1 %}", "{% for " + nested("(", "a", ")", 5000) + " in x %}{% endfor %}"}) {
    EXPECT_EQ(CodeOf(source), Code::kResourceExhausted) << source.substr(0, 40);
  }
}

// Chains are not nesting: their length has no limit but the size of the source.
TEST(ChatTemplate, LongChainsAreFine) {
  std::string sum = "1", text = "'a'", tests = "1", branches = "{% if 0 %}";
  for (int i = 0; i < 3000; ++i) {
    sum += " + 1";
    text += " ~ 'a'";
    tests += " | abs";
    branches += "{% elif 0 %}";
  }
  EXPECT_EQ(*Render("{{ " + sum + " }}"), "3001");
  EXPECT_EQ(Render("{{ " + text + " }}")->size(), 3001u);
  EXPECT_EQ(*Render("{{ " + tests + " }}"), "1");
  EXPECT_EQ(*Render(branches + "{% else %}x{% endif %}"), "x");
}

TEST(ChatTemplate, ContextMustBeAnObjectOfUtf8) {
  EXPECT_FALSE(Render("x", Json(5)).ok());
  EXPECT_FALSE(Render("{{ a }}", Json(Json::Object{{"a", Json("\xff")}})).ok());
  EXPECT_TRUE(Render("unused", Json(Json::Object{{"a", Json("\xff")}})).ok());
  EXPECT_FALSE(ChatTemplate::Parse("\xff").ok());
  Json deep(Json::Array{});
  for (int i = 0; i < 200; ++i) deep = Json(Json::Array{deep});
  EXPECT_EQ(Render("{{ a }}", Json(Json::Object{{"a", deep}})).status().code(), Code::kResourceExhausted);
}

TEST(ChatTemplate, ShowsThePlaceOfAnError) {
  const auto shown = [](const std::string& source) { return ShowTemplatePlace(source, ErrorOf(source)); };
  EXPECT_EQ(shown("a\r\né{{ b.c }}\nd"), "\n  é{{ b.c }}\n       ^");
  EXPECT_EQ(shown("\t{% if %}"), "\n   {% if %}\n         ^");
  EXPECT_EQ(shown(std::string(200, 'x') + "{{ 1 + }}" + std::string(200, 'y')),
            "\n  " + std::string(52, 'x') + "{{ 1 + }}" + std::string(39, 'y') + "\n  " + std::string(59, ' ') + "^");
  EXPECT_EQ(ShowTemplatePlace("a", "no place"), "");
  EXPECT_EQ(ShowTemplatePlace("a", "template line 99, column 99: x"), "\n  \n  " + std::string(59, ' ') + "^") << "harmless";
}

TEST(ChatTemplate, TheClockIsThatOfTheCaller) {
  const ChatTemplate chat = ChatTemplate::Parse("{{ strftime_now('%Y-%m-%dT%H:%M:%S|%f|%z|%Z|%-d|%3e') }}").value();
  setenv("TZ", "UTC", 1);
  tzset();
  EXPECT_EQ(*chat.RenderAt(Json(Json::Object{}), 1'700'000'000), "2023-11-14T22:13:20|000000|||14| 14");
  EXPECT_EQ(*chat.RenderAt(Json(Json::Object{}), -1), "1969-12-31T23:59:59|000000|||31| 31");
}

TEST(ChatTemplate, MissingIsNotNull) {
  EXPECT_EQ(*Render("{{ tools is defined }}{{ tools is none }}", Parsed(R"({"tools": null})")), "TrueTrue");
  EXPECT_EQ(*Render("{{ tools is defined }}{{ tools is none }}"), "FalseFalse");
}

TEST(ChatTemplate, MentionsTellsWhichVariablesAreRead) {
  const Result<ChatTemplate> chat = ChatTemplate::Parse("{% if tools %}{{ tools[0].name }}{% endif %}{{ loop }}{# documents #}");
  ASSERT_TRUE(chat.ok());
  EXPECT_TRUE(chat->Mentions("tools"));
  EXPECT_FALSE(chat->Mentions("documents"));
  EXPECT_FALSE(chat->Mentions("name"));
}

TEST(ChatTemplate, ManyThreadsRenderOneTemplate) {
  const Result<ChatTemplate> chat = ChatTemplate::Parse(
      "{% set ns = namespace(n=0) %}{% for i in range(200) %}{% set ns.n = ns.n + i * who %}{% endfor %}{{ 'text' ~ ns.n }}{{ "
      "['a', 'é'] }}");
  ASSERT_TRUE(chat.ok());
  std::vector<std::thread> threads;
  std::vector<int> failures(4, 0);
  for (int who = 0; who < 4; ++who) {
    threads.emplace_back([&, who] {
      for (int round = 0; round < 50; ++round) {
        const auto output = chat->Render(Json(Json::Object{{"who", Json(who)}}));
        if (!output.ok() || *output != "text" + std::to_string(19900 * who) + "['a', 'é']") ++failures[static_cast<size_t>(who)];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, std::vector<int>(4, 0));
}

}  // namespace
}  // namespace millrace::jinja
