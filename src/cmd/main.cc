// The program `millrace`: command line, and with `serve` the gateway process.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "cmd/build_id.h"
#include "cmd/commands.h"
#include "cmd/did_you_mean.h"
#include "cmd/exit_code.h"
#include "cmd/settings.h"
#include "os/signals.h"

namespace millrace::cmd {

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

Status UnexpectedArgument(const CLI::App& app, const Settings& settings) {
  const auto known = settings.KnownOptions();
  std::string all;
  for (const std::string& argument : app.remaining(true)) {
    all += (all.empty() ? "'" : " ") + argument;
    const std::string name = argument.substr(0, argument.find('='));
    // A known one can still be in excess: behind a bare "--" it is no option.
    if (!name.starts_with("-") || std::find(known.begin(), known.end(), name) != known.end()) continue;
    return Error(Code::kInvalidArgument, "no option '{}' here{}", name, DidYouMean(name, known));
  }
  return Error(Code::kInvalidArgument, "too many arguments: {}'. A text of several words needs quotes", all);
}

int Main(int argc, char** argv) {
  IgnoreBrokenPipes();
  CLI::App app("millrace: a server for large language models on your own machine", "millrace");
  app.require_subcommand(1);
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("millrace ") + std::string(Version()));
  app.failure_message(CLI::FailureMessage::simple);
  StartLog("millrace", LogLevel::kWarning);  // to standard error: standard output belongs to the answer
  Settings settings(app);
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
  settings.Attach();
  if (const Status known = CheckCommand(app, argc, argv); !known.ok()) return Fail(known);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ConfigError& error) {
    return Fail(Error(Code::kInvalidArgument, "{}", error.what()));
  } catch (const CLI::ExtrasError&) {
    return Fail(UnexpectedArgument(app, settings));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  const bool settings_matter = exit_code == kExitUsage || exit_code == kExitNotFound || exit_code == kExitUnavailable;
  if (const std::string origins = settings.Origins(); settings_matter && !origins.empty()) {
    std::fprintf(stderr, "millrace: note: %s\n", origins.c_str());
  }
  if (exit_code == kExitOk && (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)) {
    return Fail(Error(Code::kInternal, "standard output could not be written: {}", std::strerror(errno)));
  }
  return exit_code;
}

}  // namespace
}  // namespace millrace::cmd

int main(int argc, char** argv) { return millrace::cmd::Main(argc, argv); }
