// From a conversation to the text of a prompt: the chat templates of one model by name, and what they are given. Values, choice of the
// template and the cutting of an unfinished message are those of `apply_chat_template` in transformers 5.23.0.
//
//   ASSIGN_OR_RETURN(const ChatTemplates chat, ChatTemplates::Create({{"default", source}}, {{"bos_token", "<s>"}}));
//   ASSIGN_OR_RETURN(const std::string prompt, chat.Render({.messages = messages, .add_generation_prompt = true}));
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "jinja/chat_template.h"
#include "text/chat_traits.h"

namespace millrace::text {

inline constexpr std::string_view kDefaultTemplate = "default";
inline constexpr std::string_view kToolTemplate = "tool_use";  // comes before the default one where tools are given
inline constexpr size_t kMaxChatTemplates = 32;                // of one model

struct NamedTemplate {
  std::string name;
  std::string source;

  bool operator==(const NamedTemplate&) const = default;
};

struct ChatInput {
  Json::Array messages = {};                  // objects with role and content, at least one
  std::optional<Json::Array> tools = {};      // objects: JSON schemas of functions
  std::optional<Json::Array> documents = {};  // objects, by custom with title and text
  Json::Object arguments = {};         // further variables of the template; they come before special tokens of the same name
  bool add_generation_prompt = false;  // end with the beginning of an answer
  // The member of the last message that the prompt ends in the middle of: "content", or the reasoning under any of its names. Empty: none.
  // Excludes add_generation_prompt.
  std::string continue_field = {};
  std::string template_name = {};  // empty: chosen by whether there are tools
};

// Immutable; any thread may use it. Copies share the parsed templates.
class ChatTemplates {
 public:
  // `special_tokens` are variables of every template: "bos_token" and the like, those that the model has. Errors: kInvalidArgument
  // without templates, with two of one name, with too many, or if none of them can be parsed. One that cannot be parsed is in no one's way
  // until it is chosen: then its error, as of jinja::ChatTemplate::Parse, is the answer.
  static Result<ChatTemplates> Create(std::vector<NamedTemplate> templates, Json::Object special_tokens);

  // Errors: kInvalidArgument for input that is not as ChatInput says, for what the template refuses, and for an unfinished message that the
  // template does not show as it is; kNotFound where no template fits; else as jinja::ChatTemplate::Render.
  Result<std::string> Render(const ChatInput& input) const;
  // The same at a chosen moment, as jinja::ChatTemplate::RenderAt.
  Result<std::string> RenderAt(const ChatInput& input, int64_t unix_seconds) const;

  // The conversation of a client that does not know the model, as the template that it would be rendered with can show it; see FitMessages.
  Result<ChatInput> Fit(ChatInput input) const;

  // The template that this input would be rendered with: its source, and what it shows.
  Result<std::string_view> SourceFor(const ChatInput& input) const;
  Result<ChatTraits> TraitsFor(const ChatInput& input) const;
  // Whether that template reads this variable; false where there is no such template.
  bool Reads(const ChatInput& input, std::string_view variable) const;

  // Whether a special token of the model has this name.
  bool HasSpecialToken(std::string_view name) const;

  std::vector<std::string_view> names() const;
  // Of each template that cannot be used, with its name.
  std::vector<Status> errors() const;

 private:
  struct Entry {
    NamedTemplate text;
    Result<jinja::ChatTemplate> parsed;  // an error where the template cannot be used
    ChatTraits traits;
  };

  ChatTemplates() = default;
  const Entry* Find(std::string_view name) const;
  Result<const Entry*> ChooseAny(const ChatInput& input) const;  // whether or not it can be used
  Result<const Entry*> Choose(const ChatInput& input) const;
  Json ContextOf(const ChatInput& input, Json::Array messages) const;

  std::vector<Entry> entries_;
  Json::Object special_tokens_;
};

// Whether a failed rendering could not continue the last message, whatever else is right with the conversation.
bool IsAboutContinuation(const Status& status);

}  // namespace millrace::text
