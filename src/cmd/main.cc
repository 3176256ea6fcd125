// The program `millrace`: command line, and with `serve` the gateway process.
#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cmd/build_id.h"
#include "cmd/commands.h"
#include "cmd/config_file.h"
#include "cmd/exit_code.h"
#include "os/signals.h"

namespace millrace::cmd {

std::string EnvironmentName(const std::string& option) {
  std::string name = "MILLRACE_";
  for (const char c : option.substr(option.find_first_not_of('-'))) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

void NameEnvironment(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    const std::string name = option->get_single_name();
    // A question about the program, or input of one command: neither belongs into an environment that all commands share.
    const bool own = name == "help" || name == "version" || app.get_name() == "template" || app.get_name() == "inspect";
    if (option->nonpositional() && !own) option->envname(EnvironmentName(name));
  }
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    command->fallthrough();  // --config may stand behind the command too
    NameEnvironment(*command);
  }
}

namespace {

constexpr const char* kFooter = R"(
Start here:
  millrace run smollm2 "What is gravity?"     one answer from a model of the store, or of a .gguf file
  millrace serve smollm2                      OpenAI-compatible server on http://127.0.0.1:11440
  millrace bench model smollm2                tokens per second, against the memory bandwidth of this machine

Every option --some-name is also the variable MILLRACE_SOME_NAME and the key some-name of the command's table in the configuration file
($XDG_CONFIG_HOME/millrace/millrace.toml or --config FILE). The command line wins, then the environment, then the file.

Exit codes: 0 done, 1 failure, 2 wrong usage, 3 not found, 4 bad or unsupported file, 5 server or port not available, 6 not enough
memory, 130 interrupted.)";

// The parser itself would only say that a command is missing.
Status CheckCommand(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return {};
  std::string known;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == argv[1]) return {};
    known += (known.empty() ? "" : ", ") + command->get_name();
  }
  return Error(Code::kInvalidArgument, "no command '{}'; there are: {}", argv[1], known);
}

int Main(int argc, char** argv) {
  IgnoreBrokenPipes();
  CLI::App app("millrace: a server for large language models on your own machine", "millrace");
  app.require_subcommand(1);
  app.footer(kFooter);
  app.set_config("--config", DefaultConfigPath(), "Configuration file (TOML)");
  app.config_formatter(MakeTomlConfig());
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_version_flag("--version", std::string("millrace ") + std::string(Version()));
  app.failure_message(CLI::FailureMessage::simple);
  int exit_code = kExitFailure;
  AddServe(app, exit_code);
  AddRun(app, exit_code);
  AddStatus(app, exit_code);
  AddAdd(app, exit_code);
  AddInspect(app, exit_code);
  AddConvert(app, exit_code);
  AddTokenize(app, exit_code);
  AddTemplate(app, exit_code);
  AddBench(app, exit_code);
  AddVersion(app, exit_code);
  NameEnvironment(app);
  if (const Status known = CheckCommand(app, argc, argv); !known.ok()) return Fail(known);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return Fail(Error(Code::kInternal, "standard output could not be written: {}", std::strerror(errno)));
  }
  return exit_code;
}

}  // namespace
}  // namespace millrace::cmd

int main(int argc, char** argv) { return millrace::cmd::Main(argc, argv); }
