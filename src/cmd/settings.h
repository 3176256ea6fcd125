// Where values of options come from. Order of precedence: command line, environment, configuration file, default.
//
// The command line's parser reads the command line only. What it leaves open is filled in here, so that a bad value is reported with
// the place it came from, and an unknown name with the nearest known one.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cmd/config_file.h"

namespace CLI {
class App;
class Option;
class ParseError;
}  // namespace CLI

namespace millrace::cmd {

class Settings {
 public:
  // Adds --config. Before any command is added: commands inherit the help's layout.
  explicit Settings(CLI::App& app);

  // After all commands are added: names the variables, and fills in values when `app` has parsed a command line. A bad value or name
  // leaves the parse as a CLI::ConfigError.
  void Attach();

  // "port from MILLRACE_PORT; context from /etc/m.toml, line 2": what the command that ran did not get from its command line.
  std::string Origins() const;

  // Long options of the command that was parsed, as "--name".
  std::vector<std::string> KnownOptions() const;

 private:
  void NameVariables(CLI::App& app);
  void Apply();
  void WarnOfUnknownVariables() const;
  void ReadFile();
  void CheckEntry(const ConfigEntry& entry) const;
  void ApplyTo(CLI::App& command, const std::vector<std::string>& table);
  void Set(CLI::Option& option, const std::vector<std::string>& values, const std::string& place, const std::string& origin);
  // The command line's own commands, outermost first.
  std::vector<CLI::App*> Commands() const;

  CLI::App& app_;
  CLI::Option* config_ = nullptr;
  std::string path_;  // of the file that was read
  std::vector<ConfigEntry> entries_;
  // Shared with the help's layout.
  std::shared_ptr<std::map<const CLI::Option*, std::string>> variables_;
  std::vector<std::string> origins_;
};

}  // namespace millrace::cmd
