// text_render: renders templates line by line for comparison with another implementation.
// stdin: {"template": "...", "context": {...}} per line. stdout: {"output": "..."} or {"error": "...", "code": "..."} per line.
#include <iostream>
#include <string>

#include "base/json.h"
#include "jinja/chat_template.h"

namespace millrace {
namespace {

Result<std::string> RenderLine(const std::string& line) {
  ASSIGN_OR_RETURN(const Json request, Json::Parse(line));
  const Json* const source = request.Find("template");
  const Json* const context = request.Find("context");
  if (source == nullptr || !source->is_string() || context == nullptr) {
    return Error(Code::kInvalidArgument, "expected an object with 'template' and 'context'");
  }
  ASSIGN_OR_RETURN(const jinja::ChatTemplate chat, jinja::ChatTemplate::Parse(source->as_string()));
  return chat.RenderAt(*context, 1'700'000'000);
}

}  // namespace
}  // namespace millrace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const millrace::Result<std::string> output = millrace::RenderLine(line);
    millrace::Json reply;
    if (output.ok()) {
      reply.Set("output", millrace::Json(*output));
    } else {
      reply.Set("error", millrace::Json(output.status().message()));
      reply.Set("code", millrace::Json(millrace::CodeName(output.status().code())));
    }
    std::cout << reply.Write() << "\n" << std::flush;
  }
}
