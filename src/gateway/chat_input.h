// From the prompt of a request to the input of a model's chat templates.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/error.h"
#include "api/prompt_request.h"
#include "text/chat_prompt.h"

namespace millrace::gateway {

struct ChatPlan {
  text::ChatInput input;
  std::vector<std::string> ignored;  // names of what the template has no place for, in the spelling of the request
};

// `alias` names the model in errors; `template_name` as ChatInput has it. 400 where the template that would be used cannot show what the request is about: tools, documents. What it merely leaves out is named as
// ignored: calls and reasoning of earlier turns, template arguments, the effort of reasoning.
api::Parsed<ChatPlan> PlanChat(api::PromptRequest prompt, const text::ChatTemplates& chat, std::string_view alias,
                               std::string template_name = {});

// What a prompt that could not be rendered answers with, and which parameter is to blame.
api::ApiError RenderError(const Status& status);

}  // namespace millrace::gateway
