#include "text/chat_traits.h"

#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>

#include "jinja/chat_template.h"
#include "jinja/text.h"

namespace millrace::text {
namespace {

// A line break inside tells text that is shown from text that is quoted, by Python or as JSON.
constexpr std::string_view kFirst = "first\nprobe";
constexpr std::string_view kQuotedFirst = "first\\nprobe";
constexpr std::string_view kSecond = "second\nprobe";
constexpr std::string_view kReasoning = "probe of reasoning";
constexpr std::string_view kUnknownRole = "proberole";
constexpr std::string_view kCallId = "call00001";  // the nine letters and digits that some templates demand
constexpr std::string_view kFunction = "probe_function";
constexpr std::string_view kKey = "probe_key";  // of its arguments

// Small: a hostile template must not hold up the opening of a model.
constexpr uint64_t kProbeSteps = 100'000;
constexpr int kMaxExhausted = 2;  // renders of one template that may use up their steps; the others are left out
constexpr size_t kProbeBytes = size_t{1} << 20;

bool Has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

Json Message(std::string_view role, Json content) {
  return Json(Json::Object{{"role", Json(role)}, {"content", std::move(content)}});
}

Json TextPart(std::string_view text) { return Json(Json::Object{{"type", Json("text")}, {"text", Json(text)}}); }

Json Call(Json arguments) {
  const Json function(Json::Object{{"name", Json(kFunction)}, {"arguments", std::move(arguments)}});
  return Json(Json::Object{{"id", Json(kCallId)}, {"type", Json("function")}, {"function", function}});
}

Json ObjectArguments() { return Json(Json::Object{{std::string(kKey), Json("probe_value")}}); }
Json TextArguments() { return Json(ObjectArguments().Write()); }

Json CallMessage(std::optional<Json> content, Json arguments) {
  Json message(Json::Object{{"role", Json("assistant")}});
  if (content) message.Set("content", *std::move(content));
  message.Set("tool_calls", Json::Array{Call(std::move(arguments))});
  return message;
}

Json ResultMessage(Json content) {
  Json message = Message("tool", std::move(content));
  message.Set("tool_call_id", Json(kCallId));
  message.Set("name", Json(kFunction));
  return message;
}

Json ProbeTool() {
  const Json parameters(Json::Object{{"type", Json("object")}, {"properties", Json(Json::Object{})}});
  const Json function(Json::Object{{"name", Json(kFunction)}, {"description", Json("Probes.")}, {"parameters", parameters}});
  return Json(Json::Object{{"type", Json("function")}, {"function", function}});
}

class Probe {
 public:
  Probe(jinja::ChatTemplate chat, const Json::Object& special_tokens) : chat_(std::move(chat)), special_tokens_(special_tokens) {}

  // False while no conversation could be rendered.
  bool rendered() const { return rendered_; }

  ChatTraits Run() const {
    ChatTraits traits;
    const Json user = Message("user", "Hi");
    traits.user = ContentShown([](Json content) { return Json::Array{Message("user", std::move(content))}; });
    traits.system = ContentShown([&](Json content) { return Json::Array{Message("system", std::move(content)), user}; });
    traits.assistant =
        ContentShown([&](Json content) { return Json::Array{user, Message("assistant", std::move(content)), user}; });
    traits.developer = KnowsDeveloper();
    ProbeCalls(traits);
    const Json call = CallOf(traits, Json(Json::Object{}));
    traits.tool = ContentShown([&](Json content) { return Json::Array{user, call, ResultMessage(std::move(content))}; });
    traits.object_arguments = WantsObjects(traits);
    traits.reasoning_content = ShowsReasoning(call, {"reasoning_content", "thinking"});
    traits.reasoning = ShowsReasoning(call, {"reasoning"});
    return traits;
  }

 private:
  // Without tools where the template can do without.
  std::optional<std::string> Render(const Json::Array& messages) const {
    auto text = Render(messages, Json());
    return text ? text : Render(messages, Json(Json::Array{ProbeTool()}));
  }

  std::optional<std::string> Render(const Json::Array& messages, Json tools) const {
    Json context(special_tokens_);
    context.Set("messages", messages);
    context.Set("tools", std::move(tools));
    context.Set("documents", Json());
    context.Set("add_generation_prompt", false);
    if (exhausted_ >= kMaxExhausted) return std::nullopt;
    auto text = chat_.RenderAt(context, 0);
    rendered_ = rendered_ || text.ok();
    if (!text.ok() && text.status().code() == Code::kResourceExhausted) ++exhausted_;
    return text.ok() ? std::optional(*std::move(text)) : std::nullopt;
  }

  // Calls are a matter of conversations with tools, and may or may not need their results.
  std::optional<std::string> RenderCall(const Json& call) const {
    const Json tools(Json::Array{ProbeTool()});
    auto text = Render({Message("user", "Hi"), call, ResultMessage("1")}, tools);
    return text ? text : Render({Message("user", "Hi"), call}, tools);
  }

  template <typename Conversation>
  ChatTraits::Content ContentShown(const Conversation& with) const {
    const auto text = Render(with(Json(kFirst)));
    const auto parts = Render(with(Json(Json::Array{TextPart(kFirst), TextPart(kSecond)})));
    return {.text = text && Has(*text, kFirst),
            .dropped = text && !Has(*text, kFirst) && !Has(*text, kQuotedFirst),
            .parts = parts && Has(*parts, kFirst) && Has(*parts, kSecond)};
  }

  // A template that passes any role on shows an unknown one in the same way.
  bool KnowsDeveloper() const {
    const auto with = [this](std::string_view role) { return Render({Message(role, Json(kFirst)), Message("user", "Hi")}); };
    const auto known = with("developer");
    if (!known || !Has(*known, kFirst)) return false;
    const auto unknown = with(kUnknownRole);
    return !unknown || jinja::Replace(*unknown, kUnknownRole, "developer", jinja::kNoLimit) != *known;
  }

  // In an answer that ends the conversation, in an earlier one, or beside a call: many templates keep only some of it.
  bool ShowsReasoning(const Json& call, std::initializer_list<std::string_view> names) const {
    const auto with = [&](Json message) {
      for (const std::string_view name : names) message.Set(std::string(name), Json(kReasoning));
      return message;
    };
    const auto shows = [](const std::optional<std::string>& text) { return text && Has(*text, kReasoning); };
    const Json user = Message("user", "Hi");
    const Json answer = with(Message("assistant", "Ho"));
    return shows(Render({user, answer})) || shows(Render({user, answer, user})) || shows(RenderCall(with(call)));
  }

  static Json CallOf(const ChatTraits& traits, Json arguments) {
    return CallMessage(traits.needs_content ? std::optional(Json("")) : std::nullopt, std::move(arguments));
  }

  void ProbeCalls(ChatTraits& traits) const {
    const auto with = [&](bool content, const Json& arguments) {
      traits.needs_content = content;
      return RenderCall(CallOf(traits, arguments));
    };
    for (const bool content : {false, true}) {
      for (const Json& arguments : {ObjectArguments(), TextArguments()}) {
        const auto text = with(content, arguments);
        if (text && Has(*text, kKey)) return;
      }
    }
    traits.calls = false;
    traits.needs_content = !with(false, ObjectArguments()) && with(true, ObjectArguments()).has_value();
  }

  // Python's way of writing a dictionary is no JSON: a template that shows it was made for text.
  bool WantsObjects(const ChatTraits& traits) const {
    const std::string object = RenderCall(CallOf(traits, ObjectArguments())).value_or("");
    if (Has(object, kKey) && !Has(object, fmt::format("'{}'", kKey))) return true;
    const auto text = RenderCall(CallOf(traits, TextArguments()));
    return !text || !Has(*text, fmt::format("\"{}\"", kKey));
  }

  jinja::ChatTemplate chat_;
  const Json::Object& special_tokens_;
  mutable int exhausted_ = 0;
  mutable bool rendered_ = false;
};

const ChatTraits::Content& ContentOf(const ChatTraits& traits, std::string_view role) {
  if (role == "user") return traits.user;
  if (role == "assistant") return traits.assistant;
  return role == "tool" ? traits.tool : traits.system;
}

void FitContent(const ChatTraits::Content& shown, Json& content) {
  if (content.is_string()) {
    if (!shown.text && shown.parts) content = Json(Json::Array{TextPart(content.as_string())});
    return;
  }
  if (!content.is_array() || shown.parts) return;
  std::string joined;
  for (size_t i = 0; i < content.items().size(); ++i) {
    const Json* text = content.items()[i].Find("text");
    if (text == nullptr || !text->is_string()) return;
    if (i > 0) joined += '\n';
    joined += text->as_string();
  }
  content = Json(std::move(joined));
}

void FitArguments(bool object, Json& arguments) {
  if (arguments.is_object() && !object) {
    arguments = Json(arguments.Write());
  } else if (arguments.is_string() && object) {
    if (arguments.as_string().empty()) {
      arguments = Json(Json::Object{});
    } else if (auto parsed = Json::Parse(arguments.as_string()); parsed.ok() && parsed->is_object()) {
      arguments = *std::move(parsed);
    }
  }
}

Json* Member(Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  for (auto& [name, value] : object.members()) {
    if (name == key) return &value;
  }
  return nullptr;
}

bool IsEmpty(const Json* value) { return value == nullptr || value->is_null() || (value->is_array() && value->items().empty()); }

// The older names of calls and their results. A result follows its call, so the id of the last call is its own.
void FitOlderNames(Json& message, size_t index, std::string& call_id) {
  Json* const call = Member(message, "function_call");
  if (call != nullptr && call->is_object() && IsEmpty(message.Find("tool_calls"))) {
    call_id = fmt::format("call{:05}", index);
    message.Set(
        "tool_calls",
        Json::Array{Json(Json::Object{{"id", Json(call_id)}, {"type", Json("function")}, {"function", std::move(*call)}})});
    std::erase_if(message.members(), [](const auto& member) { return member.first == "function_call"; });
  }
  Json* const role = Member(message, "role");
  if (role == nullptr || *role != Json("function")) return;
  *role = Json("tool");
  if (!call_id.empty()) message.Set("tool_call_id", Json(call_id));
}

void FitMessage(const ChatTraits& traits, Json& message) {
  Json* const role = Member(message, "role");
  if (role == nullptr || !role->is_string()) return;
  if (role->as_string() == "developer" && !traits.developer) *role = Json("system");
  Json* const calls = Member(message, "tool_calls");
  if (!IsEmpty(calls) && calls->is_array()) {
    for (Json& call : calls->items()) {
      Json* const function = Member(call, "function");
      Json* const arguments = function == nullptr ? nullptr : Member(*function, "arguments");
      if (arguments != nullptr) FitArguments(traits.object_arguments, *arguments);
    }
  }
  const Json* content = message.Find("content");
  if ((content == nullptr || content->is_null()) && (IsEmpty(calls) || traits.needs_content)) message.Set("content", "");
  if (Json* const present = Member(message, "content"); present != nullptr)
    FitContent(ContentOf(traits, role->as_string()), *present);
}

}  // namespace

ChatTraits TraitsOf(const std::string& source, const Json::Object& special_tokens) {
  jinja::TemplateLimits limits;
  limits.max_steps = kProbeSteps;
  limits.max_output_bytes = kProbeBytes;
  limits.max_value_bytes = 16 * kProbeBytes;
  auto parsed = jinja::ChatTemplate::Parse(source, limits);
  if (!parsed.ok()) return {};
  const Probe probe(*std::move(parsed), special_tokens);
  const ChatTraits traits = probe.Run();
  return probe.rendered() ? traits : ChatTraits{};
}

void FitMessages(const ChatTraits& traits, Json::Array& messages) {
  std::string call_id;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (!messages[i].is_object()) continue;
    FitOlderNames(messages[i], i, call_id);
    FitMessage(traits, messages[i]);
  }
}

}  // namespace millrace::text
