// Which variables of the context an assignment hides before it has run.
//
// Jinja decides at compile time to which block a name belongs. In
//
//   {% for m in messages %}{{ title }}{% endfor %}{% set title = 'x' %}
//
// the name belongs to the template as a whole, because that assigns it and does not read it before; inside the loop it is therefore
// undefined, even when the context has a `title`. A read before the assignment in the same block, or an assignment that only an `if`
// makes, lets the context shine through.
#pragma once

#include "jinja/ast.h"

namespace millrace::jinja {

// Fills Stmt::hidden and Program::hidden.
void MarkHiddenNames(Program& program);

}  // namespace millrace::jinja
