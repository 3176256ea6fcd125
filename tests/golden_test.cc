// Every checkpoint of tests/golden against the logits that the reference implementation computed for it, and against itself under every
// combination of batch, chunk, threads and instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "base/hash.h"
#include "base/json.h"
#include "kernels/kernel_table.h"
#include "model_driver.h"

namespace millrace {
namespace {

using backend_cpu::CpuOptions;
using Rows = std::vector<std::vector<float>>;

struct GoldenCase {
  std::string name;
  std::vector<TokenId> tokens;
  std::vector<uint32_t> positions;
  Rows logits;  // per position
};

struct Golden {
  std::string model;
  double rms = 0;
  std::vector<GoldenCase> cases;
};

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

Golden ReadGolden(const std::filesystem::path& folder) {
  const Json json = Json::Parse(ReadAll(folder / "golden.json")).value();
  const std::string bytes = ReadAll(folder / "logits.bin");
  const auto vocab = static_cast<size_t>(json.Find("vocab")->as_double());
  const std::filesystem::path file = folder / "model.gguf";
  Golden golden{
      .model = (std::filesystem::exists(file) ? file : folder).string(), .rms = json.Find("rms")->as_double(), .cases = {}};
  for (const Json& item : json.Find("cases")->items()) {
    GoldenCase one;
    one.name = item.Find("name")->as_string();
    for (const Json& token : item.Find("tokens")->items()) one.tokens.push_back(static_cast<TokenId>(token.as_double()));
    const auto first = static_cast<size_t>(item.Find("first_row")->as_double());
    for (const Json& position : item.Find("positions")->items()) {
      one.positions.push_back(static_cast<uint32_t>(position.as_double()));
      std::vector<float> row(vocab);
      const size_t offset = (first + one.positions.size() - 1) * vocab * sizeof(float);
      EXPECT_LE(offset + vocab * sizeof(float), bytes.size());
      std::memcpy(row.data(), bytes.data() + offset, vocab * sizeof(float));
      one.logits.push_back(std::move(row));
    }
    golden.cases.push_back(std::move(one));
  }
  return golden;
}

std::vector<std::filesystem::path> Folders() {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(MILLRACE_SOURCE_DIR) / "tests/golden")) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

CpuOptions Options(kernels::Isa isa, uint32_t threads, bool reference) {
  CpuOptions options;
  options.isa = isa;
  options.threads = threads;
  options.reference = reference;
  if (reference) options.kv_type = model::KvType::kF32;
  options.slots = 4;
  options.context = 512;
  options.max_batch_tokens = 512;
  return options;
}

Rows RunWhole(const Golden& golden, const std::vector<TokenId>& tokens, const CpuOptions& options) {
  auto driver = ModelDriver::Open(golden.model, options);
  EXPECT_TRUE(driver.ok()) << driver.status().ToString();
  auto rows = (*driver)->Step({{.slot = 0, .tokens = tokens}});
  EXPECT_TRUE(rows.ok()) << rows.status().ToString();
  return *std::move(rows);
}

class GoldenTest : public testing::TestWithParam<std::filesystem::path> {};

// The float path does the reference's arithmetic in float32: 1e-4 of the rms is a few hundred roundings.
TEST_P(GoldenTest, FloatPathAgreesWithTheReference) {
  const Golden golden = ReadGolden(GetParam());
  for (const GoldenCase& one : golden.cases) {
    const Rows rows = RunWhole(golden, one.tokens, Options(kernels::BestIsa(), 2, true));
    double worst = 0;
    for (size_t i = 0; i < one.positions.size(); ++i) {
      for (size_t v = 0; v < one.logits[i].size(); ++v) {
        worst = std::max(worst, std::abs(double{rows[one.positions[i]][v]} - double{one.logits[i][v]}));
      }
    }
    EXPECT_LE(worst, 1e-4 * golden.rms) << one.name;
  }
}

// Activations are rounded to 8 bits per group of 32: the step is amax / 127, and amax <= sqrt(32) rms of the group, so the rms error of one
// product is at most sqrt(32) / 127 / sqrt(12) = 1.3 % of its rms. A model of L layers has 7 L + 1 matrices that each add such an error to
// what they hand on (q, k, v, out, gate, up, down, and the head); independent errors add in quadrature. f16 keys and values (2^-11) vanish
// beside that.
TEST_P(GoldenTest, FastPathStaysWithinTheQuantisationStep) {
  const Golden golden = ReadGolden(GetParam());
  for (const GoldenCase& one : golden.cases) {
    auto driver = ModelDriver::Open(golden.model, Options(kernels::BestIsa(), 2, false));
    ASSERT_TRUE(driver.ok()) << driver.status().ToString();
    const double layers = static_cast<double>((*driver)->config().layers.size());
    const double bound = std::sqrt(32.0) / 127 / std::sqrt(12.0) * std::sqrt(7 * layers + 1);
    const auto rows = (*driver)->Step({{.slot = 0, .tokens = one.tokens}});
    ASSERT_TRUE(rows.ok()) << rows.status().ToString();
    double square = 0;
    size_t count = 0;
    for (size_t i = 0; i < one.positions.size(); ++i) {
      for (size_t v = 0; v < one.logits[i].size(); ++v, ++count) {
        const double difference = double{(*rows)[one.positions[i]][v]} - double{one.logits[i][v]};
        square += difference * difference;
      }
    }
    EXPECT_LE(std::sqrt(square / static_cast<double>(count)), bound * golden.rms) << one.name;
  }
}

uint64_t HashOf(const std::vector<float>& row) { return Fnv1a(std::as_bytes(std::span(row))); }

// Feeds `tokens` to slot 0 in random chunks, with up to three other sequences doing random things in the same steps.
std::vector<uint64_t> HashesInCompany(ModelDriver& driver, const std::vector<TokenId>& tokens, std::mt19937& random) {
  const auto draw = [&random](uint32_t low, uint32_t high) { return std::uniform_int_distribution<uint32_t>(low, high)(random); };
  for (uint32_t slot = 0; slot < 4; ++slot) driver.Restart(slot);
  std::vector<uint64_t> hashes;
  std::array<uint32_t, 4> stored{};
  for (size_t at = 0; at < tokens.size();) {
    const size_t count = std::min<size_t>(draw(0, 2) == 0 ? 1 : draw(1, 90), tokens.size() - at);
    std::vector<ModelDriver::Part> parts;
    for (uint32_t slot = 1; slot < 4; ++slot) {
      const uint32_t others = draw(0, 3) == 0 ? draw(1, 40) : draw(0, 1);
      if (others == 0 || stored[slot] + others > 500) continue;
      stored[slot] += others;
      ModelDriver::Part part{.slot = slot, .tokens = {}};
      for (uint32_t i = 0; i < others; ++i) part.tokens.push_back(static_cast<TokenId>(draw(0, driver.config().vocab - 1)));
      parts.push_back(std::move(part));
    }
    const size_t place = draw(0, static_cast<uint32_t>(parts.size()));
    parts.insert(
        parts.begin() + static_cast<std::ptrdiff_t>(place),
        {.slot = 0,
         .tokens = {tokens.begin() + static_cast<std::ptrdiff_t>(at), tokens.begin() + static_cast<std::ptrdiff_t>(at + count)}});
    size_t before = 0;
    for (size_t i = 0; i < place; ++i) before += parts[i].tokens.size();
    const auto rows = driver.Step(parts);
    EXPECT_TRUE(rows.ok()) << rows.status().ToString();
    if (!rows.ok()) return hashes;
    for (size_t i = 0; i < count; ++i) hashes.push_back(HashOf((*rows)[before + i]));
    at += count;
  }
  return hashes;
}

// The invariant of docs/architecture.md, "Numbers": the same bits in any company. Each model sees one random history per combination, those
// whose names begin with "tiny" more.
TEST_P(GoldenTest, SameBitsInAnyBatchChunkThreadsAndInstructionSet) {
  const Golden golden = ReadGolden(GetParam());
  const std::vector<TokenId>& tokens = golden.cases.back().tokens;
  std::vector<uint64_t> expected;
  for (const auto& row : RunWhole(golden, tokens, Options(kernels::Isa::kScalar, 1, false))) expected.push_back(HashOf(row));
  std::mt19937 random(20240611);
  const int draws = GetParam().filename().string().starts_with("tiny") ? 4 : 1;
  for (const kernels::Isa isa : {kernels::Isa::kScalar, kernels::BestIsa()}) {
    for (const uint32_t threads : {1U, 2U, 3U}) {
      auto driver = ModelDriver::Open(golden.model, Options(isa, threads, false));
      ASSERT_TRUE(driver.ok()) << driver.status().ToString();
      for (int i = 0; i < draws; ++i) {
        ASSERT_EQ(HashesInCompany(**driver, tokens, random), expected)
            << kernels::IsaName(isa) << ", " << threads << " threads, draw " << i;
      }
    }
  }
}

std::string FolderName(const testing::TestParamInfo<std::filesystem::path>& folder) {
  std::string name = folder.param.filename().string();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, GoldenTest, testing::ValuesIn(Folders()), FolderName);

}  // namespace
}  // namespace millrace
