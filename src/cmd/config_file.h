// The configuration file: TOML, one table per command, keys are the long options.
//
//   [serve]
//   port = 11440
//   models = ["smollm2"]
//   [run]
//   temperature = 0.2
//
// Read from --config, else MILLRACE_CONFIG, else $XDG_CONFIG_HOME/millrace/millrace.toml, else ~/.config/millrace/millrace.toml.
// Order of precedence: command line, environment, file, default. An unknown table or key is an error.
#pragma once

#include <memory>
#include <string>

namespace CLI {
class Config;
}

namespace millrace::cmd {

std::string DefaultConfigPath();
std::shared_ptr<CLI::Config> MakeTomlConfig();

}  // namespace millrace::cmd
