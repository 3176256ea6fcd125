#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>

#include "base/json.h"
#include "cmd/commands.h"
#include "cmd/exit_code.h"
#include "cmd/opened_model.h"
#include "os/file.h"

namespace millrace::cmd {

namespace {

struct Options {
  std::string source;
  std::string context;
};

// A model's own template, or a file that is nothing but a template.
Result<text::ChatTemplate> Open(const std::string& source) {
  std::error_code ec;
  const std::filesystem::path path(source);
  if (path.extension() != ".gguf" && path.filename() != model::kConfigFile && std::filesystem::is_regular_file(path, ec)) {
    ASSIGN_OR_RETURN(std::string text, ReadSmallFile(source, size_t{1} << 20));
    auto parsed = text::ChatTemplate::Parse(std::move(text));
    if (!parsed.ok()) return parsed.status().Within(source);
    return parsed;
  }
  ASSIGN_OR_RETURN(const OpenedModel model, OpenModel(source));
  return OpenTemplate(model);
}

Status Render(const Options& options) {
  ASSIGN_OR_RETURN(const auto chat_template, Open(options.source));
  std::string text = options.context;
  if (text == "-") text.assign(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  const auto context = Json::Parse(text);
  if (!context.ok()) return context.status().Within("--context");
  if (!context->is_object())
    return Error(Code::kInvalidArgument, "--context: expected an object, found {}", context->type_name());
  ASSIGN_OR_RETURN(const std::string out, chat_template.Render(*context));
  std::fwrite(out.data(), 1, out.size(), stdout);
  return {};
}

}  // namespace

void AddTemplate(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  options->context =
      R"({"messages":[{"role":"user","content":"Hello"}],"add_generation_prompt":true,"bos_token":"","eos_token":""})";
  CLI::App* command = app.add_subcommand("template", "Render a chat template exactly as the server would");
  command->add_option("MODEL", options->source, "Name of the store, .gguf file, directory, or file that holds a template")
      ->required();
  command->add_option("--context", options->context, "JSON object with messages and the like; - reads standard input")
      ->capture_default_str();
  command->callback([options, &exit_code] {
    const Status status = Render(*options);
    exit_code = status.ok() ? kExitOk : Fail(status);
  });
}

}  // namespace millrace::cmd
