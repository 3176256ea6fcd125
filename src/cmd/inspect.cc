#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>

#include "base/json.h"
#include "cmd/commands.h"
#include "cmd/exit_code.h"
#include "cmd/opened_model.h"
#include "model/active_bytes.h"
#include "model/vocabulary_from_gguf.h"

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

void PrintTypes(const weights::GgufFile& gguf) {
  struct Sum {
    size_t tensors = 0;
    uint64_t bytes = 0;
  };
  std::map<std::string_view, Sum> types;
  for (const auto& tensor : gguf.tensors()) {
    Sum& sum = types[Info(tensor.dtype).name];
    ++sum.tensors;
    sum.bytes += tensor.data.size();
  }
  std::printf("tensors       %zu\n", gguf.tensors().size());
  for (const auto& [name, sum] : types) {
    std::printf("  %-11.*s %4zu tensors %10.1f MB\n", static_cast<int>(name.size()), name.data(), sum.tensors,
                Megabytes(sum.bytes));
  }
}

void PrintModel(const model::ModelFile& file) {
  const model::ModelConfig& config = file.config();
  const auto& layer = config.layers.front();
  std::printf("name          %s\nfamily        %s\n", config.name.c_str(), config.family.c_str());
  std::printf("layers        %zu, hidden %u, %u heads on %u KV heads of %u, MLP %u\n", config.layers.size(), config.hidden,
              layer.heads, layer.kv_heads, layer.head_dim, layer.ffn);
  std::printf("vocabulary    %u%s\ncontext       %u tokens\n", config.vocab,
              config.tied_head ? ", head tied to the embedding" : "", config.context_length);
}

void PrintBytes(const model::ModelFile& file) {
  const auto weights = model::WeightBytesOf(file);
  const auto parts = model::ActiveBytes(file.config(), weights, 0, 1, model::KvType::kF16);
  std::printf("bytes/token   %.2f MB = layers %.2f + head %.2f + norms %.2f + KV %.3f (first position)\n",
              Megabytes(parts.total()), Megabytes(parts.layers), Megabytes(parts.head), Megabytes(parts.norms),
              Megabytes(parts.kv));
  std::printf("KV            %.1f kB a position (f16)\n",
              static_cast<double>(model::KvBytesPerToken(file.config(), model::KvType::kF16)) * 1e-3);
}

Json Summary(const OpenedModel& model, const model::ModelFile& file) {
  const auto weights = model::WeightBytesOf(file);
  const auto parts = model::ActiveBytes(file.config(), weights, 0, 1, model::KvType::kF16);
  Json::Array tensors;
  for (const auto& tensor : model.gguf.tensors()) {
    tensors.push_back(Json(Json::Object{{"name", Json(tensor.name)},
                                        {"type", Json(Info(tensor.dtype).name)},
                                        {"rows", Json(tensor.rows)},
                                        {"cols", Json(tensor.cols)},
                                        {"bytes", Json(uint64_t{tensor.data.size()})}}));
  }
  const Json bytes(Json::Object{
      {"layers", Json(parts.layers)}, {"head", Json(parts.head)}, {"norms", Json(parts.norms)}, {"kv", Json(parts.kv)}});
  return Json(Json::Object{{"ok", Json(true)},
                           {"file", Json(model.entry.file)},
                           {"family", Json(file.config().family)},
                           {"vocab", Json(uint64_t{file.config().vocab})},
                           {"context_length", Json(uint64_t{file.config().context_length})},
                           {"bytes_per_token", Json(parts.total())},
                           {"bytes_per_token_parts", bytes},
                           {"tensors", Json(std::move(tensors))}});
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

Status Inspect(const Options& options) {
  ASSIGN_OR_RETURN(const OpenedModel model, OpenModel(options.model));
  if (options.chat_template) {
    ASSIGN_OR_RETURN(const std::string source, model::ChatTemplateFromGguf(model.gguf));
    std::printf("%s\n", source.c_str());
    return {};
  }
  const auto file = model::ModelFile::Parse(model.mapping.bytes());
  if (options.json) {
    if (!file.ok()) return file.status().Within(model.entry.file);
    std::printf("%s\n", Summary(model, *file).Write().c_str());
    return {};
  }
  std::printf("file          %s (GGUF v%u, %.1f MB)\n", model.entry.file.c_str(), model.gguf.version(),
              Megabytes(model.gguf.bytes().size()));
  if (file.ok()) PrintModel(*file);
  PrintTypes(model.gguf);
  if (file.ok()) PrintBytes(*file);
  if (options.metadata) PrintMetadata(model.gguf);
  if (options.tensors) {
    for (const auto& tensor : model.gguf.tensors()) {
      std::printf("%-32.*s %-6.*s %14s %12zu bytes\n", static_cast<int>(tensor.name.size()), tensor.name.data(),
                  static_cast<int>(Info(tensor.dtype).name.size()), Info(tensor.dtype).name.data(), Shape(tensor).c_str(),
                  tensor.data.size());
    }
  }
  // What is above is true of the file even when this build cannot run it.
  return file.ok() ? Status() : file.status().Within(model.entry.file);
}

}  // namespace

void AddInspect(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("inspect", "Show what a model file holds and what one token of it costs in bytes");
  command->add_option("FILE", options->model, "Name of the store or .gguf file")->required();
  command->add_flag("--tensors", options->tensors, "List every tensor");
  command->add_flag("--metadata", options->metadata, "List every metadata entry");
  command->add_flag("--template", options->chat_template, "Print the chat template and nothing else");
  command->add_flag("--json", options->json, "One JSON object, tensors included");
  command->callback([options, &exit_code] {
    const Status status = Inspect(*options);
    exit_code = status.ok() ? kExitOk : Fail(status);
  });
}

}  // namespace millrace::cmd
