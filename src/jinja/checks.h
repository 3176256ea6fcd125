// Filters and tests that do not exist. Jinja refuses them when it compiles a template, except inside of an `if` (statement or
// expression): a branch that is never taken may name what only other renderers have.
#pragma once

#include "jinja/ast.h"

namespace millrace::jinja {

// kUnsupported with the place of the first one outside of branches.
Status CheckNames(const Block& body);

// "no filter named 'x'", without place.
Status UnknownName(const Postfix& step);

}  // namespace millrace::jinja
