// Every checkpoint of tests/golden over the MLX backend: against the reference's logits, and against itself in other batches, chunks, slots
// and depths.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <random>
#include <string_view>
#include <utility>

#include "backend/mlx/mlx_backend.h"
#include "engine/sampler.h"
#include "model/decoder.h"
#include "model/testing/golden.h"
#include "model_driver.h"

namespace millrace {
namespace {

using backend_mlx::Compute;
using backend_mlx::MlxBackend;
using backend_mlx::MlxOptions;
using Rows = std::vector<std::vector<float>>;

std::vector<std::filesystem::path> Folders(bool (*wanted)(std::string_view name)) {
  const std::string root = std::string(MILLRACE_SOURCE_DIR) + "/tests/golden";
  std::vector<std::filesystem::path> folders;
  for (const std::string& name : model::testing::GoldenNames(root)) {
    if (wanted(name)) folders.push_back(std::filesystem::path(root) / name);
  }
  return folders;
}

MlxOptions Options(bool reference) {
  MlxOptions options;
  options.reference = reference;
  options.slots = 4;
  options.context = 512;
  options.max_batch_tokens = 512;
  return options;
}

std::unique_ptr<model::ModelRunner> MakeRunner(const model::ModelFile& file, const MlxOptions& options) {
  auto backend = MlxBackend::Create(file.config(), options);
  EXPECT_TRUE(backend.ok()) << backend.status().ToString();
  auto runner = model::Decoder<MlxBackend>::Load(file, *std::move(backend), nullptr);
  EXPECT_TRUE(runner.ok()) << runner.status().ToString();
  return *std::move(runner);
}

struct Difference {
  double worst = 0;
  double rms = 0;
};

Difference Compare(const Rows& rows, const model::testing::GoldenCase& test) {
  Difference found;
  size_t count = 0;
  for (size_t i = 0; i < test.positions.size(); ++i) {
    for (size_t v = 0; v < test.logits[i].size(); ++v, ++count) {
      const double difference = std::abs(double{rows[test.positions[i]][v]} - double{test.logits[i][v]});
      found.worst = std::max(found.worst, difference);
      found.rms += difference * difference;
    }
  }
  found.rms = std::sqrt(found.rms / static_cast<double>(count));
  return found;
}

class MlxGolden : public testing::TestWithParam<std::filesystem::path> {
 protected:
  void SetUp() override {
    auto loaded = model::testing::LoadGolden(GetParam().string());
    ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
    golden_ = *std::move(loaded);
  }

  Rows RunWhole(const std::vector<TokenId>& tokens, const MlxOptions& options) {
    ModelDriver driver(MakeRunner(*golden_.file, options));
    auto rows = driver.Step({{.slot = 0, .tokens = tokens}});
    EXPECT_TRUE(rows.ok()) << rows.status().ToString();
    return *std::move(rows);
  }

  model::testing::Golden golden_;
};

// What does not depend on family and format: a few models. MLX is slow on a processor.
class MlxGoldenSteps : public MlxGolden {};
constexpr bool InSteps(std::string_view name) {
  return name.starts_with("tiny") || name == "gemma3-gguf" || name == "qwen3_moe-mlx";
}

// Everything in f32, as in the reference: 1e-4 of the rms is a few hundred roundings.
TEST_P(MlxGolden, ReferenceModeAgreesWithTheReference) {
  for (const auto& test : golden_.cases) {
    EXPECT_LE(Compare(RunWhole(test.tokens, Options(true)), test).worst, 1e-4 * static_cast<double>(golden_.rms)) << test.name;
  }
}

// Keys and values in f16 are wrong by 2^-11 of themselves at most. An error of values is one of what is added; one of keys shifts a score of s
// units by s times as much, and with it the weights: up to some four units in these models. Each of L layers hands on both, and
// independent errors add in quadrature.
TEST_P(MlxGolden, HalfKeysAndValuesStayWithinTheirRounding) {
  const double layers = static_cast<double>(golden_.file->config().layers.size());
  const double bound = std::ldexp(std::sqrt((1 + 4 * 4) * layers), -11);
  for (const auto& test : golden_.cases) {
    EXPECT_LE(Compare(RunWhole(test.tokens, Options(false)), test).rms, bound * static_cast<double>(golden_.rms)) << test.name;
  }
}

// Inputs and results of every product are rounded: to 2^-11 of themselves in f16, 2^-8 in bf16, and scales and biases of quantised weights
// likewise (one rounding of a bias of 8 to 128 steps counts as much as a few steps: a factor of 8 in all). 7 L + 1 products add in
// quadrature.
TEST_P(MlxGoldenSteps, HalfProductsStayWithinTheirRounding) {
  const double products = 7 * static_cast<double>(golden_.file->config().layers.size()) + 1;
  for (const auto& [compute, bits] : {std::pair(Compute::kF16, 11), std::pair(Compute::kBF16, 8)}) {
    MlxOptions options = Options(false);
    options.compute = compute;
    const double bound = 8 * std::ldexp(std::sqrt(2 * products), -bits);
    for (const auto& test : golden_.cases) {
      EXPECT_LE(Compare(RunWhole(test.tokens, options), test).rms, bound * static_cast<double>(golden_.rms))
          << test.name << " " << bits;
    }
  }
}

double WorstDifference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(double{a[i]} - double{b[i]}));
  return worst;
}

// In chunks, with up to three other sequences in the same steps, and in slots that others have used: the same up to the order of sums.
TEST_P(MlxGoldenSteps, ChunksAndCompanyAgreeWithOneStep) {
  const std::vector<TokenId>& tokens = golden_.cases.back().tokens;
  const Rows expected = RunWhole(tokens, Options(true));
  std::mt19937 random(7);
  ModelDriver driver(MakeRunner(*golden_.file, Options(true)));
  for (int round = 0; round < 3; ++round) {
    std::vector<size_t> stored(4, 0);
    for (uint32_t slot = 0; slot < 4; ++slot) driver.Restart(slot);
    for (size_t at = 0; at < tokens.size();) {
      const size_t count = std::min<size_t>(random() % 3 == 0 ? 1 : 1 + random() % 90, tokens.size() - at);
      std::vector<ModelDriver::Part> parts;
      for (uint32_t slot = 1; slot < 4; ++slot) {
        const size_t others = random() % 3 == 0 ? random() % 20 : random() % 2;
        if (others == 0 || stored[slot] + others > 500) continue;
        stored[slot] += others;
        parts.push_back({.slot = slot, .tokens = std::vector<TokenId>(others, static_cast<TokenId>(random() % 200))});
      }
      size_t before = 0;
      for (const auto& part : parts) before += part.tokens.size();
      const auto from = tokens.begin() + static_cast<std::ptrdiff_t>(at);
      parts.push_back({.slot = 0, .tokens = {from, from + static_cast<std::ptrdiff_t>(count)}});
      const auto rows = driver.Step(parts);
      ASSERT_TRUE(rows.ok()) << rows.status().ToString();
      for (size_t i = 0; i < count; ++i) {
        ASSERT_LE(WorstDifference((*rows)[before + i], expected[at + i]), 1e-4 * static_cast<double>(golden_.rms)) << at + i;
      }
      at += count;
    }
  }
}

// What an engine sends for one sequence, spelled out.
struct Sender {
  explicit Sender(model::ModelRunner& to) : runner(&to) {}

  model::StepBatch Batch(std::span<const TokenId> tokens, uint32_t slot, uint32_t first) {
    spans = {{.slot = slot, .first_position = first, .token_begin = 0, .token_count = static_cast<uint32_t>(tokens.size())}};
    outputs = {{.token_index = static_cast<uint32_t>(tokens.size()) - 1}};
    model::StepBatch batch;
    batch.step_id = ++step;
    batch.tokens = tokens;
    batch.spans = spans;
    batch.outputs = outputs;
    return batch;
  }

  std::vector<float> Run(const model::StepBatch& batch) {
    const auto ticket = runner->Launch(batch);
    EXPECT_TRUE(ticket.ok()) << ticket.status().ToString();
    const auto result = runner->Collect(*ticket);
    EXPECT_TRUE(result.ok()) << result.status().ToString();
    if (!result.ok()) return {};
    const auto logits = result->outputs[0].logits;
    return {logits.begin(), logits.end()};
  }

  model::ModelRunner* runner;
  uint64_t step = 0;
  std::vector<model::SpanOfTokens> spans;
  std::vector<model::OutputRow> outputs;
};

// A prefix of 100 positions in two blocks is copied to another slot; its own sequence ends and its slot is used anew before.
TEST_P(MlxGoldenSteps, CopiedPrefixesAndReusedSlotsAreClean) {
  std::vector<TokenId> tokens = golden_.cases.back().tokens;
  tokens.resize(std::min<size_t>(tokens.size(), 120));
  const auto prefix = static_cast<uint32_t>(tokens.size() - 10);
  ASSERT_GT(prefix, backend_mlx::kDepth);
  const uint32_t block = MakeRunner(*golden_.file, Options(true))->info().block_tokens;
  const std::vector<float> expected = RunWhole(tokens, Options(true)).back();
  const auto runner = MakeRunner(*golden_.file, Options(true));
  Sender sender(*runner);
  const auto announce = [](uint32_t slot, uint32_t first) {
    return std::vector<model::BlockChange>{{slot, 0, first}, {slot, 1, first + 1}};
  };
  const auto first_blocks = announce(0, 4);
  model::StepBatch batch = sender.Batch(std::span(tokens).first(prefix), 0, 0);
  batch.block_changes = first_blocks;
  sender.Run(batch);
  // Another sequence takes the slot, with other blocks; the old ones can still be copied from.
  const std::vector<TokenId> other(30, 5);
  const auto other_blocks = announce(0, 0);
  batch = sender.Batch(other, 0, 0);
  batch.block_changes = other_blocks;
  const std::vector<float> in_used_slot = sender.Run(batch);
  EXPECT_LE(WorstDifference(in_used_slot, RunWhole(other, Options(true)).back()), 1e-4 * static_cast<double>(golden_.rms));

  const auto new_blocks = announce(2, 9);
  std::vector<model::KvCopy> copies;
  for (uint32_t i = 0; i * block < prefix; ++i) copies.push_back({4 + i, 9 + i, std::min(block, prefix - i * block)});
  batch = sender.Batch(std::span(tokens).subspan(prefix), 2, prefix);
  batch.block_changes = new_blocks;
  batch.kv_copies = copies;
  EXPECT_LE(WorstDifference(sender.Run(batch), expected), 1e-4 * static_cast<double>(golden_.rms));
}

// Two steps under way, the second one fed by what the first one samples on the device.
TEST_P(MlxGoldenSteps, DeviceSamplesFeedTheNextStep) {
  const std::vector<TokenId>& tokens = golden_.cases.front().tokens;
  const auto greedy = MakeRunner(*golden_.file, Options(true));
  const std::vector<model::BlockChange> changes = {{0, 0, 0}, {0, 1, 1}, {0, 2, 2}, {0, 3, 3}};
  std::vector<TokenId> expected = tokens;
  Sender host(*greedy);
  for (int i = 0; i < 6; ++i) {
    const size_t first = i == 0 ? 0 : expected.size() - 1;
    model::StepBatch batch = host.Batch(std::span(expected).subspan(first), 0, static_cast<uint32_t>(first));
    if (i == 0) batch.block_changes = changes;
    const std::vector<float> logits = host.Run(batch);
    expected.push_back(static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
  }

  const auto runner = MakeRunner(*golden_.file, Options(true));
  const std::vector<model::DeviceSampling> sampling(1);  // greedy
  Sender device(*runner);
  std::vector<TokenId> found = tokens;
  std::vector<model::Ticket> tickets;
  const TokenId previous[] = {-1};
  const auto collect = [&] {
    const auto result = runner->Collect(tickets.front());
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    found.push_back(result->outputs[0].id);
    tickets.erase(tickets.begin());
  };
  for (int i = 0; i < 6; ++i) {
    const auto first = static_cast<uint32_t>(i == 0 ? 0 : tokens.size() + static_cast<size_t>(i) - 1);
    model::StepBatch batch =
        device.Batch(i == 0 ? std::span<const TokenId>(tokens) : std::span<const TokenId>(previous), 0, first);
    device.outputs[0].kind = model::OutputKind::kSample;
    device.outputs[0].sampling = 0;
    batch.sampling = sampling;
    if (i == 0) batch.block_changes = changes;
    const auto ticket = runner->Launch(batch);
    ASSERT_TRUE(ticket.ok()) << ticket.status().ToString();
    tickets.push_back(*ticket);
    if (tickets.size() == runner->info().depth) collect();
  }
  while (!tickets.empty()) collect();
  EXPECT_EQ(found, expected);
}

// The device's draw is the engine's, on the model's own logits: sums are rounded differently, so the border of two tokens may be missed.
TEST_P(MlxGoldenSteps, DeviceDrawsWhatTheSamplerDraws) {
  const auto runner = MakeRunner(*golden_.file, Options(true));
  engine::Sampler sampler(golden_.file->config().vocab);
  Sender sender(*runner);
  const std::vector<TokenId>& tokens = golden_.cases.front().tokens;
  const std::vector<model::BlockChange> changes = {{0, 0, 0}, {0, 1, 1}, {0, 2, 2}, {0, 3, 3}};
  std::mt19937 random(11);
  int different = 0;
  for (uint32_t i = 0; i < 60; ++i) {
    model::StepBatch batch = sender.Batch(tokens, 0, 0);
    batch.block_changes = changes;
    const std::vector<float> logits = sender.Run(batch);
    SamplingParams params;
    params.seed = random();
    params.temperature = i % 5 == 0 ? 0.0F : 0.2F + 0.1F * static_cast<float>(random() % 20);
    if (random() % 2 == 0) params.top_k = static_cast<int32_t>(1 + random() % 40);
    if (random() % 2 == 0) params.top_p = 0.5F + 0.02F * static_cast<float>(random() % 25);
    if (random() % 2 == 0) params.min_p = 0.01F * static_cast<float>(random() % 20);
    const model::DeviceSampling sampling[] = {{params.temperature, params.top_p, params.min_p, params.top_k, params.seed, 0, i}};
    batch = sender.Batch(tokens, 0, 0);
    sender.outputs[0].kind = model::OutputKind::kSample;
    sender.outputs[0].sampling = 0;
    batch.sampling = sampling;
    const auto ticket = runner->Launch(batch);
    ASSERT_TRUE(ticket.ok()) << ticket.status().ToString();
    const auto result = runner->Collect(*ticket);
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    different += result->outputs[0].id != sampler.Sample(logits, params, {}, i).id;
  }
  EXPECT_LE(different, 1);
}

std::string FolderName(const testing::TestParamInfo<std::filesystem::path>& folder) {
  std::string name = folder.param.filename().string();
  std::replace_if(name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, MlxGolden, testing::ValuesIn(Folders([](std::string_view) { return true; })), FolderName);
INSTANTIATE_TEST_SUITE_P(Checkpoints, MlxGoldenSteps, testing::ValuesIn(Folders(InSteps)), FolderName);

}  // namespace
}  // namespace millrace
