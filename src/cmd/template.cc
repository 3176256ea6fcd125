#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "api/text_endpoints.h"
#include "base/json.h"
#include "cmd/commands.h"
#include "cmd/exit_code.h"
#include "cmd/moment.h"
#include "cmd/opened_model.h"
#include "cmd/standard_input.h"
#include "gateway/chat_input.h"
#include "model/chat_template_source.h"
#include "os/file.h"

namespace millrace::cmd {

namespace {

constexpr size_t kMaxTemplateFile = size_t{1} << 20;
constexpr size_t kMaxContextFile = size_t{64} << 20;  // of many contexts; one is bounded by the reader of JSON

struct Options {
  std::string model;
  std::string name;
  std::string context;
  bool json = false;
};

using Templates = std::vector<text::NamedTemplate>;

// Whether this names a file of templates, in place of a model with all that belongs to it.
bool IsTemplateFile(const std::string& name) {
  std::error_code ec;
  const std::filesystem::path path(name);
  return path.extension() != ".gguf" && path.filename() != model::kConfigFile && std::filesystem::is_regular_file(path, ec);
}

// Those of a JSON file like tokenizer_config.json, or the one that a file is.
Result<Templates> ReadTemplates(const std::string& file) {
  ASSIGN_OR_RETURN(std::string text, ReadSmallFile(file, kMaxTemplateFile));
  if (std::filesystem::path(file).extension() != ".json") {
    return Templates{{std::string(text::kDefaultTemplate), std::move(text)}};
  }
  ASSIGN_OR_RETURN(Templates found, model::ChatTemplatesOfJson({.name = file, .bytes = std::as_bytes(std::span(text))}));
  if (found.empty()) return Error(Code::kNotFound, "{}: no chat template", file);
  return found;
}

// The text behind --context: itself, a file, or standard input.
Result<std::string> ReadContext(const std::string& given) {
  if (given == "-") return ReadStandardInput(kMaxContextFile);
  if (given.starts_with('@')) return ReadSmallFile(given.substr(1), kMaxContextFile);
  return given;
}

Status WithPlace(std::string_view source, const Status& status) {
  return Status(status.code(), status.message() + jinja::ShowTemplatePlace(source, status.message()));
}

// Renders contexts, and shows errors with the line of the template that they name.
class Renderer {
 public:
  virtual ~Renderer() = default;
  virtual Result<std::string> Render(std::string_view context) const = 0;
};

// Contexts are bodies of /apply-template.
class ModelRenderer final : public Renderer {
 public:
  ModelRenderer(const model::ModelChat& chat, std::string alias, std::string name)
      : chat_(chat.templates), alias_(std::move(alias)), name_(std::move(name)) {}

  Result<std::string> Render(std::string_view text) const override {
    auto request = api::ParseApplyTemplate(text);
    if (!request.ok()) return Error(Code::kInvalidArgument, "--context: {}", request.error().message);
    auto plan = gateway::PlanChat(std::move(request->prompt), chat_, alias_, name_);
    if (!plan.ok()) return Error(Code::kInvalidArgument, "--context: {}", plan.error().message);
    for (const std::string& ignored : plan->ignored) {
      std::fprintf(stderr, "note: the template has no place for %s\n", ignored.c_str());
    }
    ASSIGN_OR_RETURN(const text::ChatInput input, chat_.Fit(std::move(plan->input)));
    ASSIGN_OR_RETURN(const std::string_view source, chat_.SourceFor(input));
    auto prompt = chat_.Render(input);
    return prompt.ok() ? std::move(prompt) : WithPlace(source, prompt.status());
  }

 private:
  text::ChatTemplates chat_;
  std::string alias_;
  std::string name_;
};

// Contexts are all that the templates of a file see.
class FileRenderer final : public Renderer {
 public:
  // `name`: the template for all contexts; empty: chosen for each as the server would.
  FileRenderer(Templates templates, std::string name) : name_(std::move(name)) {
    for (text::NamedTemplate& each : templates) {
      auto chat = jinja::ChatTemplate::Parse(each.source);
      entries_.push_back({std::move(each), std::move(chat)});
    }
  }

  Result<std::string> Render(std::string_view text) const override {
    const auto context = Json::Parse(text);
    if (!context.ok()) return context.status().Within("--context");
    if (!context->is_object()) {
      return Error(Code::kInvalidArgument, "--context: expected an object, found {}", context->type_name());
    }
    ASSIGN_OR_RETURN(const Entry* const entry, Choose(*context));
    if (!entry->chat.ok()) return WithPlace(entry->text.source, entry->chat.status());
    auto prompt = entry->chat->Render(*context);
    return prompt.ok() ? std::move(prompt) : WithPlace(entry->text.source, prompt.status());
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
    const bool with_tools = name_.empty() && tools != nullptr && !tools->is_null() && *tools != Json(Json::Array{});
    const Entry* entry = with_tools ? Find(text::kToolTemplate) : nullptr;
    const std::string_view name = name_.empty() ? text::kDefaultTemplate : std::string_view(name_);
    if (entry == nullptr) entry = Find(name);
    if (entry != nullptr) return entry;
    std::string names;
    for (const Entry& each : entries_) names += (names.empty() ? "" : ", ") + each.text.name;
    return Error(Code::kNotFound, "no template '{}'; there are: {}", name, names);
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
  const auto answer = [&](std::string_view context, size_t line) {
    Result<std::string> prompt = renderer.Render(context);
    if (!prompt.ok() && line != 0) prompt = prompt.status().Within("line " + std::to_string(line));
    PrintAnswer(prompt);
    if (!prompt.ok() && first.ok()) first = prompt.status();
  };
  const std::string_view first_line = text.substr(0, text.find('\n', std::min(text.find_first_not_of(" \t\r\n"), text.size())));
  if (!Json::Parse(first_line).ok()) {
    answer(text, 0);
    return first;
  }
  size_t number = 1;
  for (size_t start = 0; start < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) answer(line, number);
    start = end + 1;
  }
  return first;
}

Result<std::unique_ptr<Renderer>> OpenRenderer(const Options& options) {
  if (IsTemplateFile(options.model)) {
    ASSIGN_OR_RETURN(Templates templates, ReadTemplates(options.model));
    return std::unique_ptr<Renderer>(std::make_unique<FileRenderer>(std::move(templates), options.name));
  }
  ASSIGN_OR_RETURN(const OpenedModel opened, OpenModel(options.model));
  ASSIGN_OR_RETURN(const model::ModelChat chat, OpenChat(opened));
  return std::unique_ptr<Renderer>(std::make_unique<ModelRenderer>(chat, options.model, options.name));
}

int Run(const Options& options) {
  const auto renderer = OpenRenderer(options);
  if (!renderer.ok()) return Fail(renderer.status());
  const Result<std::string> text = ReadContext(options.context);
  if (!text.ok()) return Fail(text.status().Within("--context"));
  if (options.json) return ExitCodeFor(RenderAll(**renderer, *text).code());
  const Result<std::string> prompt = (*renderer)->Render(*text);
  if (!prompt.ok()) return Fail(prompt.status().Within(options.model));
  std::fwrite(prompt->data(), 1, prompt->size(), stdout);
  return kExitOk;
}

}  // namespace

void AddTemplate(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  options->context = R"({"messages":[{"role":"user","content":"Hello"}],"add_generation_prompt":true})";
  CLI::App* command =
      app.add_subcommand("template", "Show the prompt that the server would make of a conversation, or render a file's template");
  command
      ->add_option("MODEL", options->model,
                   "Name of the store, .gguf file, directory, tokenizer_config.json, or file that holds a template")
      ->required();
  command->add_option("--name", options->name, "Template of this name; without it, as the server chooses: tool_use for tools");
  command
      ->add_option("--context", options->context,
                   "JSON object: for a model the body of /apply-template, for a file all variables; @FILE reads a file, - reads "
                   "standard input")
      ->capture_default_str();
  command->add_flag("--json", options->json,
                    "Contexts one a line; for each, a line {\"prompt\": ...} or {\"error\": ..., \"code\": ...}");
  AddNowOption(*command);
  command->callback([options, &exit_code] { exit_code = Run(*options); });
}

}  // namespace millrace::cmd
