// Templates differ in what they can show: content in parts, arguments of tool calls as text, the role "developer". What one does is found by
// rendering small conversations once, when the model is opened, not by guessing from its source.
#pragma once

#include <string>

#include "base/json.h"

namespace millrace::text {

struct ChatTraits {
  struct Content {
    bool text = true;      // a string is shown
    bool dropped = false;  // it renders, and nothing of it is shown
    bool parts = false;    // [{"type":"text","text":…}, …] is shown, each part in full
  };
  Content system;
  Content user;
  Content assistant;
  Content tool;
  bool developer = false;        // told from other roles
  bool calls = true;             // an assistant's tool_calls are shown
  bool object_arguments = true;  // a call's arguments are wanted as an object; false: as JSON text
  bool reasoning_content =
      true;                    // an assistant's reasoning is shown somewhere under one of the names that it always stands under
  bool reasoning = true;       // the same under "reasoning" alone
  bool needs_content = false;  // cannot show an assistant's message that has calls and no content
};

// `special_tokens` as ChatTemplates::Create takes them. A template that cannot be parsed, or shows no probe, has the default traits.
ChatTraits TraitsOf(const std::string& source, const Json::Object& special_tokens);

// Messages in the manner of OpenAI's interface (objects; members of unexpected types are left alone), as a template of these traits wants
// them:
//  - content in text parts becomes one string, a line break between parts, where the template shows no parts; a string becomes one part
//    where it shows nothing else;
//  - "developer" becomes "system" where the template does not know it;
//  - the older "function_call" and role "function" become "tool_calls" and "tool";
//  - the arguments of a call become an object or JSON text; text that is no JSON object stays as it is;
//  - content that is null beside calls stays null, which means that there is none, or becomes "" where the template needs one; without calls
//    it always becomes "".
void FitMessages(const ChatTraits& traits, Json::Array& messages);

}  // namespace millrace::text
