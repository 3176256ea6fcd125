// The text that `bench quality` measures on when it is given none: tests/data/public_domain.txt, compiled in, so that an installed program
// has it too.
#pragma once

#include <string_view>

namespace millrace::cmd {

std::string_view QualityText();

}  // namespace millrace::cmd
