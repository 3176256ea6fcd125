#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/json.h"
#include "cmd/build_id.h"
#include "cmd/commands.h"
#include "cmd/exit_code.h"

namespace millrace::cmd {

void AddVersion(CLI::App& app, int& exit_code) {
  struct Options {
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("version", "Print version and build id");
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([options, &exit_code] {
    if (options->json) {
      std::printf("%s\n", Json(Json::Object{{"version", Json(Version())}, {"build", Json(BuildId())}}).Write().c_str());
    } else {
      std::printf("millrace %.*s (build %.*s)\n", static_cast<int>(Version().size()), Version().data(),
                  static_cast<int>(BuildId().size()), BuildId().data());
    }
    exit_code = kExitOk;
  });
}

}  // namespace millrace::cmd
