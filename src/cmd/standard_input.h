// What is piped into a command.
#pragma once

#include <cstddef>
#include <string>

#include "base/status.h"

namespace millrace::cmd {

// All of the standard input; kResourceExhausted when it is longer than `max_bytes`.
Result<std::string> ReadStandardInput(size_t max_bytes);

}  // namespace millrace::cmd
