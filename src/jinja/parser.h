// Tokens to Program. Everything that cannot be rendered exactly is refused here, by name and place, where that is visible already.
#pragma once

#include <memory>
#include <string_view>

#include "base/status.h"
#include "jinja/ast.h"

namespace millrace::jinja {

Result<std::shared_ptr<const Program>> ParseTemplate(std::string_view source, const TemplateLimits& limits);

}  // namespace millrace::jinja
