// Chat templates: the Jinja that model files carry, rendered as Python's jinja2 renders it when set up for chat templates: an
// immutable sandbox with trim_blocks, lstrip_blocks and loop controls, no trailing newline kept, json.dumps as `tojson`.
//
// A template is a program from a stranger. It sees values of JSON and nothing of the host, every render works under the budgets
// of TemplateLimits, and a construct that is not implemented is refused by name instead of being rendered approximately.
//
//   ASSIGN_OR_RETURN(const ChatTemplate chat, ChatTemplate::Parse(source));
//   ASSIGN_OR_RETURN(const std::string prompt, chat.Render(context));  // {"messages": [...], "add_generation_prompt": true, ...}
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace millrace::jinja {

// What one template may cost. The defaults are far above what published chat templates need with long
// conversations; a hostile template that spends all its steps is stopped after some seconds.
struct TemplateLimits {
  size_t max_source_bytes = size_t{256} << 10;
  uint64_t max_steps = 5'000'000;              // evaluated nodes, plus one for each 64 bytes of text copied or searched
  size_t max_output_bytes = size_t{16} << 20;  // of one render
  size_t max_value_bytes = size_t{256} << 20;  // memory of all values that are alive at one moment of a render
  // Of nested expressions and blocks together, and of values in values. Running code may nest four times as deep, through macros.
  // The stack bounds it: 100 need less than 1 MiB.
  uint32_t max_depth = 100;
};

struct Program;

// A parsed template. Immutable, cheap to copy (copies share the program), and safe to render from many threads at once.
class ChatTemplate {
 public:
  // Errors: kInvalidArgument for text that is no template, kUnsupported for Jinja outside the implemented part,
  // kResourceExhausted above a limit. Messages name the place: "template line 3, column 14: expected 'endif', found 'endfor'".
  static Result<ChatTemplate> Parse(std::string source, const TemplateLimits& limits = {});

  // `context` must be an object; its members are the variables of the template (messages, add_generation_prompt, bos_token,
  // tools, keyword arguments of the request). A member that is missing is undefined, which differs from null. Strings must be
  // UTF-8. Python's callers always pass `tools` and `documents`, null when there are none, and templates rely on it.
  //
  // Errors: kInvalidArgument with the template's own words when it calls raise_exception, else with the place and the reason;
  // kUnsupported and kResourceExhausted as for Parse.
  Result<std::string> Render(const Json& context) const;

  // The same at a chosen moment (seconds since 1970), which only strftime_now reads. It shows local time.
  Result<std::string> RenderAt(const Json& context, int64_t unix_seconds) const;

  // True when the name of this variable occurs as a variable: read, or only set, such as by a loop. False: it has no effect.
  bool Mentions(std::string_view variable) const;

 private:
  explicit ChatTemplate(std::shared_ptr<const Program> program) : program_(std::move(program)) {}

  std::shared_ptr<const Program> program_;
};

// The moment that Render takes for the present: the time, or what FreezeTemplateClock was given, for the whole process and before other
// threads render.
int64_t TemplateNow();
void FreezeTemplateClock(int64_t unix_seconds);

// For terminals: the line of the source that a message of Parse or Render names, and a caret below the place, each after a newline.
// Empty when the message names none.
std::string ShowTemplatePlace(std::string_view source, std::string_view message);

}  // namespace millrace::jinja
