// Tokens to Program. Everything that cannot be rendered exactly is refused here, by name and place, where that is visible already.
#pragma once

#include <memory>
#include <string_view>

#include "base/status.h"
#include "text/template_ast.h"

namespace millrace::text::jinja {

Result<std::shared_ptr<const Program>> ParseTemplate(std::string_view source, const TemplateLimits& limits);

}  // namespace millrace::text::jinja
