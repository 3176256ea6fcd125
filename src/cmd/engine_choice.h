// Which engine computes: `cpu` is in millrace-worker, `mlx` in millrace-worker-mlx, which need not be installed. This program links
// neither MLX nor anything of it; what MLX would compute on is asked of a child that may die of the question.
#pragma once

#include <string>

#include "base/status.h"

namespace CLI {
class App;
}

namespace millrace::cmd {

struct EngineChoice {
  std::string engine;   // "cpu" or "mlx"
  std::string program;  // of its worker
  std::string reason;   // why, where the choice was ours; else empty
};

// Declares --engine auto|cpu|mlx.
void AddEngineOption(CLI::App& command, std::string& engine);

// `asked`: "auto", "cpu" or "mlx". auto takes MLX where it is installed and finds a GPU, else the CPU engine. kNotFound when the program of
// the engine that was asked for is not there, with how to build it; kUnavailable when MLX does not work on this machine.
Result<EngineChoice> ChooseEngine(const std::string& asked);

}  // namespace millrace::cmd
