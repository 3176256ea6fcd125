#include "cmd/bench.h"

#include <CLI/CLI.hpp>

#include "cmd/commands.h"
#include "os/cpu.h"

namespace millrace::cmd {

uint32_t ThreadsOr(uint32_t asked) { return asked != 0 ? asked : static_cast<uint32_t>(GetCpu().usable_physical); }

void AddBench(CLI::App& app, int& exit_code) {
  CLI::App* bench = app.add_subcommand("bench", "Measure this machine and models on it");
  bench->require_subcommand(1);
  AddBenchRoof(*bench, exit_code);
  AddBenchModel(*bench, exit_code);
  AddBenchQuality(*bench, exit_code);
}

}  // namespace millrace::cmd
