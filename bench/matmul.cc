// bench_matmul: how fast the kernels multiply with each weight type, beside how fast the same threads read the same memory.
//
// Few activation rows stream weights from memory: many copies of one matrix, together much larger than the caches, are read and
// multiplied one after the other, and each is timed by itself. GB/s are bytes of the *file's* weights over the time below which a quarter
// of all copies of all rounds stayed: neighbours on the machine only ever make it slower, and one copy takes less time than they leave a
// core alone; the very fastest copies had partly been left in a cache.
// The same of plain reading is the roof. 256 rows are bound by arithmetic: GFLOP/s of one matrix, 2 per weight and row.
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
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
  size_t megabytes = 512;  // of weights that are streamed
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

using Times = std::vector<int64_t>;  // ns

// Below which a quarter of the times lie.
double Fast(Times times) {
  const auto rank = static_cast<std::ptrdiff_t>(times.size() / 4);
  std::nth_element(times.begin(), times.begin() + rank, times.end());
  return static_cast<double>(times[static_cast<size_t>(rank)]);
}

// What was measured of one type so far.
struct Figures {
  WeightType type;
  uint64_t file_bytes = 0;
  uint64_t packed_bytes = 0;
  Times read;
  Times few[std::size(kFewRows)];
  Times many;
};

// Packed copies of one matrix of a type.
struct Weights {
  HugeBuffer memory;
  PackedMatrix matrix;
  size_t bytes = 0;  // from one copy to the next
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
  weights.bytes = (kernels::PackedBytes(weights.matrix) + 63) / 64 * 64;
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
  int64_t Read(const std::byte* data, size_t bytes);
  Json Report(std::span<const Figures> all) const;

  const Options& options_;
  kernels::ThreadPool pool_;
  const kernels::KernelTable& kernels_;
  std::mt19937_64 random_;
  Activations activations_;
  std::vector<float> output_;
  std::atomic<uint64_t> sink_{0};  // keeps what was read alive
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

int64_t Bench::Read(const std::byte* data, size_t bytes) {
  constexpr size_t kPiece = 16384;
  const int64_t start_ns = MonotonicNs();
  pool_.Run("read", {.items = (bytes + kPiece - 1) / kPiece, .grain = 1}, [&](kernels::SectionContext& context) {
    uint64_t sum = 0;
    do {
      const size_t begin = context.range().begin * kPiece;
      sum += kernels_.read_sum(data + begin, std::min(context.range().end * kPiece, bytes) - begin);
    } while (context.Next());
    sink_.fetch_add(sum, std::memory_order_relaxed);
  });
  return MonotonicNs() - start_ns;
}

Status Bench::Round(Figures& figures) {
  ASSIGN_OR_RETURN(const Weights weights, Weights::Make(figures.type, options_, pool_));
  figures.file_bytes = weights.file_bytes;
  figures.packed_bytes = weights.bytes;
  for (size_t i = 0; i < weights.copies; ++i)
    figures.read.push_back(Read(weights.memory.data() + i * weights.bytes, weights.bytes));
  for (size_t few = 0; few < std::size(kFewRows); ++few) {
    for (size_t i = 0; i < weights.copies; ++i) figures.few[few].push_back(Multiply(weights.Copy(i), kFewRows[few]));
  }
  figures.many.push_back(Multiply(weights.Copy(0), kManyRows));
  return {};
}

Result<Json> Bench::Run() {
  std::vector<Figures> all;
  for (const WeightType& type : TypesOf(options_)) all.push_back({.type = type, .read = {}, .few = {}, .many = {}});
  for (size_t round = 0; round < options_.rounds; ++round) {
    for (Figures& figures : all) RETURN_IF_ERROR(Round(figures));
  }
  return Report(all);
}

double Rounded(double value) { return static_cast<double>(static_cast<int64_t>(value * 100 + 0.5)) / 100; }

Json Bench::Report(std::span<const Figures> all) const {
  Json out;
  out.Set("ok", Json(true));
  out.Set("verdict", Json("holds"));  // figures without a goal
  out.Set("cpu", Json(GetCpu().model));
  out.Set("isa", Json(kernels::IsaName(kernels_.isa)));
  out.Set("threads", Json(uint64_t{pool_.threads()}));
  out.Set("load", Json(SampleLoad().load_1min));
  out.Set("rows", Json(uint64_t{kRows}));
  out.Set("cols", Json(uint64_t{kCols}));
  Json types;
  for (const Figures& figures : all) {
    const auto file_bytes = static_cast<double>(figures.file_bytes);
    Json one;
    one.Set("bits_per_weight", Json(Rounded(8.0 * file_bytes / kRows / kCols)));
    one.Set("roof_gb_s", Json(Rounded(static_cast<double>(figures.packed_bytes) / Fast(figures.read))));
    for (size_t i = 0; i < std::size(kFewRows); ++i) {
      one.Set(fmt::format("gb_s_{}_rows", kFewRows[i]), Json(Rounded(file_bytes / Fast(figures.few[i]))));
    }
    one.Set(fmt::format("gflop_s_{}_rows", kManyRows), Json(Rounded(2.0 * kManyRows * kRows * kCols / Fast(figures.many))));
    types.Set(figures.type.Name(), std::move(one));
  }
  out.Set("types", std::move(types));
  return out;
}

void PrintForPeople(const Json& report) {
  fmt::print("{}, {}, {} threads, load {:.2f}; [{}, {}] weights\n\n", report.Find("cpu")->as_string(),
             report.Find("isa")->as_string(), report.Find("threads")->as_double(), report.Find("load")->as_double(), kRows,
             kCols);
  fmt::print("{:<26}{:>6}{:>14}{:>10}{:>10}{:>10}{:>16}\n", "GB/s", "bits", "plain reading", "1 row", "4 rows", "8 rows",
             "GFLOP/s, 256");
  for (const auto& [name, figures] : report.Find("types")->members()) {
    const auto number = [&one = figures](std::string_view key) { return one.Find(key)->as_double(); };
    fmt::print("{:<26}{:>6.2f}{:>14.1f}{:>10.1f}{:>10.1f}{:>10.1f}{:>16.0f}\n", name, number("bits_per_weight"),
               number("roof_gb_s"), number("gb_s_1_rows"), number("gb_s_4_rows"), number("gb_s_8_rows"),
               number("gflop_s_256_rows"));
  }
}

constexpr const char* kUsage =
    "usage: bench/matmul [--json] [--rounds N] [--threads N] [--megabytes N] [--type NAME]\n"
    "Speed of the matrix products of every weight type, beside the speed of plain reading.\n"
    "  --json         last line is one JSON object\n"
    "  --rounds N     times over all types, 1 to 1000 (default 5)\n"
    "  --threads N    1 to 256 (default: one per processor)\n"
    "  --megabytes N  weights that are streamed, 1 to 16384 (default 512; much more than the caches hold)\n"
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
