#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>

#include "base/json.h"
#include "cmd/commands.h"
#include "cmd/exit_code.h"
#include "cmd/moment.h"
#include "cmd/opened_model.h"
#include "model/model_text.h"
#include "os/file.h"

namespace millrace::cmd {

namespace {

constexpr size_t kMaxTemplateFile = size_t{1} << 20;
constexpr size_t kMaxContextFile = size_t{1} << 30;

struct Options {
  std::string model;
  std::string context;
  bool json = false;
};

// The text of a model's own template, or of a file that is nothing but a template.
Result<std::string> ReadTemplate(const std::string& model) {
  std::error_code ec;
  const std::filesystem::path path(model);
  if (path.extension() != ".gguf" && path.filename() != model::kConfigFile && std::filesystem::is_regular_file(path, ec)) {
    return ReadSmallFile(model, kMaxTemplateFile);
  }
  ASSIGN_OR_RETURN(const OpenedModel opened, OpenModel(model));
  ASSIGN_OR_RETURN(std::string source, model::ChatTemplateOf(opened.source));
  if (source.empty()) return Error(Code::kNotFound, "{}: the model has no chat template", opened.entry.file);
  return source;
}

// The text behind --context: itself, a file, or standard input.
Result<std::string> ReadContext(const std::string& given) {
  if (given == "-") return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  if (given.starts_with('@')) return ReadSmallFile(given.substr(1), kMaxContextFile);
  return given;
}

// A template in use: renders contexts, and shows errors with the line of the template that they name.
class Renderer {
 public:
  explicit Renderer(std::string source) : source_(std::move(source)), chat_(text::ChatTemplate::Parse(source_)) {}

  Result<std::string> Render(std::string_view text) const {
    if (!chat_.ok()) return WithPlace(chat_.status());
    const auto context = Json::Parse(text);
    if (!context.ok()) return context.status().Within("--context");
    if (!context->is_object()) {
      return Error(Code::kInvalidArgument, "--context: expected an object, found {}", context->type_name());
    }
    auto prompt = chat_->Render(*context);
    return prompt.ok() ? std::move(prompt) : WithPlace(prompt.status());
  }

  const Status& parsed() const { return chat_.status(); }

 private:
  Status WithPlace(const Status& status) const {
    return Status(status.code(), status.message() + text::ShowTemplatePlace(source_, status.message()));
  }

  std::string source_;
  Result<text::ChatTemplate> chat_;
};

void PrintAnswer(const Result<std::string>& prompt) {
  Json answer;
  if (prompt.ok()) {
    answer.Set("prompt", *prompt);
  } else {
    answer.Set("error", prompt.status().message());
    answer.Set("code", std::string(CodeName(prompt.status().code())));
  }
  std::printf("%s\n", answer.Write().c_str());
}

// One answer for every context of the text, which is one object, or one object a line. The first failure.
Status RenderAll(const Renderer& renderer, std::string_view text) {
  Status first;
  const auto answer = [&](std::string_view context) {
    const Result<std::string> prompt = renderer.Render(context);
    PrintAnswer(prompt);
    if (!prompt.ok() && first.ok()) first = prompt.status();
  };
  if (Json::Parse(text).ok()) {
    answer(text);
    return first;
  }
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) answer(line);
    start = end + 1;
  }
  return first;
}

int Run(const Options& options) {
  Result<std::string> source = ReadTemplate(options.model);
  if (!source.ok()) return Fail(source.status());
  const Result<std::string> text = ReadContext(options.context);
  if (!text.ok()) return Fail(text.status().Within("--context"));
  const Renderer renderer(*std::move(source));
  if (options.json) return ExitCodeFor(RenderAll(renderer, *text).code());
  const Result<std::string> prompt = renderer.Render(*text);
  if (!prompt.ok()) return Fail(prompt.status().Within(options.model));
  std::fwrite(prompt->data(), 1, prompt->size(), stdout);
  return kExitOk;
}

}  // namespace

void AddTemplate(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  options->context =
      R"({"messages":[{"role":"user","content":"Hello"}],"add_generation_prompt":true,"bos_token":"","eos_token":""})";
  CLI::App* command = app.add_subcommand("template", "Render a chat template exactly as the server would");
  command->add_option("MODEL", options->model, "Name of the store, .gguf file, directory, or file that holds a template")
      ->required();
  command
      ->add_option("--context", options->context,
                   "JSON object with messages and the like; @FILE reads a file, - reads standard input")
      ->capture_default_str();
  command->add_flag("--json", options->json,
                    "Contexts one a line; for each, a line {\"prompt\": ...} or {\"error\": ..., \"code\": ...}");
  AddNowOption(*command);
  command->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace millrace::cmd
