#include "text/chat_template.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "text/template_eval.h"
#include "text/template_parser.h"

namespace millrace::text {

Result<ChatTemplate> ChatTemplate::Parse(std::string source, const TemplateLimits& limits) {
  ASSIGN_OR_RETURN(std::shared_ptr<const jinja::Program> program, jinja::ParseTemplate(source, limits));
  return ChatTemplate(std::move(program));
}

Result<std::string> ChatTemplate::Render(const Json& context) const {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return RenderAt(context, std::chrono::duration_cast<std::chrono::seconds>(now).count());
}

Result<std::string> ChatTemplate::RenderAt(const Json& context, int64_t unix_seconds) const {
  return jinja::Evaluator(*program_, unix_seconds).Run(context);
}

bool ChatTemplate::Mentions(std::string_view variable) const {
  const auto& names = program_->names;
  return std::find(names.begin() + jinja::kReservedNames, names.end(), variable) != names.end();
}

}  // namespace millrace::text
