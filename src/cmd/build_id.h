// Which build this is. The gateway refuses a worker of another build, and `run` reuses a server only of its own.
#pragma once

#include <string_view>

namespace millrace::cmd {

std::string_view Version();  // "0.1.0"
std::string_view BuildId();  // hash over the sources that were built, 16 hex digits

}  // namespace millrace::cmd
