#include <CLI/CLI.hpp>
#include <cstdio>

#include "cmd/commands.h"
#include "cmd/exit_code.h"
#include "cmd/http_client.h"
#include "cmd/validators.h"

namespace millrace::cmd {

namespace {

struct Options {
  std::string server = "http://127.0.0.1:11440";
  std::string key;
  bool json = false;
};

Result<Json> GetJson(const HttpClient& client, std::string_view path) {
  ASSIGN_OR_RETURN(const HttpReply reply, client.Get(path, 2000));
  auto json = Json::Parse(reply.body);
  if (!json.ok())
    return Error(Code::kUnavailable, "{}{}: not a millrace server (HTTP status {})", client.base(), path, reply.status);
  return json;
}

std::string Text(const Json& object, std::string_view key) {
  const Json* value = object.Find(key);
  if (value == nullptr) return {};
  return value->is_string() ? value->as_string() : value->Write();
}

Status Show(const Options& options) {
  const HttpClient client(options.server, options.key);
  ASSIGN_OR_RETURN(const Json version, GetJson(client, "/version"));
  if (version.Find("build") == nullptr) return Error(Code::kUnavailable, "{}: not a millrace server", client.base());
  ASSIGN_OR_RETURN(const Json health, GetJson(client, "/health"));
  const Json* models = health.Find("models");
  if (options.json) {
    const Json all(Json::Object{{"server", Json(client.base())},
                                {"version", Json(Text(version, "version"))},
                                {"build", Json(Text(version, "build"))},
                                {"models", models != nullptr ? *models : Json(Json::Array{})}});
    std::printf("%s\n", all.Write().c_str());
    return {};
  }
  std::printf("%s: millrace %s (build %s)\n", client.base().c_str(), Text(version, "version").c_str(),
              Text(version, "build").c_str());
  if (models == nullptr || !models->is_array()) return {};
  bool all_told = true;
  for (const Json& model : models->items()) {
    std::printf("  %-24s %-9s", Text(model, "id").c_str(), Text(model, "state").c_str());
    if (model.Find("pid") != nullptr) {
      std::printf(" pid %-7s %s running, %s waiting  %s", Text(model, "pid").c_str(), Text(model, "running").c_str(),
                  Text(model, "waiting").c_str(), Text(model, "cause").c_str());
    } else {
      all_told = false;
    }
    std::printf("\n");
  }
  if (!all_told) std::fprintf(stderr, "the server tells more to who has one of its keys: --api-key SECRET\n");
  return {};
}

}  // namespace

void AddStatus(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("status", "Show which server runs and what state its models are in");
  command->add_option("--server", options->server, "Address of the server")->check(CheckServer)->capture_default_str();
  command->add_option("--api-key", options->key, "Bearer token for the server");
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([options, &exit_code] {
    const Status status = Show(*options);
    exit_code = status.ok() ? kExitOk : Fail(status);
  });
}

}  // namespace millrace::cmd
