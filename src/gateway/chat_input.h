// From the prompt of a request to the input of a model's chat templates.
#pragma once

#include <string>
#include <vector>

#include "api/error.h"
#include "api/prompt_request.h"
#include "gateway/model_entry.h"
#include "text/chat_prompt.h"

namespace millrace::gateway {

struct ChatPlan {
  text::ChatInput input;
  std::vector<std::string> ignored;  // names of what the template has no place for, in the spelling of the request
};

// 400 where the template that would be used cannot show what the request is about: tools, documents. What it merely leaves out is named as
// ignored: calls and reasoning of earlier turns, template arguments, the effort of reasoning.
api::Parsed<ChatPlan> PlanChat(api::PromptRequest prompt, const ModelEntry& model);

}  // namespace millrace::gateway
