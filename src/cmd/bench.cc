#include <CLI/CLI.hpp>

#include "cmd/commands.h"
#include "cmd/exit_code.h"

namespace millrace::cmd {
void AddBench(CLI::App&, int&) {}
}  // namespace millrace::cmd
