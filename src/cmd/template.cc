#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <span>
#include <vector>

#include "base/json.h"
#include "cmd/commands.h"
#include "cmd/exit_code.h"
#include "cmd/moment.h"
#include "cmd/opened_model.h"
#include "model/chat_template_source.h"
#include "os/file.h"

namespace millrace::cmd {

namespace {

constexpr size_t kMaxTemplateFile = size_t{1} << 20;
constexpr size_t kMaxContextFile = size_t{1} << 30;

struct Options {
  std::string model;
  std::string name;
  std::string context;
  bool json = false;
};

using Templates = std::vector<text::NamedTemplate>;

// Those of a model, of a JSON file like tokenizer_config.json, or the one that a file is.
Result<Templates> ReadTemplates(const std::string& model) {
  std::error_code ec;
  const std::filesystem::path path(model);
  if (path.extension() != ".gguf" && path.filename() != model::kConfigFile && std::filesystem::is_regular_file(path, ec)) {
    ASSIGN_OR_RETURN(std::string text, ReadSmallFile(model, kMaxTemplateFile));
    if (path.extension() != ".json") return Templates{{std::string(text::kDefaultTemplate), std::move(text)}};
    ASSIGN_OR_RETURN(Templates found, model::ChatTemplatesOfJson({.name = model, .bytes = std::as_bytes(std::span(text))}));
    if (found.empty()) return Error(Code::kNotFound, "{}: no chat template", model);
    return found;
  }
  ASSIGN_OR_RETURN(const OpenedModel opened, OpenModel(model));
  auto found = model::ChatTemplatesOf(opened.source);
  if (!found.ok()) return found.status().Within(opened.entry.file);
  if (!found->empty()) return found;
  ASSIGN_OR_RETURN(const model::ModelChat chat, OpenChat(opened));  // what stands in where a model has none
  ASSIGN_OR_RETURN(const std::string_view source, chat.templates.SourceFor({}));
  return Templates{{std::string(text::kDefaultTemplate), std::string(source)}};
}

// The text behind --context: itself, a file, or standard input.
Result<std::string> ReadContext(const std::string& given) {
  if (given == "-") return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  if (given.starts_with('@')) return ReadSmallFile(given.substr(1), kMaxContextFile);
  return given;
}

// Renders contexts, and shows errors with the line of the template that they name.
class Renderer {
 public:
  // `name`: the template for all contexts; empty: chosen for each as the server would.
  Renderer(Templates templates, std::string name) : name_(std::move(name)) {
    for (text::NamedTemplate& each : templates) {
      auto chat = jinja::ChatTemplate::Parse(each.source);
      entries_.push_back({std::move(each), std::move(chat)});
    }
  }

  Result<std::string> Render(std::string_view text) const {
    const auto context = Json::Parse(text);
    if (!context.ok()) return context.status().Within("--context");
    if (!context->is_object()) {
      return Error(Code::kInvalidArgument, "--context: expected an object, found {}", context->type_name());
    }
    ASSIGN_OR_RETURN(const Entry* const entry, Choose(*context));
    if (!entry->chat.ok()) return WithPlace(*entry, entry->chat.status());
    auto prompt = entry->chat->Render(*context);
    return prompt.ok() ? std::move(prompt) : WithPlace(*entry, prompt.status());
  }

 private:
  struct Entry {
    text::NamedTemplate text;
    Result<jinja::ChatTemplate> chat;
  };

  const Entry* Find(std::string_view name) const {
    const auto found =
        std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.text.name == name; });
    return found == entries_.end() ? nullptr : &*found;
  }

  Result<const Entry*> Choose(const Json& context) const {
    const Json* const tools = context.Find("tools");
    const bool with_tools = name_.empty() && tools != nullptr && !tools->is_null();
    const Entry* entry = with_tools ? Find(text::kToolTemplate) : nullptr;
    const std::string_view name = name_.empty() ? text::kDefaultTemplate : std::string_view(name_);
    if (entry == nullptr) entry = Find(name);
    if (entry != nullptr) return entry;
    std::string names;
    for (const Entry& each : entries_) names += (names.empty() ? "" : ", ") + each.text.name;
    return Error(Code::kNotFound, "no template '{}'; there are: {}", name, names);
  }

  static Status WithPlace(const Entry& entry, const Status& status) {
    return Status(status.code(), status.message() + jinja::ShowTemplatePlace(entry.text.source, status.message()));
  }

  std::string name_;
  std::vector<Entry> entries_;
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
  Result<Templates> templates = ReadTemplates(options.model);
  if (!templates.ok()) return Fail(templates.status());
  const Result<std::string> text = ReadContext(options.context);
  if (!text.ok()) return Fail(text.status().Within("--context"));
  const Renderer renderer(*std::move(templates), options.name);
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
  command
      ->add_option("MODEL", options->model,
                   "Name of the store, .gguf file, directory, tokenizer_config.json, or file that holds a template")
      ->required();
  command->add_option("--name", options->name, "Template of this name; without it, as the server chooses: tool_use for tools");
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
