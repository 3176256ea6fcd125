#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <iterator>
#include <map>

#include "base/clock.h"
#include "cmd/bench.h"
#include "cmd/commands.h"
#include "cmd/error_table.h"
#include "cmd/exit_code.h"
#include "cmd/progress.h"
#include "cmd/whole_model.h"
#include "kernels/packed.h"
#include "kernels/thread_pool.h"
#include "model/chat_template_source.h"
#include "model/checkpoint_config.h"
#include "model/conversion.h"
#include "model/convert_tensor.h"
#include "model/model_text.h"
#include "model/tokenizer_writer.h"
#include "os/output_directory.h"
#include "os/signals.h"

namespace millrace::cmd {

namespace {

constexpr std::string_view kTextFiles[] = {model::kTokenizerFile,        model::kTokenizerConfigFile, model::kSpecialTokensFile,
                                           model::kGenerationConfigFile, model::kTemplateFile,        model::kTemplateJsonFile};

struct Options {
  std::string source;
  std::string out;
  model::ConversionTarget target;
  uint32_t threads = 0;
  bool json = false;
};

std::span<const std::byte> BytesOf(const std::string& text) { return std::as_bytes(std::span(text)); }

// The small files: config.json, and what belongs to the text. `note` says what is wrong with the tokenizer: there is none, or
// none that this build reads.
using SmallFiles = std::map<std::string, std::string>;
Result<SmallFiles> SmallFilesOf(const model::ModelFile& file, const Options& options, const model::ConversionPlan& plan,
                                std::string& note) {
  SmallFiles files;
  ASSIGN_OR_RETURN(Json config, model::CheckpointConfigOf(file));
  if (!plan.all_floats) model::AddQuantisation(options.target.format, config);
  files[std::string(model::kConfigFile)] = config.WriteIndented() + "\n";
  if (!plan.index.empty()) files[std::string(model::kIndexFile)] = plan.index + "\n";
  if (!file.source().is_gguf()) {
    for (const model::NamedFile& each : file.source().checkpoint().files()) {
      const bool text = std::find(std::begin(kTextFiles), std::end(kTextFiles), each.name) != std::end(kTextFiles);
      if (text || each.name.starts_with(model::kTemplateFolder)) files[std::string(each.name)] = std::string(each.text());
    }
    const Status readable = ToStatus(model::TokenizerSpecOf(file.source(), file.config().vocab));
    if (!files.contains(std::string(model::kTokenizerFile))) {
      note = "written without tokenizer: the source has none";
    } else if (!readable.ok()) {
      note = "the tokenizer is copied as it is, but this build cannot read it: " + readable.message();
    }
    return files;
  }
  const auto tokenizer = [&file]() -> Result<SmallFiles> {
    ASSIGN_OR_RETURN(const auto spec, model::TokenizerSpecOf(file.source(), file.config().vocab));
    ASSIGN_OR_RETURN(const auto templates, model::ChatTemplatesOf(file.source()));
    const bool only_one = templates.size() == 1 && templates.front().name == text::kDefaultTemplate;
    ASSIGN_OR_RETURN(SmallFiles written, model::TokenizerFilesOf(spec, only_one ? templates.front().source : ""));
    for (const text::NamedTemplate& each : templates) {
      if (only_one) continue;
      if (!written.emplace(model::TemplateFileOf(each.name), each.source).second) {
        return Error(Code::kInvalidArgument, "chat template '{}': another one would have the same file, {}", each.name,
                     model::TemplateFileOf(each.name));
      }
    }
    return Result<SmallFiles>(std::move(written));
  }();
  if (tokenizer.ok()) {
    files.insert(tokenizer->begin(), tokenizer->end());
  } else {
    note = "written without tokenizer: " + tokenizer.status().message();
  }
  return files;
}

Status CheckSpace(const std::string& out, uint64_t bytes) {
  ASSIGN_OR_RETURN(const uint64_t free, FreeDiskBytes(out));
  if (bytes <= free) return {};
  return Error(Code::kResourceExhausted, "{}: needs {:.2f} GB, {:.2f} GB are free there", out, static_cast<double>(bytes) * 1e-9,
               static_cast<double>(free) * 1e-9);
}

class Conversion {
 public:
  Conversion(const model::ConversionPlan& plan, OutputDirectory& directory, uint32_t threads, SignalQueue& signals)
      : plan_(plan), directory_(directory), pool_(threads), signals_(signals) {}

  Status Run(ErrorTable& table) {
    for (const model::PlannedShard& shard : plan_.shards) RETURN_IF_ERROR(WriteShard(shard, table));
    return {};
  }

 private:
  Status WriteShard(const model::PlannedShard& shard, ErrorTable& table) {
    ASSIGN_OR_RETURN(const UniqueFd fd, directory_.CreateFile(shard.name));
    // Every piece comes through here, so an interruption is noticed soon and ends like any failure.
    const auto sink = [this, &fd](std::span<const std::byte> data) -> Status {
      if (signals_.Next()) return Error(Code::kCancelled, "interrupted");
      return AppendToFile(fd.get(), data);
    };
    const std::map<std::string, std::string> metadata = {{"format", plan_.all_floats ? "pt" : "mlx"}};
    ASSIGN_OR_RETURN(auto writer, weights::SafetensorsWriter::Start(shard.entries, metadata, sink));
    const model::ConversionTools tools = Tools();
    for (size_t i = shard.begin; i < shard.end; ++i) {
      const model::PlannedTensor& tensor = plan_.tensors[i];
      ASSIGN_OR_RETURN(const auto error, model::ConvertTensor(tensor, tools, writer));
      table.Add(tensor, error);
      done_ += tensor.rows * tensor.cols;
    }
    RETURN_IF_ERROR(writer.Finish());
    return FlushFile(fd.get());
  }

  model::ConversionTools Tools() {
    model::ConversionTools tools;
    tools.read_row = [](const weights::TensorView& tensor, uint64_t row, float* out) {
      const kernels::FileMatrix file{.dtype = tensor.dtype,
                                     .rows = tensor.rows,
                                     .cols = tensor.cols,
                                     .codes = tensor.data.data(),
                                     .scales = tensor.affine.scales.data(),
                                     .biases = tensor.affine.biases.data(),
                                     .scale_dtype = tensor.affine.dtype,
                                     .group = tensor.affine.group};
      kernels::DequantizeFileRow(file, row, out);
    };
    tools.for_each = [this](uint64_t count, const std::function<void(uint64_t)>& work) {
      pool_.Run("convert", {.items = count, .grain = 1}, [&work](kernels::SectionContext& context) {
        do {
          for (size_t i = context.range().begin; i < context.range().end; ++i) work(i);
        } while (context.Next());
      });
    };
    tools.progress = [this](uint64_t elements) { progress_.Show(done_ + elements, plan_.elements()); };
    return tools;
  }

  const model::ConversionPlan& plan_;
  OutputDirectory& directory_;
  kernels::ThreadPool pool_;
  SignalQueue& signals_;
  ProgressLine progress_{"converting"};
  uint64_t done_ = 0;  // elements of whole tensors
};

struct Outcome {
  ErrorTable table;
  uint64_t bytes = 0;
  std::string tokenizer_note;
};

Result<Outcome> Convert(const Options& options, SignalQueue& signals) {
  ASSIGN_OR_RETURN(const WholeModel source, OpenWholeModel(options.source));
  const auto plan = model::PlanConversion(source.file, options.target);
  if (!plan.ok()) return plan.status().Within(source.path());

  Outcome outcome;
  auto small = SmallFilesOf(source.file, options, *plan, outcome.tokenizer_note);
  if (!small.ok()) return small.status().Within(source.path());
  outcome.bytes = plan->bytes();
  for (const auto& [name, text] : *small) outcome.bytes += text.size();
  RETURN_IF_ERROR(CheckSpace(options.out, outcome.bytes));

  ASSIGN_OR_RETURN(OutputDirectory directory, OutputDirectory::Create(options.out));
  const Status converted = Conversion(*plan, directory, ThreadsOr(options.threads), signals).Run(outcome.table);
  if (!converted.ok()) return converted.Within(options.out);
  for (const auto& [name, text] : *small) RETURN_IF_ERROR(directory.WriteFile(name, BytesOf(text)));
  RETURN_IF_ERROR(directory.Commit());
  return outcome;
}

std::string FormatText(const model::AffineFormat& format) {
  return format.bits == model::kFloatBits ? "f16" : fmt::format("affine {}-bit, groups of {}", format.bits, format.group);
}

Status ConvertAndReport(const Options& options) {
  ASSIGN_OR_RETURN(SignalQueue signals, SignalQueue::Capture({SIGINT, SIGTERM}));
  const int64_t start = MonotonicNs();
  ASSIGN_OR_RETURN(const Outcome outcome, Convert(options, signals));
  const double seconds = static_cast<double>(MonotonicNs() - start) * 1e-9;
  outcome.table.Print();
  std::printf("%s: %.1f MB, %s, in %.1f s\n", options.out.c_str(), static_cast<double>(outcome.bytes) * 1e-6,
              FormatText(options.target.format).c_str(), seconds);
  if (!outcome.tokenizer_note.empty()) {
    std::fprintf(stderr, "millrace: %s\n", outcome.tokenizer_note.c_str());
  }
  if (!options.json) return {};
  const Json out(Json::Object{{"ok", Json(true)},
                              {"path", Json(options.out)},
                              {"bits", Json(uint64_t{options.target.format.bits})},
                              {"group", Json(uint64_t{options.target.format.group})},
                              {"bytes", Json(outcome.bytes)},
                              {"tokenizer", Json(outcome.tokenizer_note.empty())},
                              {"error", Json(outcome.table.total())},
                              {"changes", outcome.table.Counts()},
                              {"tensors", outcome.table.Tensors()}});
  std::printf("%s\n", out.Write().c_str());
  return {};
}

}  // namespace

void AddConvert(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("convert", "Write any model as a directory of MLX-format safetensors, with the error of each matrix");
  command->add_option("SOURCE", options->source, "Name of the store, .gguf file, or directory with config.json")->required();
  command->add_option("OUT_DIR", options->out, "Directory to make; must not exist")->required();
  command->add_option("--bits", options->target.format.bits, "Of a weight: 4, 6, 8, or 16 for floats (f16)")
      ->check(CLI::IsMember({4, 6, 8, 16}))
      ->required();
  command->add_option("--group", options->target.format.group, "Columns that share a scale: 32, 64, 128")
      ->check(CLI::IsMember({32, 64, 128}))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "0 = one per physical core")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Last line: one JSON object");
  command->footer(
      "\nGGUF files of Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 keep every value under --group 32 with as many bits as they have.");
  command->callback([options, &exit_code] {
    const Status status = ConvertAndReport(*options);
    exit_code = status.ok() ? kExitOk : Fail(status);
  });
}

}  // namespace millrace::cmd
