#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "cmd/bench.h"
#include "cmd/commands.h"
#include "cmd/exit_code.h"
#include "cmd/report.h"
#include "kernels/read_bandwidth.h"

namespace millrace::cmd {

namespace {

struct Options {
  uint32_t threads = 0;
  bool json = false;
};

constexpr size_t kMegabyte = 1'000'000;
constexpr size_t kHeadline = size_t{1} << 30;  // read_gb_s is at 1 GiB

// A bar of the curve for the terminal, against the fastest point.
void PrintPoint(const kernels::ReadBandwidth& point, double fastest) {
  const auto width = static_cast<size_t>(40 * point.median_gb_s / fastest);
  std::printf("%8zu MB %8.1f GB/s  %s\n", point.buffer_bytes / kMegabyte, point.median_gb_s, std::string(width, '#').c_str());
}

Status BenchRoof(const Options& options) {
  kernels::ThreadPool pool(ThreadsOr(options.threads));
  const kernels::KernelTable& table = kernels::TableFor(kernels::BestIsa());
  Report report(std::string(kernels::IsaName(kernels::BestIsa())), pool.threads());
  // Never more than a quarter of what is free: the machine may be in use.
  const size_t limit = std::max<size_t>(AvailableMemory().available_bytes / 4, size_t{64} << 20);
  ASSIGN_OR_RETURN(const auto curve, kernels::MeasureReadCurve(pool, table, limit));
  ASSIGN_OR_RETURN(const auto headline, kernels::MeasureReadBandwidth(pool, table, std::min(kHeadline, limit)));

  double fastest = headline.median_gb_s;
  for (const auto& point : curve) fastest = std::max(fastest, point.median_gb_s);
  std::printf("%s, %u threads: %.1f GB/s at %zu MB (best %.1f)\n", GetCpu().model.c_str(), pool.threads(), headline.median_gb_s,
              headline.buffer_bytes / kMegabyte, headline.best_gb_s);
  Json points(Json::Object{});
  for (const auto& point : curve) {
    PrintPoint(point, fastest);
    points.Set(fmt::format("{}", point.buffer_bytes / kMegabyte), Json(Rounded(point.median_gb_s, 2)));
  }
  if (!options.json) return {};
  report.Set("read_gb_s", Json(Rounded(headline.median_gb_s, 2)));
  report.Set("read_gb_s_best", Json(Rounded(headline.best_gb_s, 2)));
  report.Set("curve", points);
  std::printf("%s\n", report.Write("holds").c_str());
  return {};
}

}  // namespace

void AddBenchRoof(CLI::App& bench, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = bench.add_subcommand("roof", "Measure how fast this machine reads memory: the roof of every decode figure");
  command->add_option("--threads", options->threads, "0 = one per physical core")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Last line: one JSON object");
  command->callback([options, &exit_code] {
    const Status status = BenchRoof(*options);
    exit_code = status.ok() ? kExitOk : Fail(status);
  });
}

}  // namespace millrace::cmd
