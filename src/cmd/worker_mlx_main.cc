// millrace-worker-mlx: the worker with the MLX engine. Three ways to start it, all by `millrace`:
//   millrace-worker-mlx              one model behind one ring, as millrace-worker is
//   millrace-worker-mlx --probe      what MLX computes on, as one line of JSON to descriptor 3, or to standard output without one
//   millrace-worker-mlx bench FILE   `millrace bench model --engine mlx`
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <string_view>

#include "base/json.h"
#include "base/log.h"
#include "cmd/build_id.h"
#include "cmd/exit_code.h"
#include "cmd/model_bench.h"
#include "os/child.h"
#include "worker/mlx_row.h"
#include "worker/run_worker.h"

namespace millrace::cmd {
namespace {

int Probe() {
  const auto device = worker::ProbeMlx();
  Json answer{Json::Object{}};
  if (device.ok()) {
    answer.Set("device", Json(device->name));
    answer.Set("gpu", Json(device->gpu));
    answer.Set("mlx", Json(device->version));
  } else {
    answer.Set("error", Json(device.status().message()));
  }
  const std::string line = answer.Write() + "\n";
  const int fd = fcntl(kInheritedFd, F_GETFD) >= 0 ? kInheritedFd : STDOUT_FILENO;
  const bool written = write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  return written && device.ok() ? kExitOk : kExitFailure;
}

int Main(int argc, char** argv) {
  StartLog("millrace-worker-mlx", LogLevel::kInfo);
  if (argc == 1) return worker::RunWorker(UniqueFd(kInheritedFd), BuildId(), worker::MlxRow());
  if (argc == 2 && std::string_view(argv[1]) == "--probe") return Probe();
  CLI::App app("The MLX engine of millrace; started by it, not by hand", "millrace-worker-mlx");
  CLI::App* bench = app.add_subcommand("bench", "What `millrace bench model --engine mlx` runs");
  std::string file, alias;
  ModelBenchOptions options;
  bench->add_option("FILE", file, "Model file")->required();
  bench->add_option("--alias", alias, "What to call it")->required();
  AddModelBenchOptions(*bench, options);
  app.require_subcommand(1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  const Status status = RunModelBench(file, alias, options, worker::MlxRow());
  return status.ok() ? kExitOk : Fail(status);
}

}  // namespace
}  // namespace millrace::cmd

int main(int argc, char** argv) { return millrace::cmd::Main(argc, argv); }
