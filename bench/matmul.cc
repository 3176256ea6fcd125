// bench_matmul: how fast the kernels multiply with each weight type, beside how fast the same threads read memory in the same run.
//
// 1, 4 and 8 activation rows stream weights from memory: many copies of one matrix, larger together than the caches, each multiplied once
// per round. GB/s are bytes of the *file's* weights. 256 rows are bound by arithmetic: GFLOP/s of one matrix, 2 per weight and row.
// Rounds go over all types again and again and the best of each counts, because neighbours on the machine only ever make it slower.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/half.h"
#include "base/json.h"
#include "kernels/kernel_table.h"
#include "kernels/packed.h"
#include "kernels/read_bandwidth.h"
#include "kernels/thread_pool.h"
#include "os/cpu.h"
#include "os/mapping.h"

namespace millrace {
namespace {

using kernels::FileMatrix;
using kernels::PackedMatrix;

// The widest matrix of a model with 1.5 billion weights.
constexpr uint32_t kRows = 8960;
constexpr uint32_t kCols = 1536;
constexpr uint32_t kFewRows[] = {1, 4, 8};
constexpr uint32_t kManyRows = 256;

struct Options {
  bool json = false;
  size_t rounds = 5;
  uint32_t threads = 0;
  size_t megabytes = 256;  // of weights that are streamed
  std::string only;        // part of a type's name
};

struct WeightType {
  DType dtype;
  DType scale_dtype = DType::kF32;
  uint32_t group = 0;

  std::string Name() const {
    if (group == 0) return std::string(Info(dtype).name);
    return fmt::format("{} {} by {}", Info(dtype).name, Info(scale_dtype).name, group);
  }
};

std::vector<WeightType> TypesOf(const Options& options) {
  std::vector<WeightType> types;
  for (int i = 0; i <= static_cast<int>(DType::kQ6_K); ++i) types.push_back({.dtype = static_cast<DType>(i)});
  for (const DType dtype : {DType::kAffine4, DType::kAffine6, DType::kAffine8}) {
    for (const DType scale : {DType::kF16, DType::kBF16, DType::kF32}) {
      for (const uint32_t group : {32U, 64U, 128U}) types.push_back({dtype, scale, group});
    }
  }
  std::erase_if(types, [&](const WeightType& type) { return type.Name().find(options.only) == std::string::npos; });
  return types;
}

// Random bytes that are small positive numbers in binary16.
std::vector<std::byte> RandomBytes(size_t count, std::mt19937_64& random) {
  std::vector<std::byte> bytes((count + 7) / 8 * 8);
  for (size_t at = 0; at < bytes.size(); at += 8) {
    const uint64_t value = random() & 0x3B3B3B3B3B3B3B3BULL;
    std::memcpy(bytes.data() + at, &value, sizeof(value));
  }
  return bytes;
}

// Scales in (0.002, 0.004): normal numbers, so that no product is subnormal and slow.
std::vector<std::byte> RandomScales(DType type, size_t count, std::mt19937_64& random) {
  const uint32_t size = Info(type).block_bytes;
  std::vector<std::byte> bytes(count * size);
  for (size_t i = 0; i < count; ++i) {
    const float value = 0.002F + 0.002F * static_cast<float>(random() % 1024) / 1024;
    const uint16_t half = type == DType::kF16 ? FloatToHalf(value) : FloatToBf16(value);
    std::memcpy(bytes.data() + i * size, type == DType::kF32 ? static_cast<const void*>(&value) : &half, size);
  }
  return bytes;
}

// Activations for any number of rows up to kManyRows.
struct Activations {
  std::vector<float> floats;
  std::vector<int8_t> codes;
  std::vector<float> scales, sums;
  std::vector<int16_t> minus_sums;
  kernels::InputRows input;

  Activations(const kernels::KernelTable& kernels, std::mt19937_64& random)
      : floats(size_t{kManyRows} * kCols),
        codes(floats.size()),
        scales(floats.size() / kernels::kGroupCols),
        sums(scales.size()),
        minus_sums(scales.size() * kernels::kMinusSums) {
    std::normal_distribution<float> normal;
    for (float& value : floats) value = normal(random);
    input = {floats.data(), {codes.data(), scales.data(), sums.data(), minus_sums.data(), kCols}};
    for (uint32_t row = 0; row < kManyRows; ++row) kernels.quantize_row(floats.data() + size_t{row} * kCols, input.quant, row);
  }
};

// The best figures so far of one type.
struct Figures {
  WeightType type;
  uint64_t file_bytes = 0;
  double gb_s[std::size(kFewRows)] = {};
  double gflop_s = 0;
};

// Packed copies of one matrix of a type.
struct Weights {
  HugeBuffer memory;
  PackedMatrix matrix;
  size_t bytes = 0;
  size_t copies = 0;
  uint64_t file_bytes = 0;

  static Result<Weights> Make(const WeightType& type, const Options& options, kernels::ThreadPool& pool);
  PackedMatrix Copy(size_t index) const {
    PackedMatrix copy = matrix;
    copy.data = memory.data() + index * bytes;
    return copy;
  }
};

Result<Weights> Weights::Make(const WeightType& type, const Options& options, kernels::ThreadPool& pool) {
  std::mt19937_64 random(1);
  const DTypeInfo& info = Info(type.dtype);
  const size_t code_bytes = size_t{kRows} * kCols / info.block_elements * info.block_bytes;
  const size_t scale_count = type.group == 0 ? 0 : size_t{kRows} * kCols / type.group;
  const std::vector<std::byte> codes = RandomBytes(code_bytes, random);
  const std::vector<std::byte> scales = RandomScales(type.scale_dtype, scale_count, random);
  const FileMatrix file{.dtype = type.dtype,
                        .rows = kRows,
                        .cols = kCols,
                        .codes = codes.data(),
                        .scales = scales.data(),
                        .biases = scales.data(),
                        .scale_dtype = type.scale_dtype,
                        .group = type.group};
  Weights weights;
  ASSIGN_OR_RETURN(weights.matrix, kernels::PackedMatrixOf(file));
  weights.file_bytes = code_bytes + 2 * scales.size();
  weights.bytes = kernels::PackedBytes(weights.matrix);
  weights.copies = std::max<size_t>(1, options.megabytes * 1'000'000 / weights.bytes);
  ASSIGN_OR_RETURN(weights.memory, HugeBuffer::Allocate(weights.bytes * weights.copies));
  kernels::ForEach(pool, "pack", {.items = kernels::Strips(kRows), .grain = 16}, [&](uint32_t, size_t strip) {
    const auto at = static_cast<uint32_t>(strip);
    kernels::PackStrips({file, weights.matrix, weights.memory.data()}, at, at + 1);
  });
  kernels::ForEach(pool, "copy", {.items = weights.copies - 1, .grain = 1}, [&](uint32_t, size_t copy) {
    std::memcpy(weights.memory.data() + (copy + 1) * weights.bytes, weights.memory.data(), weights.bytes);
  });
  return weights;
}

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options),
        pool_(options.threads),
        kernels_(kernels::TableFor(kernels::BestIsa())),
        random_(2),
        activations_(kernels_, random_),
        output_(size_t{kManyRows} * kRows) {}

  Result<Json> Run();

 private:
  Status Round(Figures& figures);
  int64_t Multiply(const PackedMatrix& matrix, uint32_t rows);
  Json Report(std::span<const Figures> all) const;

  const Options& options_;
  kernels::ThreadPool pool_;
  const kernels::KernelTable& kernels_;
  std::mt19937_64 random_;
  Activations activations_;
  std::vector<float> output_;
  double roof_gb_s_ = 0;
};

// One product, divided as the CPU backend divides it: pairs of strips, some 16 KiB a piece.
int64_t Bench::Multiply(const PackedMatrix& matrix, uint32_t rows) {
  const size_t strips = kernels::Strips(matrix.rows);
  const size_t grain = std::max<size_t>(rows < 4 ? 1 : 2, 16384 / (2 * kernels::StripBytes(matrix)) / std::max(1U, rows / 4));
  const int64_t start_ns = MonotonicNs();
  pool_.Run("matmul", {.items = (strips + 1) / 2, .grain = grain}, [&](kernels::SectionContext& context) {
    do {
      const kernels::IndexRange range{2 * context.range().begin, std::min(2 * context.range().end, strips)};
      kernels_.MatmulOf(matrix.form)(matrix, range, activations_.input, rows,
                                     {.data = output_.data(), .stride = kRows, .add = false});
    } while (context.Next());
  });
  return MonotonicNs() - start_ns;
}

Status Bench::Round(Figures& figures) {
  ASSIGN_OR_RETURN(const Weights weights, Weights::Make(figures.type, options_, pool_));
  figures.file_bytes = weights.file_bytes;
  for (size_t i = 0; i < std::size(kFewRows); ++i) {
    int64_t ns = 0;
    for (size_t copy = 0; copy < weights.copies; ++copy) ns += Multiply(weights.Copy(copy), kFewRows[i]);
    const double bytes = static_cast<double>(weights.copies * weights.file_bytes);
    figures.gb_s[i] = std::max(figures.gb_s[i], bytes / static_cast<double>(ns));
  }
  const int64_t ns = Multiply(weights.Copy(0), kManyRows);
  figures.gflop_s = std::max(figures.gflop_s, 2.0 * kManyRows * kRows * kCols / static_cast<double>(ns));
  return {};
}

Result<Json> Bench::Run() {
  std::vector<Figures> all;
  for (const WeightType& type : TypesOf(options_)) all.push_back({.type = type});
  for (size_t round = 0; round < options_.rounds; ++round) {
    ASSIGN_OR_RETURN(const auto roof, kernels::MeasureReadBandwidth(pool_, kernels_, options_.megabytes * 1'000'000));
    roof_gb_s_ = std::max(roof_gb_s_, roof.best_gb_s);
    for (Figures& figures : all) RETURN_IF_ERROR(Round(figures));
  }
  return Report(all);
}

double Rounded(double value) { return static_cast<double>(static_cast<int64_t>(value * 100 + 0.5)) / 100; }

Json Bench::Report(std::span<const Figures> all) const {
  Json out;
  out.Set("cpu", Json(GetCpu().model));
  out.Set("isa", Json(kernels::IsaName(kernels_.isa)));
  out.Set("threads", Json(uint64_t{pool_.threads()}));
  out.Set("load", Json(SampleLoad().load_1min));
  out.Set("rows", Json(uint64_t{kRows}));
  out.Set("cols", Json(uint64_t{kCols}));
  out.Set("roof_gb_s", Json(Rounded(roof_gb_s_)));
  Json types;
  for (const Figures& figures : all) {
    Json one;
    one.Set("bits_per_weight", Json(Rounded(8.0 * static_cast<double>(figures.file_bytes) / kRows / kCols)));
    for (size_t i = 0; i < std::size(kFewRows); ++i)
      one.Set(fmt::format("gb_s_{}_rows", kFewRows[i]), Json(Rounded(figures.gb_s[i])));
    one.Set(fmt::format("gflop_s_{}_rows", kManyRows), Json(Rounded(figures.gflop_s)));
    types.Set(figures.type.Name(), std::move(one));
  }
  out.Set("types", std::move(types));
  return out;
}

void PrintForPeople(const Json& report) {
  fmt::print("{}, {}, {} threads, load {:.2f}; [{}, {}] weights; plain reading {:.1f} GB/s\n\n", report.Find("cpu")->as_string(),
             report.Find("isa")->as_string(), report.Find("threads")->as_double(), report.Find("load")->as_double(), kRows, kCols,
             report.Find("roof_gb_s")->as_double());
  fmt::print("{:<24}{:>8}{:>16}{:>12}{:>12}{:>16}\n", "type", "bits", "GB/s, 1 row", "4 rows", "8 rows", "GFLOP/s, 256");
  for (const auto& [name, one] : report.Find("types")->members()) {
    const auto number = [&one = one](std::string_view key) { return one.Find(key)->as_double(); };
    fmt::print("{:<24}{:>8.2f}{:>16.1f}{:>12.1f}{:>12.1f}{:>16.0f}\n", name, number("bits_per_weight"), number("gb_s_1_rows"),
               number("gb_s_4_rows"), number("gb_s_8_rows"), number("gflop_s_256_rows"));
  }
}

constexpr const char* kUsage =
    "usage: bench/matmul [--json] [--rounds N] [--threads N] [--megabytes N] [--type NAME]\n"
    "Speed of the matrix products of every weight type, beside the speed of plain reading.\n"
    "  --json         last line is one JSON object\n"
    "  --rounds N     the best of N counts, 1 to 1000 (default 5)\n"
    "  --threads N    1 to 256 (default: one per processor)\n"
    "  --megabytes N  weights that are streamed, 1 to 16384 (default 256; more than the caches hold)\n"
    "  --type NAME    only types whose name contains NAME\n";

// True when `value` is a number from 1 to `limit`.
template <typename T>
bool ParseNumber(std::string_view value, T limit, T& out) {
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), out);
  return parsed.ec == std::errc() && parsed.ptr == value.data() + value.size() && out >= 1 && out <= limit;
}

// Nothing when the program should stop with `exit_code`.
std::optional<Options> ParseArguments(std::span<char*> arguments, int& exit_code) {
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--json") {
      options.json = true;
      continue;
    }
    if (i + 1 < arguments.size()) {
      const std::string_view value = arguments[i + 1];
      const bool good = (argument == "--rounds" && ParseNumber(value, size_t{1000}, options.rounds)) ||
                        (argument == "--threads" && ParseNumber(value, kernels::ThreadPool::kMaxThreads, options.threads)) ||
                        (argument == "--megabytes" && ParseNumber(value, size_t{16384}, options.megabytes)) ||
                        argument == "--type";
      if (argument == "--type") options.only = value;
      if (good) {
        ++i;
        continue;
      }
    }
    exit_code = argument == "--help" ? 0 : 2;
    fmt::print(exit_code == 0 ? stdout : stderr, "{}", kUsage);
    return std::nullopt;
  }
  return options;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  int exit_code = 0;
  const auto options = millrace::ParseArguments(std::span(argv + 1, static_cast<size_t>(argc - 1)), exit_code);
  if (!options) return exit_code;
  millrace::Bench bench(*options);
  const millrace::Result<millrace::Json> report = bench.Run();
  if (!report.ok()) {
    fmt::print(stderr, "bench_matmul: {}\n", report.status().ToString());
    return 1;
  }
  millrace::PrintForPeople(*report);
  if (options->json) fmt::print("{}\n", report->Write());
  return 0;
}
