#include "cmd/model_bench.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>

#include "cmd/engine_bench.h"
#include "cmd/progress.h"
#include "cmd/report.h"
#include "kernels/read_bandwidth.h"
#include "model/model_file.h"
#include "model/model_files.h"
#include "worker/model_loader.h"

namespace millrace::cmd {

namespace {

struct DecodeRow {
  uint32_t depth = 0;
  uint32_t batch = 0;
  double bytes_per_token = 0;
  std::vector<double> tok_s;  // per round
  std::vector<double> roof_gb_s;
};

struct PrefillRow {
  uint32_t tokens = 0;
  std::vector<double> tok_s;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : 0.5 * (values[half - 1] + values[half]);
}

// Half the distance between the best and the worst round, against the median.
double Spread(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return 0.5 * (*high - *low) / Median(values);
}

struct Rows {
  std::vector<DecodeRow> decode;
  std::vector<PrefillRow> prefill;
};

Rows Plan(const ModelBenchOptions& options, uint32_t context) {
  Rows rows;
  for (const uint32_t depth : options.depths) {
    for (const uint32_t batch : options.batches) {
      // With the room that MeasureDecode needs while a batch starts.
      if (depth + options.tokens + batch * (1 + depth / 16) + 3 <= context)
        rows.decode.push_back({.depth = depth, .batch = batch, .tok_s = {}, .roof_gb_s = {}});
    }
  }
  for (const uint32_t tokens : options.prompts) {
    if (tokens < context) rows.prefill.push_back({.tokens = tokens, .tok_s = {}});
  }
  return rows;
}

// The roof is that of the processors also where they do not compute: they share their memory with whatever does.
class RoofSource {
 public:
  explicit RoofSource(const worker::LoadedModel& model) : pool_(model.pool), kernels_(model.kernels) {
    if (pool_ != nullptr && kernels_ != nullptr) return;
    own_.emplace(0);
    pool_ = &*own_;
    kernels_ = &kernels::TableFor(kernels::BestIsa());
  }
  Result<double> Measure(double bytes) {
    ASSIGN_OR_RETURN(const auto roof, kernels::MeasureReadBandwidth(*pool_, *kernels_, static_cast<size_t>(bytes)));
    return roof.median_gb_s;
  }

 private:
  std::optional<kernels::ThreadPool> own_;
  kernels::ThreadPool* pool_;
  const kernels::KernelTable* kernels_;
};

// Rounds run through all rows in turn, so that a slow minute of the machine falls on every row; each row's roof is measured beside it.
Status Measure(const ModelBenchOptions& options, worker::LoadedModel& model, Rows& rows) {
  ProgressLine progress("measuring");
  RoofSource roof(model);
  const uint64_t total = options.rounds * (rows.decode.size() + rows.prefill.size());
  uint64_t done = 0;
  for (uint32_t round = 0; round < options.rounds; ++round) {
    for (DecodeRow& row : rows.decode) {
      ASSIGN_OR_RETURN(const DecodeSpeed speed, MeasureDecode(*model.engine, row.depth, row.batch, options.tokens));
      ASSIGN_OR_RETURN(const double roof_gb_s, roof.Measure(speed.step_bytes));
      row.tok_s.push_back(speed.tok_s);
      row.bytes_per_token = speed.bytes_per_token;
      row.roof_gb_s.push_back(roof_gb_s);
      progress.Show(++done, total);
    }
    for (PrefillRow& row : rows.prefill) {
      ASSIGN_OR_RETURN(const double tok_s, MeasurePrefill(*model.engine, row.tokens));
      row.tok_s.push_back(tok_s);
      progress.Show(++done, total);
    }
  }
  return {};
}

Json PrintDecode(const DecodeRow& row) {
  const double tok_s = Median(row.tok_s);
  const double gb_s = tok_s * row.bytes_per_token * 1e-9;
  const double roof = Median(row.roof_gb_s);
  std::printf(
      "decode   depth %5u  batch %2u  %9.1f tok/s ±%2.0f %%  %6.1f MB/token  %6.1f GB/s  %3.0f %% of the roof (%.1f GB/s)\n",
      row.depth, row.batch, tok_s, 100 * Spread(row.tok_s), row.bytes_per_token * 1e-6, gb_s, 100 * gb_s / roof, roof);
  return Json(Json::Object{{"depth", Json(uint64_t{row.depth})},
                           {"batch", Json(uint64_t{row.batch})},
                           {"tok_s", Json(Rounded(tok_s, 2))},
                           {"spread", Json(Rounded(Spread(row.tok_s), 4))},
                           {"bytes_per_token", Json(Rounded(row.bytes_per_token, 0))},
                           {"gb_s", Json(Rounded(gb_s, 3))},
                           {"roof_gb_s", Json(Rounded(roof, 3))},
                           {"mbu", Json(Rounded(gb_s / roof, 4))}});
}

Json PrintPrefill(const PrefillRow& row) {
  std::printf("prefill  %5u tokens          %9.1f tok/s ±%2.0f %%\n", row.tokens, Median(row.tok_s), 100 * Spread(row.tok_s));
  return Json(Json::Object{{"tokens", Json(uint64_t{row.tokens})},
                           {"tok_s", Json(Rounded(Median(row.tok_s), 2))},
                           {"spread", Json(Rounded(Spread(row.tok_s), 4))}});
}

Result<uint32_t> ContextLength(const model::OpenedModelFiles& files) {
  ASSIGN_OR_RETURN(const auto mapped, files.Map());
  const auto model = model::ModelFile::Parse(mapped.files());
  if (!model.ok()) return model.status().Within(files.path());
  return model->config().context_length;
}

Result<worker::LoadedModel> Load(const std::string& path, const std::string& alias, const ModelBenchOptions& options,
                                 const worker::BackendRow& backend) {
  ASSIGN_OR_RETURN(const auto files, model::OpenedModelFiles::Open(path));
  ProgressLine progress("loading " + alias);
  worker::LoadOptions load;
  load.backend = &backend;
  load.slots = *std::max_element(options.batches.begin(), options.batches.end());
  load.context = *std::max_element(options.depths.begin(), options.depths.end());
  load.context = std::max(load.context, *std::max_element(options.prompts.begin(), options.prompts.end()));
  // Earlier sequences of a batch decode while later ones are prefilled; see MeasureDecode.
  load.context += options.tokens + load.slots * (1 + load.context / 16) + 128;
  ASSIGN_OR_RETURN(const uint32_t longest, ContextLength(files));
  load.context = std::min(load.context, longest);
  load.threads = options.threads;
  load.isa = options.isa;
  load.reference = options.reference;
  load.quantise = static_cast<uint8_t>(options.quantise);
  load.needs_vocabulary = false;
  load.progress = [&progress](size_t done, size_t total) { progress.Show(done, total); };
  auto model = worker::LoadModelFromFiles(files.names(), files.fds(), load);
  if (!model.ok()) return model.status().Within(path);
  return model;
}

}  // namespace

void AddModelBenchOptions(CLI::App& app, ModelBenchOptions& options) {
  app.add_option("--depths", options.depths, "Tokens before the measured ones")
      ->delimiter(',')
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app.add_option("--batches", options.batches, "Sequences at once")
      ->delimiter(',')
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--prompts", options.prompts, "Prompt lengths for prefill")->delimiter(',')->capture_default_str();
  app.add_option("--tokens", options.tokens, "Decode steps per measurement")->check(CLI::Range(1, 4096))->capture_default_str();
  app.add_option("--rounds", options.rounds, "Rounds over all rows")->check(CLI::Range(1, 100))->capture_default_str();
  app.add_option("--threads", options.threads, "0 = one per physical core")->check(CLI::Range(0, 256))->capture_default_str();
  app.add_option("--isa", options.isa, "Force an instruction set: scalar, avx2, avx512vnni")
      ->check(CLI::IsMember({"scalar", "avx2", "avx512vnni"}));
  app.add_option("--quantize", options.quantise, "Quantise float weights to so many bits while loading: 4 or 8")
      ->check(CLI::IsMember({4, 8}));
  app.add_flag("--reference", options.reference, "The slow float arithmetic");
  app.add_flag("--json", options.json, "Last line: one JSON object");
}

std::vector<std::string> ArgumentsOf(const ModelBenchOptions& options) {
  const auto list = [](const std::vector<uint32_t>& values) { return fmt::format("{}", fmt::join(values, ",")); };
  std::vector<std::string> arguments = {"--depths",  list(options.depths),
                                        "--batches", list(options.batches),
                                        "--prompts", list(options.prompts),
                                        "--tokens",  fmt::format("{}", options.tokens),
                                        "--rounds",  fmt::format("{}", options.rounds)};
  if (options.threads != 0) arguments.insert(arguments.end(), {"--threads", fmt::format("{}", options.threads)});
  if (!options.isa.empty()) arguments.insert(arguments.end(), {"--isa", options.isa});
  if (options.quantise != 0) arguments.insert(arguments.end(), {"--quantize", fmt::format("{}", options.quantise)});
  if (options.reference) arguments.push_back("--reference");
  if (options.json) arguments.push_back("--json");
  return arguments;
}

Status RunModelBench(const std::string& file, const std::string& alias, const ModelBenchOptions& options,
                     const worker::BackendRow& backend) {
  ASSIGN_OR_RETURN(worker::LoadedModel model, Load(file, alias, options, backend));
  const model::RunnerInfo& info = model.engine->runner().info();
  Report report(info.isa, info.threads);
  std::printf("%s on %s (%s), %u threads, %s; medians of %u rounds\n", alias.c_str(), info.engine, info.isa, info.threads,
              GetCpu().model.c_str(), options.rounds);
  Rows rows = Plan(options, info.context);
  if (rows.decode.size() < options.depths.size() * options.batches.size() || rows.prefill.size() < options.prompts.size()) {
    std::printf("rows beyond the model's %u positions are left out\n", info.context);
  }
  RETURN_IF_ERROR(Measure(options, model, rows));
  Json::Array decode, prefill;
  for (const DecodeRow& row : rows.decode) decode.push_back(PrintDecode(row));
  for (const PrefillRow& row : rows.prefill) prefill.push_back(PrintPrefill(row));
  if (!options.json) return {};
  report.Set("model", Json(alias));
  report.Set("engine", Json(info.engine));
  report.Set("rounds", Json(uint64_t{options.rounds}));
  report.Set("weight_bytes", Json(info.weight_bytes));
  report.Set("decode", Json(std::move(decode)));
  report.Set("prefill", Json(std::move(prefill)));
  std::printf("%s\n", report.Write("holds").c_str());
  return {};
}

}  // namespace millrace::cmd
