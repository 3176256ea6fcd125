// bench_kernels: how fast the matrix products of each weight type and instruction set are, beside how fast the same threads read the same
// memory.
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

constexpr uint32_t kFewRows[] = {1, 2, 4, 8};
constexpr uint32_t kManyRows = 256;

struct Options {
  bool json = false;
  size_t rounds = 5;
  uint32_t threads = 0;
  size_t megabytes = 512;  // of weights that are streamed
  std::string only;        // part of a type's name
  std::string isa;         // nothing: every one of this CPU but the definition
  // The widest matrix of a model with 1.5 billion weights.
  uint32_t rows = 8960;
  uint32_t cols = 1536;
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

  Activations(const kernels::KernelTable& kernels, uint32_t cols, std::mt19937_64& random)
      : floats(size_t{kManyRows} * cols),
        codes(floats.size()),
        scales(floats.size() / kernels::kGroupCols),
        sums(scales.size()),
        minus_sums(scales.size() * kernels::kMinusSums) {
    std::normal_distribution<float> normal;
    for (float& value : floats) value = normal(random);
    input = {floats.data(), {codes.data(), scales.data(), sums.data(), minus_sums.data(), cols}};
    for (uint32_t row = 0; row < kManyRows; ++row) kernels.quantize_row(floats.data() + size_t{row} * cols, input.quant, row);
  }
};

using Times = std::vector<int64_t>;  // ns

// Below which a quarter of the times lie.
double Fast(Times times) {
  const auto rank = static_cast<std::ptrdiff_t>(times.size() / 4);
  std::nth_element(times.begin(), times.begin() + rank, times.end());
  return static_cast<double>(times[static_cast<size_t>(rank)]);
}

// What was measured so far of one type, and of one instruction set with it.
struct Products {
  const kernels::KernelTable* kernels;
  Times few[std::size(kFewRows)];
  Times many;
};
struct Figures {
  WeightType type;
  uint64_t elements = 0;
  uint64_t file_bytes = 0;
  uint64_t packed_bytes = 0;
  Times read;
  std::vector<Products> products;
};

std::vector<const kernels::KernelTable*> TablesOf(const Options& options) {
  std::vector<const kernels::KernelTable*> tables;
  for (const kernels::Isa isa : kernels::AvailableIsas()) {
    const bool wanted = options.isa.empty() ? isa != kernels::Isa::kScalar : kernels::IsaName(isa) == options.isa;
    if (wanted) tables.push_back(&kernels::TableFor(isa));
  }
  return tables;
}

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
  const size_t code_bytes = size_t{options.rows} * options.cols / info.block_elements * info.block_bytes;
  const size_t scale_count = type.group == 0 ? 0 : size_t{options.rows} * options.cols / type.group;
  const std::vector<std::byte> codes = RandomBytes(code_bytes, random);
  const std::vector<std::byte> scales = RandomScales(type.scale_dtype, scale_count, random);
  const FileMatrix file{.dtype = type.dtype,
                        .rows = options.rows,
                        .cols = options.cols,
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
  kernels::ForEach(pool, "pack", {.items = kernels::Strips(options.rows), .grain = 16}, [&](uint32_t, size_t strip) {
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
        tables_(TablesOf(options)),
        random_(2),
        activations_(kernels::TableFor(kernels::BestIsa()), options.cols, random_),
        output_(size_t{kManyRows} * options.rows) {}

  Result<Json> Run();

 private:
  Status Round(Figures& figures);
  int64_t Multiply(const kernels::KernelTable& kernels, const PackedMatrix& matrix, uint32_t rows);
  int64_t Read(const std::byte* data, size_t bytes);
  Json Report(std::span<const Figures> all) const;

  const Options& options_;
  kernels::ThreadPool pool_;
  const std::vector<const kernels::KernelTable*> tables_;
  std::mt19937_64 random_;
  Activations activations_;
  std::vector<float> output_;
  std::atomic<uint64_t> sink_{0};  // keeps what was read alive
};

// One product, divided as the CPU backend divides it: pairs of strips, some 16 KiB a piece.
int64_t Bench::Multiply(const kernels::KernelTable& kernels, const PackedMatrix& matrix, uint32_t rows) {
  const size_t strips = kernels::Strips(matrix.rows);
  const size_t grain = std::max<size_t>(rows < 4 ? 1 : 2, 16384 / (2 * kernels::StripBytes(matrix)) / std::max(1U, rows / 4));
  const int64_t start_ns = MonotonicNs();
  pool_.Run("matmul", {.items = (strips + 1) / 2, .grain = grain}, [&](kernels::SectionContext& context) {
    do {
      const kernels::IndexRange range{2 * context.range().begin, std::min(2 * context.range().end, strips)};
      kernels.MatmulOf(matrix.form)(matrix, range, activations_.input, rows,
                                    {.data = output_.data(), .stride = matrix.rows, .add = false});
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
      sum += kernels::TableFor(kernels::BestIsa()).read_sum(data + begin, std::min(context.range().end * kPiece, bytes) - begin);
    } while (context.Next());
    sink_.fetch_add(sum, std::memory_order_relaxed);
  });
  return MonotonicNs() - start_ns;
}

Status Bench::Round(Figures& figures) {
  ASSIGN_OR_RETURN(const Weights weights, Weights::Make(figures.type, options_, pool_));
  figures.elements = uint64_t{weights.matrix.rows} * weights.matrix.cols;
  figures.file_bytes = weights.file_bytes;
  figures.packed_bytes = weights.bytes;
  for (size_t i = 0; i < weights.copies; ++i)
    figures.read.push_back(Read(weights.memory.data() + i * weights.bytes, weights.bytes));
  for (Products& products : figures.products) {
    for (size_t few = 0; few < std::size(kFewRows); ++few) {
      for (size_t i = 0; i < weights.copies; ++i) {
        products.few[few].push_back(Multiply(*products.kernels, weights.Copy(i), kFewRows[few]));
      }
    }
    products.many.push_back(Multiply(*products.kernels, weights.Copy(0), kManyRows));
  }
  return {};
}

Result<Json> Bench::Run() {
  std::vector<Figures> all;
  for (const WeightType& type : TypesOf(options_)) {
    all.push_back({.type = type, .read = {}, .products = {}});
    for (const kernels::KernelTable* kernels : tables_)
      all.back().products.push_back({.kernels = kernels, .few = {}, .many = {}});
  }
  for (size_t round = 0; round < options_.rounds; ++round) {
    for (Figures& figures : all) RETURN_IF_ERROR(Round(figures));
  }
  return Report(all);
}

double Rounded(double value) { return static_cast<double>(static_cast<int64_t>(value * 100 + 0.5)) / 100; }

// One row of the report: a type, an instruction set, a number of activation rows.
Json RowOf(const Figures& figures, const Products& products, std::string_view shape, uint32_t m, double time_ns) {
  const double roof = static_cast<double>(figures.packed_bytes) / Fast(figures.read);
  const double gb_s = static_cast<double>(figures.file_bytes) / time_ns;
  Json row;
  row.Set("shape", Json(shape));
  row.Set("format", Json(figures.type.Name()));
  row.Set("isa", Json(kernels::IsaName(products.kernels->isa)));
  row.Set("m", Json(uint64_t{m}));
  row.Set("gb_s", Json(Rounded(gb_s)));
  row.Set("roof_gb_s", Json(Rounded(roof)));
  row.Set("of_roof", Json(Rounded(gb_s / roof)));
  if (m == kManyRows) row.Set("gflop_s", Json(Rounded(2.0 * m * static_cast<double>(figures.elements) / time_ns)));
  return row;
}

Json Bench::Report(std::span<const Figures> all) const {
  Json out;
  out.Set("ok", Json(true));
  out.Set("verdict", Json("holds"));  // figures without a goal
  out.Set("cpu", Json(GetCpu().model));
  out.Set("isa", Json(kernels::IsaName(tables_.back()->isa)));
  out.Set("threads", Json(uint64_t{pool_.threads()}));
  out.Set("load", Json(SampleLoad().load_1min));
  const std::string shape = fmt::format("{}x{}", options_.rows, options_.cols);
  Json::Array rows;
  for (const Figures& figures : all) {
    for (const Products& products : figures.products) {
      for (size_t i = 0; i < std::size(kFewRows); ++i) {
        rows.push_back(RowOf(figures, products, shape, kFewRows[i], Fast(products.few[i])));
      }
      rows.push_back(RowOf(figures, products, shape, kManyRows, Fast(products.many)));
    }
  }
  out.Set("rows", Json(std::move(rows)));
  return out;
}

void PrintForPeople(const Json& report) {
  fmt::print("{}, {} threads, load {:.2f}\n", report.Find("cpu")->as_string(), report.Find("threads")->as_double(),
             report.Find("load")->as_double());
  fmt::print("\n{:<26}{:<12}{:>12}{:>6}{:>10}{:>10}{:>10}{:>12}\n", "format", "isa", "shape", "rows", "GB/s", "roof", "of roof",
             "GFLOP/s");
  for (const Json& row : report.Find("rows")->items()) {
    const auto number = [&row](std::string_view key) { return row.Find(key)->as_double(); };
    const Json* flops = row.Find("gflop_s");
    fmt::print("{:<26}{:<12}{:>12}{:>6}{:>10.1f}{:>10.1f}{:>10.2f}{:>12}\n", row.Find("format")->as_string(),
               row.Find("isa")->as_string(), row.Find("shape")->as_string(), number("m"), number("gb_s"), number("roof_gb_s"),
               number("of_roof"), flops == nullptr ? std::string() : fmt::format("{:.0f}", flops->as_double()));
  }
}

constexpr const char* kUsage =
    "usage: bench/kernels [--json] [--rounds N] [--threads N] [--megabytes N] [--type NAME] [--isa NAME]\n"
    "                     [--rows N] [--cols N]\n"
    "Speed of the matrix products of every weight type and instruction set, beside the speed of plain reading.\n"
    "  --json         last line is one JSON object\n"
    "  --rounds N     times over all types, 1 to 1000 (default 5)\n"
    "  --threads N    1 to 256 (default: one per processor)\n"
    "  --megabytes N  weights that are streamed, 1 to 16384 (default 512; much more than the caches hold)\n"
    "  --type NAME    only types whose name contains NAME\n"
    "  --isa NAME     only this instruction set: scalar, avx2, avx512vnni (default: all of this CPU but scalar)\n"
    "  --rows N       of the weight matrix, 8 to 1048576 (default 8960)\n"
    "  --cols N       of the weight matrix, a multiple of 256, 256 to 65536 (default 1536)\n";

// True when `value` is a number from 1 to `limit`.
template <typename T>
bool ParseNumber(std::string_view value, T limit, T& out) {
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), out);
  return parsed.ec == std::errc() && parsed.ptr == value.data() + value.size() && out >= 1 && out <= limit;
}

bool IsaIsThere(std::string_view name) {
  const auto isas = kernels::AvailableIsas();
  return std::any_of(isas.begin(), isas.end(), [&](kernels::Isa isa) { return kernels::IsaName(isa) == name; });
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
                        (argument == "--rows" && ParseNumber(value, 1U << 20, options.rows) && options.rows >= 8) ||
                        (argument == "--cols" && ParseNumber(value, 1U << 16, options.cols) && options.cols % 256 == 0) ||
                        (argument == "--isa" && IsaIsThere(value)) || argument == "--type";
      if (argument == "--type") options.only = value;
      if (argument == "--isa") options.isa = value;
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
    fmt::print(stderr, "bench_kernels: {}\n", report.status().ToString());
    return 1;
  }
  millrace::PrintForPeople(*report);
  if (options->json) fmt::print("{}\n", report->Write());
  return 0;
}
