// What becomes the text of a prompt: the parameters that /v1/chat/completions and /apply-template share. Checked to the last field, for no
// field may reach a template that the client did not mean for it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/fields.h"
#include "base/json.h"

namespace millrace::api {

inline constexpr size_t kMaxMessages = 4096;
inline constexpr size_t kMaxParts = 4096;          // of one message
inline constexpr size_t kMaxToolCalls = 256;       // of one message
inline constexpr size_t kMaxTools = 512;           // definitions
inline constexpr size_t kMaxToolBytes = 1U << 20;  // of all definitions as JSON
inline constexpr size_t kMaxToolNameBytes = 256;   // of a function, or of the id of a call
inline constexpr size_t kMaxDocuments = 1024;
inline constexpr size_t kMaxTemplateArguments = 32;

struct PromptRequest {
  // Objects with role (system, developer, user, assistant, tool or function), content (a string, text parts, or null), and where the client
  // sent them name, tool_call_id, reasoning_content, reasoning, tool_calls, function_call. Nothing else, and no member that is null but content.
  Json::Array messages;
  Json::Array
      tools;  // {"type": "function", "function": {"name": …}} with whatever else the client wrote; empty with tool_choice "none"
  Json::Array documents;  // objects
  bool add_generation_prompt = true;
  std::string continue_field;       // "content" or "reasoning_content" of the last message; empty: an answer of its own
  Json::Object template_arguments;  // none of the names that a template is given anyway
  std::string reasoning_effort;     // empty: not said
};

// Reads the parameters one by one, then holds against each other what only makes sense together.
class PromptReader {
 public:
  static bool Knows(std::string_view param);
  // `param` is known, `value` not null.
  Complaint Read(std::string_view param, const Json& value);
  Complaint Finish(PromptRequest& out);

 private:
  Complaint ReadToolChoice(const Json& value);
  Complaint ReadContinue(const Json& value);
  Complaint ReadReasoningEffort(const Json& value);

  PromptRequest prompt_;
  std::optional<bool> add_generation_prompt_;
  bool tools_off_ = false;
};

// The parts. chat_message.cc and chat_tools.cc
Complaint ReadMessages(const Json& value, Json::Array& out);
Complaint ReadTools(const Json& value, Json::Array& out);
// An assistant's calls: id, type and function of each, arguments as text or as an object.
Complaint ReadToolCalls(const Json& value, const std::string& at, Json& out);
Complaint ReadFunctionCall(const Json& value, const std::string& at, Json& out);

}  // namespace millrace::api
