#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cmd/bench.h"
#include "cmd/commands.h"
#include "cmd/engine_choice.h"
#include "cmd/exit_code.h"
#include "cmd/model_bench.h"
#include "cmd/store.h"

namespace millrace::cmd {

namespace {

struct Options {
  std::string model;
  std::string engine = "auto";
  ModelBenchOptions bench;
};

// Becomes the program that holds the engine; returns only when that fails.
Status BecomeWorker(const EngineChoice& choice, const StoreEntry& entry, const ModelBenchOptions& options) {
  std::vector<std::string> arguments = {choice.program, "bench", entry.file, "--alias", entry.alias};
  for (std::string& argument : ArgumentsOf(options)) arguments.push_back(std::move(argument));
  std::vector<char*> pointers;
  pointers.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  std::fflush(stdout);
  execv(choice.program.c_str(), pointers.data());
  return Error(Code::kUnavailable, "{}: {}", choice.program, std::strerror(errno));
}

Status BenchModel(const Options& options) {
  ASSIGN_OR_RETURN(const StoreEntry entry, ResolveModel(options.model));
  ASSIGN_OR_RETURN(const EngineChoice choice, ChooseEngine(options.engine));
  if (choice.engine == "cpu") return RunModelBench(entry.file, entry.alias, options.bench, worker::CpuRow());
  return BecomeWorker(choice, entry, options.bench);
}

}  // namespace

void AddBenchModel(CLI::App& bench, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = bench.add_subcommand("model", "Measure decode and prefill of a model without a server, against the roof");
  command->add_option("MODEL", options->model, "Name of the store, .gguf file or directory")->required();
  AddEngineOption(*command, options->engine);
  AddModelBenchOptions(*command, options->bench);
  command->callback([options, &exit_code] {
    const Status status = BenchModel(*options);
    exit_code = status.ok() ? kExitOk : Fail(status);
  });
}

}  // namespace millrace::cmd
