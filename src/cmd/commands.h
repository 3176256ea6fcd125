// The commands of `millrace`. Each function declares its options on a subcommand and sets `exit_code` when the command has run.
// Every option --some-name is also MILLRACE_SOME_NAME and the key some-name of the configuration file (see settings.h).
#pragma once

namespace CLI {
class App;
}

namespace millrace::cmd {

void AddServe(CLI::App& app, int& exit_code);
void AddRun(CLI::App& app, int& exit_code);
void AddStatus(CLI::App& app, int& exit_code);
void AddInspect(CLI::App& app, int& exit_code);
void AddConvert(CLI::App& app, int& exit_code);
void AddTokenize(CLI::App& app, int& exit_code);
void AddTemplate(CLI::App& app, int& exit_code);
void AddBench(CLI::App& app, int& exit_code);  // bench roof, bench model, bench quality
void AddAdd(CLI::App& app, int& exit_code);    // add, list
void AddVersion(CLI::App& app, int& exit_code);

}  // namespace millrace::cmd
