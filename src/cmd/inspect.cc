#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iterator>
#include <map>

#include "base/json.h"
#include "cmd/commands.h"
#include "cmd/exit_code.h"
#include "cmd/model_words.h"
#include "cmd/opened_model.h"
#include "model/active_bytes.h"
#include "model/model_file.h"
#include "model/model_text.h"

namespace millrace::cmd {

namespace {

struct Options {
  std::string model;
  bool tensors = false;
  bool metadata = false;
  bool chat_template = false;
  bool json = false;
};

double Megabytes(uint64_t bytes) { return static_cast<double>(bytes) * 1e-6; }

std::string Shape(const weights::TensorView& tensor) {
  std::string text;
  for (uint32_t i = tensor.rank; i > 0; --i) text += fmt::format("{}{}", text.empty() ? "" : " x ", tensor.dims[i - 1]);
  return text;
}

// "Q4_1", "affine 4-bit, group 64".
std::string TypeOf(const weights::TensorView& tensor) {
  const std::string name(Info(tensor.dtype).name);
  return IsAffine(tensor.dtype) ? fmt::format("{}, group {}", name, tensor.affine.group) : name;
}

void PrintFiles(const OpenedModel& model) {
  const auto files = model.mapped.files();
  std::printf("model         %s (%s, %.1f MB)\n", model.entry.file.c_str(), model.source.FormText().c_str(),
              Megabytes(model.mapped.bytes()));
  if (files.size() == 1) return;
  for (const model::NamedFile& file : files) {
    std::printf("  %-40.*s %10.1f MB\n", static_cast<int>(file.name.size()), file.name.data(), Megabytes(file.bytes.size()));
  }
}

void PrintTypes(const model::ModelSource& source) {
  struct Sum {
    size_t tensors = 0;
    uint64_t bytes = 0;
  };
  std::map<std::string, Sum> types;
  for (const auto& tensor : source.tensors()) {
    Sum& sum = types[TypeOf(tensor)];
    ++sum.tensors;
    sum.bytes += tensor.source_bytes();
  }
  std::printf("tensors       %zu\n", source.tensors().size());
  for (const auto& [name, sum] : types) {
    std::printf("  %-23s %4zu tensors %10.1f MB\n", name.c_str(), sum.tensors, Megabytes(sum.bytes));
  }
}

void PrintModel(const model::ModelFile& file) {
  const model::ModelConfig& config = file.config();
  std::printf("name          %s\nfamily        %s\n", config.name.c_str(), config.family.c_str());
  std::fputs(ArchitectureWords(config).c_str(), stdout);
  std::printf("vocabulary    %u%s\ncontext       %u tokens\n", config.vocab,
              config.tied_head ? ", head tied to the embedding" : "", config.context_length);
}

std::string TokenizerWords(const text::TokenizerSpec& spec) {
  constexpr const char* kKinds[] = {"BPE", "SentencePiece BPE", "unigram", "WordPiece", "word level"};
  static_assert(std::size(kKinds) == std::variant_size_v<text::ModelSpec>);
  const auto* bpe = std::get_if<text::BpeModel>(&spec.model);
  const char* kind = bpe != nullptr && bpe->byte_level ? "byte-level BPE" : kKinds[spec.model.index()];
  return fmt::format("{}, {} tokens", kind, spec.tokens.size());
}

std::string NamesOf(const model::ModelChat& chat) {
  std::string names;
  for (const std::string_view name : chat.templates.names()) names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

// A missing or unreadable one is said here; the model's weights may be fine all the same.
void PrintText(const model::ModelSource& source, uint32_t vocab) {
  const auto spec = model::TokenizerSpecOf(source, vocab);
  std::printf("tokenizer     %s\n", (spec.ok() ? TokenizerWords(*spec) : spec.status().message()).c_str());
}

// "default, tool_use", or what stands in for them.
void PrintTemplates(const OpenedModel& model) {
  const auto chat = OpenChat(model);
  std::string text = chat.ok() ? NamesOf(*chat) : chat.status().message();
  if (chat.ok() && chat->format != model::kOwnChatFormat) text = fmt::format("none; {} is used", chat->format);
  std::printf("template      %s\n", text.c_str());
}

void PrintBytes(const model::ModelFile& file) {
  const auto weights = model::WeightBytesOf(file);
  const auto parts = model::ActiveBytes(file.config(), weights, 0, 1, model::KvType::kF16);
  const std::string experts = parts.experts == 0 ? "" : fmt::format(" + experts {:.2f}", Megabytes(parts.experts));
  std::printf("bytes/token   %.2f MB = layers %.2f%s + head %.2f + norms %.2f + KV %.3f (first position)\n",
              Megabytes(parts.total()), Megabytes(parts.layers), experts.c_str(), Megabytes(parts.head), Megabytes(parts.norms),
              Megabytes(parts.kv));
  std::printf("KV            %.1f kB a position (f16)\n",
              static_cast<double>(model::KvBytesPerToken(file.config(), model::KvType::kF16)) * 1e-3);
}

Json TensorsOf(const model::ModelSource& source) {
  Json::Array tensors;
  for (const auto& tensor : source.tensors()) {
    Json entry(Json::Object{{"name", Json(tensor.name)},
                            {"type", Json(Info(tensor.dtype).name)},
                            {"rows", Json(tensor.rows)},
                            {"cols", Json(tensor.cols)},
                            {"bytes", Json(tensor.source_bytes())}});
    if (IsAffine(tensor.dtype)) entry.Set("group", Json(uint64_t{tensor.affine.group}));
    tensors.push_back(std::move(entry));
  }
  return Json(std::move(tensors));
}

Json Summary(const OpenedModel& model, const model::ModelFile& file) {
  const auto parts = model::ActiveBytes(file.config(), model::WeightBytesOf(file), 0, 1, model::KvType::kF16);
  Json bytes(Json::Object{
      {"layers", Json(parts.layers)}, {"head", Json(parts.head)}, {"norms", Json(parts.norms)}, {"kv", Json(parts.kv)}});
  if (parts.experts != 0) bytes.Set("experts", Json(parts.experts));
  Json::Array files;
  for (const model::NamedFile& each : model.mapped.files()) {
    files.push_back(Json(Json::Object{{"name", Json(each.name)}, {"bytes", Json(uint64_t{each.bytes.size()})}}));
  }
  const auto templates = model::ChatTemplatesOf(file.source());
  const auto chat = OpenChat(model);
  return Json(Json::Object{{"ok", Json(true)},
                           {"file", Json(model.entry.file)},
                           {"format", Json(file.source().FormText())},
                           {"files", Json(std::move(files))},
                           {"family", Json(file.config().family)},
                           {"vocab", Json(uint64_t{file.config().vocab})},
                           {"context_length", Json(uint64_t{file.config().context_length})},
                           {"template", Json(templates.ok() && !templates->empty())},
                           {"chat_format", chat.ok() ? Json(chat->format) : Json()},
                           {"bytes_per_token", Json(parts.total())},
                           {"bytes_per_token_parts", bytes},
                           {"tensors", TensorsOf(file.source())}});
}

void PrintMetadata(const weights::GgufFile& gguf) {
  for (const auto& entry : gguf.metadata()) {
    std::string value = entry.TypeText();
    if (entry.type == weights::GgufType::kString && entry.value.size() <= 200) {
      value.clear();
      AppendJsonString({reinterpret_cast<const char*>(entry.value.data()), entry.value.size()}, value);
    } else if (const auto number = gguf.GetU64(entry.key); number.ok()) {
      value = fmt::format("{}", *number);
    } else if (const auto real = gguf.GetF32(entry.key); real.ok()) {
      value = fmt::format("{}", *real);
    }
    std::printf("%-40.*s %s\n", static_cast<int>(entry.key.size()), entry.key.data(), value.c_str());
  }
}

void PrintTensors(const model::ModelSource& source) {
  for (const auto& tensor : source.tensors()) {
    std::printf("%-32.*s %-6s %14s %12llu bytes\n", static_cast<int>(tensor.name.size()), tensor.name.data(),
                TypeOf(tensor).c_str(), Shape(tensor).c_str(), static_cast<unsigned long long>(tensor.source_bytes()));
  }
}

// The source of the default template, else of the first, whether or not it can be used.
Status PrintSource(const OpenedModel& model) {
  const auto templates = model::ChatTemplatesOf(model.source);
  if (!templates.ok()) return templates.status().Within(model.entry.file);
  std::string source;
  if (templates->empty()) {
    ASSIGN_OR_RETURN(const auto chat, OpenChat(model));
    ASSIGN_OR_RETURN(const std::string_view text, chat.templates.SourceFor({}));
    std::fprintf(stderr, "note: no chat template; %s stands in for it\n", std::string(chat.format).c_str());
    source = text;
  } else {
    const auto usual = std::find_if(templates->begin(), templates->end(),
                                    [](const text::NamedTemplate& each) { return each.name == text::kDefaultTemplate; });
    const text::NamedTemplate& shown = usual == templates->end() ? templates->front() : *usual;
    if (usual == templates->end()) std::fprintf(stderr, "note: no default template; this is '%s'\n", shown.name.c_str());
    source = shown.source;
  }
  source += '\n';
  std::fwrite(source.data(), 1, source.size(), stdout);
  return {};
}

Status Inspect(const Options& options) {
  ASSIGN_OR_RETURN(const OpenedModel model, OpenModel(options.model));
  if (options.chat_template) {
    return PrintSource(model);
  }
  const auto file = model::ModelFile::Parse(model.mapped.files());
  if (options.json) {
    if (!file.ok()) return file.status().Within(model.entry.file);
    std::printf("%s\n", Summary(model, *file).Write().c_str());
    return {};
  }
  PrintFiles(model);
  if (file.ok()) PrintModel(*file);
  if (file.ok()) PrintText(model.source, file->config().vocab);
  if (file.ok()) PrintTemplates(model);
  PrintTypes(model.source);
  if (file.ok()) PrintBytes(*file);
  if (options.metadata && model.source.is_gguf()) PrintMetadata(model.source.gguf());
  if (options.metadata && !model.source.is_gguf()) {
    std::printf("%s\n", model.source.checkpoint().config().WriteIndented().c_str());
  }
  if (options.tensors) PrintTensors(model.source);
  // What is above is true of the files even when this build cannot run them.
  return file.ok() ? Status() : file.status().Within(model.entry.file);
}

}  // namespace

void AddInspect(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("inspect", "Show what a model's files hold and what one token of it costs in bytes");
  command->add_option("FILE", options->model, "Name of the store, .gguf file or directory")->required();
  command->add_flag("--tensors", options->tensors, "List every tensor");
  command->add_flag("--metadata", options->metadata, "List every metadata entry, or config.json");
  command->add_flag("--template", options->chat_template, "Print the chat template and nothing else");
  command->add_flag("--json", options->json, "One JSON object, tensors included");
  command->callback([options, &exit_code] {
    const Status status = Inspect(*options);
    exit_code = status.ok() ? kExitOk : Fail(status);
  });
}

}  // namespace millrace::cmd
