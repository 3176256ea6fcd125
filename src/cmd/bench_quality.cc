#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cmd/bench.h"
#include "cmd/commands.h"
#include "cmd/exit_code.h"
#include "cmd/progress.h"
#include "cmd/quality_text.h"
#include "cmd/report.h"
#include "cmd/whole_model.h"
#include "engine/likelihood.h"
#include "model/memory_plan.h"
#include "os/cpu.h"
#include "os/file.h"
#include "worker/backends.h"

namespace millrace::cmd {

namespace {

constexpr size_t kMaxTextBytes = size_t{256} << 20;
constexpr uint32_t kStepTokens = 128;  // each with a row of logits, which is vocab floats

struct Options {
  std::string model;
  std::string file;
  uint64_t tokens = 4096;
  uint32_t window = 1024;
  uint32_t threads = 0;
  std::string isa;
  bool reference = false;
  bool json = false;
};

// The first --tokens tokens of the text, all when that is 0, without beginning-of-sequence.
Result<std::vector<TokenId>> TextTokens(const Options& options, const text::Tokenizer& tokenizer) {
  std::string own;
  std::string_view text = QualityText();
  if (!options.file.empty()) {
    ASSIGN_OR_RETURN(own, ReadSmallFile(options.file, kMaxTextBytes));
    text = own;
  }
  ASSIGN_OR_RETURN(auto tokens, tokenizer.Encode(text));
  if (options.tokens != 0 && tokens.size() > options.tokens) tokens.resize(options.tokens);
  if (tokens.size() >= 2) return tokens;
  return Error(Code::kInvalidArgument, "{} tokens of text, expected at least 2", tokens.size());
}

// A runner with room for one window, which can give logits for every row of a step.
Result<worker::LoadedRunner> Load(const Options& options, const model::ModelFile& file, const std::string& alias) {
  const worker::BackendRow& backend = worker::CpuRow();
  const model::MemoryRequest request{.slots = 1,
                                     .context = options.window,
                                     .kv_type = options.reference ? model::KvType::kF32 : model::KvType::kF16,
                                     .chunk_tokens = kStepTokens,
                                     .block_tokens = backend.block_tokens};
  ASSIGN_OR_RETURN(const auto plan, model::PlanMemory(file.config(), model::WeightBytesOf(file), request));
  RETURN_IF_ERROR(plan.CheckFits(AvailableMemory().available_bytes));
  ProgressLine progress("loading " + alias);
  worker::BackendOptions load;
  load.threads = options.threads;
  load.isa = options.isa;
  load.reference = options.reference;
  load.slots = kStepTokens;  // a backend makes as many rows of logits as it has slots; only the first slot is used
  load.context = options.window;
  load.kv_tokens = (options.window + backend.block_tokens - 1) / backend.block_tokens * backend.block_tokens;
  load.max_batch_tokens = kStepTokens;
  load.progress = [&progress](size_t done, size_t total) { progress.Show(done, total); };
  return backend.load(file, load);
}

Status CheckWindow(const Options& options, const model::ModelConfig& config) {
  if (options.window <= config.context_length) return {};
  return Error(Code::kInvalidArgument, "--window {}: expected at most {} tokens, which the model was trained for", options.window,
               config.context_length);
}

Result<engine::Likelihood> Measure(const Options& options, model::ModelRunner& runner, const text::Tokenizer& tokenizer,
                                   std::span<const TokenId> tokens) {
  ProgressLine progress("measuring");
  engine::LikelihoodOptions measure;
  measure.window = options.window;
  if (!tokenizer.vocabulary().prefix().empty()) measure.first = tokenizer.vocabulary().prefix().front();
  measure.rows = kStepTokens;
  measure.progress = [&progress](uint64_t done, uint64_t total) { progress.Show(done, total); };
  return engine::MeasureLikelihood(runner, tokens, measure);
}

Status BenchQuality(const Options& options) {
  ASSIGN_OR_RETURN(const WholeModel model, OpenWholeModel(options.model));
  ASSIGN_OR_RETURN(const auto tokenizer, OpenTokenizer(model.opened));
  ASSIGN_OR_RETURN(const auto tokens, TextTokens(options, *tokenizer));
  RETURN_IF_ERROR(CheckWindow(options, model.file.config()));
  auto loaded = Load(options, model.file, model.name());
  if (!loaded.ok()) return loaded.status().Within(model.path());

  const model::RunnerInfo& info = loaded->runner->info();
  Report report(info.isa, info.threads);
  const auto likelihood = Measure(options, *loaded->runner, *tokenizer, tokens);
  if (!likelihood.ok()) return likelihood.status().Within(model.path());

  const double nll = likelihood->mean();
  std::printf("%s on %s (%s)%s: %.6f nats per token, perplexity %.4f, over %llu tokens in windows of %u\n", model.name().c_str(),
              info.engine, info.isa, options.reference ? ", float arithmetic" : "", nll, std::exp(nll),
              static_cast<unsigned long long>(likelihood->tokens), options.window);
  if (!options.json) return {};
  report.Set("model", Json(model.name()));
  report.Set("engine", Json(info.engine));
  report.Set("reference", Json(options.reference));
  report.Set("window", Json(uint64_t{options.window}));
  report.Set("tokens", Json(likelihood->tokens));
  report.Set("nll", Json(Rounded(nll, 8)));
  report.Set("perplexity", Json(Rounded(std::exp(nll), 6)));
  std::printf("%s\n", report.Write("holds").c_str());
  return {};
}

}  // namespace

void AddBenchQuality(CLI::App& bench, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      bench.add_subcommand("quality", "Measure how well a model predicts a text: mean negative log-likelihood, perplexity");
  command->add_option("MODEL", options->model, "Name of the store, .gguf file, or directory with config.json")->required();
  command->add_option("--file", options->file,
                      "Text to predict; a built-in one when absent (constitution, declaration, Genesis)");
  command->add_option("--tokens", options->tokens, "Use the first tokens of the text only; 0 = all")->capture_default_str();
  command->add_option("--window", options->window, "Tokens that are read together; each window starts from nothing")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "0 = one per physical core")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  command->add_option("--isa", options->isa, "Force an instruction set: scalar, avx2, avx512vnni")
      ->check(CLI::IsMember({"scalar", "avx2", "avx512vnni"}));
  command->add_flag("--reference", options->reference, "The slow float arithmetic");
  command->add_flag("--json", options->json, "Last line: one JSON object");
  command->callback([options, &exit_code] {
    const Status status = BenchQuality(*options);
    exit_code = status.ok() ? kExitOk : Fail(status);
  });
}

}  // namespace millrace::cmd
