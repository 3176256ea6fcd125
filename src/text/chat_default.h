// The chat format of models that bring no template. It is a guess about what they were trained on, so whoever uses it says so.
#pragma once

#include <functional>
#include <string_view>

#include "text/chat_prompt.h"

namespace millrace::text {

struct DefaultChat {
  NamedTemplate text;
  std::string_view kind;  // "chatml" or "plain"
};

// ChatML where the vocabulary has its two tokens, <|im_start|> and <|im_end|>; else plain lines, "User: …" and "Assistant: …".
DefaultChat DefaultChatFor(const std::function<bool(std::string_view)>& has_token);

}  // namespace millrace::text
