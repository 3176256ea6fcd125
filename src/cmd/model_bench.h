// `bench model`, apart from the command line: it runs inside the program that holds the engine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "worker/backends.h"

namespace CLI {
class App;
}

namespace millrace::cmd {

struct ModelBenchOptions {
  std::vector<uint32_t> depths = {0, 512, 2048};
  std::vector<uint32_t> batches = {1, 4, 8};
  std::vector<uint32_t> prompts = {128, 512, 2048};
  uint32_t tokens = 48;
  uint32_t rounds = 5;
  uint32_t threads = 0;
  std::string isa;
  bool reference = false;
  uint32_t quantise = 0;  // bits; 0 = as the file has them
  bool json = false;
};

// Declares the options on a command, in every program in the same way.
void AddModelBenchOptions(CLI::App& command, ModelBenchOptions& options);
// The same options as a command line, for handing them to another program.
std::vector<std::string> ArgumentsOf(const ModelBenchOptions& options);

// Loads the model with `backend`, measures, prints.
Status RunModelBench(const std::string& file, const std::string& alias, const ModelBenchOptions& options,
                     const worker::BackendRow& backend);

}  // namespace millrace::cmd
