// The configuration file: TOML, one table per command, keys are the long options.
//
//   [serve]
//   port = 11440
//   models = ["smollm2"]
//   [run]
//   temperature = 0.2
//
// Read from --config, else MILLRACE_CONFIG, else $XDG_CONFIG_HOME/millrace/millrace.toml, else ~/.config/millrace/millrace.toml.
// This file knows TOML; which tables and keys there are is for settings.h.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace millrace::cmd {

// One key of the file, or a table without any (`key` is empty then).
struct ConfigEntry {
  std::vector<std::string> table;  // {"bench", "roof"} for [bench.roof]
  std::string key;
  std::vector<std::string> values;  // one; of an array: each
  uint32_t line = 0;
};

std::string DefaultConfigPath();  // empty: no place for one

// In the order of the file. kNotFound when there is no such file; every other failure is kInvalidArgument. Messages name file and line.
Result<std::vector<ConfigEntry>> ReadConfigFile(const std::string& path);

}  // namespace millrace::cmd
