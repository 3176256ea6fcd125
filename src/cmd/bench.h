// The subcommands of `bench`.
#pragma once

#include <cstdint>

namespace CLI {
class App;
}

namespace millrace::cmd {

void AddBenchRoof(CLI::App& bench, int& exit_code);
void AddBenchModel(CLI::App& bench, int& exit_code);
void AddBenchQuality(CLI::App& bench, int& exit_code);

// `asked`, or the number that a worker would choose by itself.
uint32_t ThreadsOr(uint32_t asked);

}  // namespace millrace::cmd
