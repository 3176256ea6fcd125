#include "backend/cpu/cpu_backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <utility>

#include "backend/cpu/testing/allocation_count.h"
#include "base/half.h"
#include "model/active_bytes.h"
#include "model/decoder.h"
#include "model/model_file.h"
#include "model/testing/llama_image.h"

namespace millrace::backend_cpu {
namespace {

using kernels::Isa;
using model::ModelFile;
using model::ModelRunner;
using model::testing::LlamaImage;
using testing::AllocationCount;

void FillBlock(DType dtype, std::mt19937& random, std::byte* at) {
  std::normal_distribution<float> normal;
  if (dtype == DType::kF32) {
    const float value = normal(random) * 0.2F + 0.3F;
    std::memcpy(at, &value, sizeof(value));
  } else if (dtype == DType::kQ4_1) {
    BlockQ4_1 block{
        .d = FloatToHalf(0.02F + 0.01F * std::fabs(normal(random))), .m = FloatToHalf(-0.2F + 0.03F * normal(random)), .qs = {}};
    for (uint8_t& codes : block.qs) codes = static_cast<uint8_t>(random());
    std::memcpy(at, &block, sizeof(block));
  } else {
    BlockQ8_0 block{.d = FloatToHalf(0.004F * normal(random)), .qs = {}};
    for (int8_t& code : block.qs) code = static_cast<int8_t>(random());
    std::memcpy(at, &block, sizeof(block));
  }
}

// A model file with random weights, in memory.
struct RandomModel {
  explicit RandomModel(const LlamaImage& image = {}, uint32_t seed = 1) : bytes(image.Build()), file(Parse()) {
    std::mt19937 random(seed);
    for (const weights::TensorView& tensor : file.gguf().tensors()) {
      auto* data = bytes.data() + (reinterpret_cast<const char*>(tensor.data.data()) - bytes.data());
      const uint32_t block = Info(tensor.dtype).block_bytes;
      for (size_t at = 0; at < tensor.data.size(); at += block)
        FillBlock(tensor.dtype, random, reinterpret_cast<std::byte*>(data + at));
    }
  }
  ModelFile Parse() { return ModelFile::Parse(std::as_bytes(std::span(bytes.data(), bytes.size()))).value(); }

  std::string bytes;
  ModelFile file;
};

std::unique_ptr<ModelRunner> Load(const RandomModel& model, const CpuOptions& options) {
  return model::Decoder<CpuBackend>::Load(model.file, CpuBackend::Create(model.file.config(), options).value(), nullptr).value();
}

CpuOptions Options(uint32_t threads, Isa isa, bool reference = false) {
  return {.threads = threads, .isa = isa, .reference = reference, .slots = 3, .context = 640, .max_batch_tokens = 96};
}

std::vector<TokenId> Tokens(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 32);
  return tokens;
}

struct Parts {
  std::span<const TokenId> tokens{};
  std::span<const model::SpanOfTokens> spans{};
  std::span<const model::BlockChange> changes{};
  std::span<const model::KvCopy> copies{};
  std::span<const model::OutputRow> outputs{};
};

model::StepBatch Batch(const Parts& parts) {
  model::StepBatch batch;
  batch.tokens = parts.tokens;
  batch.spans = parts.spans;
  batch.block_changes = parts.changes;
  batch.kv_copies = parts.copies;
  batch.outputs = parts.outputs;
  return batch;
}

// One sequence on its way through a runner. Slot s uses blocks s * 20, s * 20 + 1, … in descending order.
struct Walker {
  uint32_t slot;
  std::vector<TokenId> tokens;
  uint32_t done = 0;
  std::vector<float> logits;  // of all positions
};

// One step that feeds `counts[i]` tokens of walker i, all of them with logits.
void Step(ModelRunner& runner, std::span<Walker* const> walkers, std::span<const uint32_t> counts) {
  std::vector<TokenId> tokens;
  std::vector<model::SpanOfTokens> spans;
  std::vector<model::BlockChange> changes;
  std::vector<model::OutputRow> outputs;
  for (size_t i = 0; i < walkers.size(); ++i) {
    Walker& walker = *walkers[i];
    if (counts[i] == 0) continue;
    spans.push_back({walker.slot, walker.done, static_cast<uint32_t>(tokens.size()), counts[i]});
    for (uint32_t k = 0; k < counts[i]; ++k) {
      const uint32_t position = walker.done + k;
      if (position % kBlockTokens == 0 || k == 0) {
        changes.push_back({walker.slot, position / kBlockTokens, walker.slot * 20 + 19 - position / kBlockTokens});
      }
      outputs.push_back({static_cast<uint32_t>(tokens.size())});
      tokens.push_back(walker.tokens[position]);
    }
  }
  const auto ticket = runner.Launch(Batch({.tokens = tokens, .spans = spans, .changes = changes, .outputs = outputs}));
  ASSERT_TRUE(ticket.ok()) << ticket.status().ToString();
  const auto result = runner.Collect(*ticket);
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->outputs.size(), outputs.size());
  size_t row = 0;
  for (size_t i = 0; i < walkers.size(); ++i) {
    for (uint32_t k = 0; k < counts[i]; ++k, ++row) {
      const auto logits = result->outputs[row].logits;
      walkers[i]->logits.insert(walkers[i]->logits.end(), logits.begin(), logits.end());
    }
    walkers[i]->done += counts[i];
  }
}

// All logits of one sequence, fed in steps of at most `chunk`.
std::vector<float> Logits(ModelRunner& runner, const std::vector<TokenId>& tokens, uint32_t chunk) {
  Walker walker{.slot = 1, .tokens = tokens, .logits = {}};
  Walker* const walkers[] = {&walker};
  while (walker.done < tokens.size()) {
    const uint32_t counts[] = {std::min(chunk, static_cast<uint32_t>(tokens.size()) - walker.done)};
    Step(runner, walkers, counts);
  }
  return walker.logits;
}

void ExpectSameBits(const std::vector<float>& a, const std::vector<float>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  ASSERT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0) << what;
}

// ---- sameness --------------------------------------------------------------------------------------------------------------------

class Sameness : public ::testing::TestWithParam<bool> {};  // reference mode or not

TEST_P(Sameness, AnyChunksThreadsAndInstructionSetsGiveTheSameLogits) {
  const RandomModel model;
  const std::vector<TokenId> tokens = Tokens(600, 3);  // three softmax tiles
  const std::vector<float> expected = Logits(*Load(model, Options(1, kernels::BestIsa(), GetParam())), tokens, 1);
  for (const Isa isa : kernels::AvailableIsas()) {
    for (const uint32_t threads : {1U, 2U, 3U}) {
      auto runner = Load(model, Options(threads, isa, GetParam()));
      for (const uint32_t chunk : {1U, 3U, 5U, 37U, 96U}) {
        if (isa == Isa::kScalar && (threads != 2 || chunk < 37)) continue;  // the definition is slow
        ExpectSameBits(expected, Logits(*runner, tokens, chunk),
                       fmt::format("{}, {} threads, chunks of {}", kernels::IsaName(isa), threads, chunk));
      }
    }
  }
}

TEST_P(Sameness, ASequenceHasTheSameLogitsAloneAndInAnyBatch) {
  const RandomModel model;
  auto runner = Load(model, Options(2, kernels::BestIsa(), GetParam()));
  std::vector<Walker> walkers;
  std::vector<std::vector<float>> alone;
  for (uint32_t slot = 0; slot < 3; ++slot) {
    walkers.push_back({.slot = slot, .tokens = Tokens(300 + 100 * slot, slot), .logits = {}});
    alone.push_back(Logits(*runner, walkers.back().tokens, 50));
  }
  std::mt19937 random(7);
  for (;;) {
    std::vector<Walker*> some;
    std::vector<uint32_t> counts;
    for (Walker& walker : walkers) {
      const uint32_t left = static_cast<uint32_t>(walker.tokens.size()) - walker.done;
      if (left == 0) continue;
      some.push_back(&walker);
      counts.push_back(std::min<uint32_t>(left, static_cast<uint32_t>(1 + random() % (random() % 3 == 0 ? 32 : 2))));
    }
    if (some.empty()) break;
    ASSERT_NO_FATAL_FAILURE(Step(*runner, some, counts));
  }
  for (uint32_t slot = 0; slot < 3; ++slot) ExpectSameBits(alone[slot], walkers[slot].logits, fmt::format("slot {}", slot));
}

TEST_P(Sameness, ACopiedPrefixGivesTheSameLogits) {
  const RandomModel model;
  auto runner = Load(model, Options(2, kernels::BestIsa(), GetParam()));
  const std::vector<TokenId> tokens = Tokens(50, 11);
  const std::vector<float> expected = Logits(*runner, tokens, 50);  // slot 1: blocks 39, 38
  // Slot 0 shares the full first block and takes a copy of the first 8 positions of the second.
  const model::BlockChange changes[] = {{0, 0, 39}, {0, 1, 5}};
  const model::KvCopy copies[] = {{38, 5, 8}};
  const std::vector<TokenId> rest(tokens.begin() + 40, tokens.end());
  const model::SpanOfTokens spans[] = {{0, 40, 0, 10}};
  const model::OutputRow outputs[] = {{9}};
  const auto ticket =
      runner->Launch(Batch({.tokens = rest, .spans = spans, .changes = changes, .copies = copies, .outputs = outputs}));
  ASSERT_TRUE(ticket.ok());
  const auto result = runner->Collect(*ticket);
  EXPECT_EQ(std::memcmp(result->outputs[0].logits.data(), expected.data() + 49 * 32, 32 * sizeof(float)), 0);
}

INSTANTIATE_TEST_SUITE_P(Modes, Sameness, ::testing::Values(false, true),
                         [](const auto& row) { return row.param ? "Float" : "Int8"; });

// ---- against a plain forward pass in double precision ----------------------------------------------------------------------------

using Vector = std::vector<double>;

class PlainForward {
 public:
  explicit PlainForward(const ModelFile& file) : file_(file), config_(file.config()) {}

  // Logits of every position.
  std::vector<Vector> Run(const std::vector<TokenId>& tokens) {
    std::vector<Vector> all;
    keys_.assign(config_.layers.size(), {});
    values_.assign(config_.layers.size(), {});
    for (size_t position = 0; position < tokens.size(); ++position) {
      Vector x = Row(model::Role::kEmbedding, 0, static_cast<size_t>(tokens[position]));
      for (uint32_t layer = 0; layer < config_.layers.size(); ++layer) {
        Add(x, Times(model::Role::kAttnOut, layer, Attention(layer, Norm(x, model::Role::kAttnNorm, layer), position)));
        const Vector n = Norm(x, model::Role::kMlpNorm, layer);
        Vector gate = Times(model::Role::kGate, layer, n);
        const Vector up = Times(model::Role::kUp, layer, n);
        for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
        Add(x, Times(model::Role::kDown, layer, gate));
      }
      all.push_back(
          Times(config_.tied_head ? model::Role::kEmbedding : model::Role::kHead, 0, Norm(x, model::Role::kOutputNorm, 0)));
    }
    return all;
  }

 private:
  Vector Row(model::Role role, uint32_t layer, size_t row) const {
    const weights::TensorView view = file_.Tensor(role, layer);
    std::vector<float> floats(view.cols);
    kernels::DequantizeFileRow({.dtype = view.dtype, .rows = view.rows, .cols = view.cols, .codes = view.data.data()}, row,
                               floats.data());
    return Vector(floats.begin(), floats.end());
  }

  Vector Times(model::Role role, uint32_t layer, const Vector& x) const {
    Vector y;
    for (size_t row = 0; row < file_.Tensor(role, layer).rows; ++row) {
      const Vector w = Row(role, layer, row);
      double sum = 0;
      for (size_t i = 0; i < x.size(); ++i) sum += w[i] * x[i];
      y.push_back(sum);
    }
    return y;
  }

  Vector Norm(const Vector& x, model::Role role, uint32_t layer) const {
    const Vector weight = Row(role, layer, 0);
    double sum = 0;
    for (const double value : x) sum += value * value;
    Vector y(x.size());
    for (size_t i = 0; i < x.size(); ++i)
      y[i] = x[i] / std::sqrt(sum / static_cast<double>(x.size()) + config_.norm_epsilon) * weight[i];
    return y;
  }

  static void Add(Vector& x, const Vector& y) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  void Rope(Vector& heads, uint32_t head_dim, size_t position) const {
    for (size_t at = 0; at < heads.size(); at += head_dim) {
      for (uint32_t i = 0; i < config_.ropes[0].dims() / 2; ++i) {
        const double angle = static_cast<double>(position) * config_.ropes[0].frequencies[i];
        const bool adjacent = config_.ropes[0].style == model::RopeStyle::kAdjacentPairs;
        double& a = heads[at + (adjacent ? 2 * i : i)];
        double& b = heads[at + (adjacent ? 2 * i + 1 : i + config_.ropes[0].dims() / 2)];
        const double first = a * std::cos(angle) - b * std::sin(angle);
        b = b * std::cos(angle) + a * std::sin(angle);
        a = first;
      }
    }
  }

  Vector Attention(uint32_t layer, const Vector& n, size_t position) {
    const model::LayerConfig& shape = config_.layers[layer];
    Vector q = Times(model::Role::kQuery, layer, n);
    Vector k = Times(model::Role::kKey, layer, n);
    Rope(q, shape.head_dim, position);
    Rope(k, shape.head_dim, position);
    keys_[layer].push_back(k);
    values_[layer].push_back(Times(model::Role::kValue, layer, n));
    Vector out(q.size());
    for (uint32_t head = 0; head < shape.heads; ++head) {
      const size_t kv = size_t{head / (shape.heads / shape.kv_heads)} * shape.head_dim;
      Vector weights;
      double sum = 0;
      for (size_t p = 0; p <= position; ++p) {
        double score = 0;
        for (uint32_t d = 0; d < shape.head_dim; ++d) score += q[head * shape.head_dim + d] * keys_[layer][p][kv + d];
        weights.push_back(std::exp(score / std::sqrt(shape.head_dim)));
        sum += weights.back();
      }
      for (size_t p = 0; p <= position; ++p) {
        for (uint32_t d = 0; d < shape.head_dim; ++d)
          out[head * shape.head_dim + d] += weights[p] / sum * values_[layer][p][kv + d];
      }
    }
    return out;
  }

  const ModelFile& file_;
  const model::ModelConfig& config_;
  std::vector<std::vector<Vector>> keys_, values_;
};

// rms of the difference over rms of what is right.
double RelativeError(const std::vector<Vector>& expected, const std::vector<float>& found) {
  double error = 0, magnitude = 0;
  size_t at = 0;
  for (const Vector& row : expected) {
    for (const double value : row) {
      error += (found[at] - value) * (found[at] - value);
      magnitude += value * value;
      ++at;
    }
  }
  EXPECT_EQ(at, found.size());
  return std::sqrt(error / magnitude);
}

std::vector<LlamaImage> Shapes() {
  std::vector<LlamaImage> shapes(4);
  shapes[1].matrix_type = shapes[1].embedding_type = DType::kF32;
  shapes[1].hidden = 56;  // no multiple of 16
  shapes[1].heads = 7;
  shapes[1].head_dim = 8;
  shapes[1].kv_heads = 1;
  shapes[2].matrix_type = DType::kQ8_0;
  shapes[2].untied = true;
  shapes[2].types = {{"blk.0.attn_v.weight", DType::kF32}, {"blk.1.ffn_up.weight", DType::kQ4_1}};  // mixed stacks
  shapes[3].hidden = 128;
  shapes[3].heads = shapes[3].kv_heads = 2;
  shapes[3].head_dim = 64;
  return shapes;
}

TEST(Accuracy, TheFloatPathIsAPlainForwardPass) {
  for (const LlamaImage& image : Shapes()) {
    const RandomModel model(image, 5);
    const std::vector<TokenId> tokens = Tokens(40, 5);
    const std::vector<Vector> expected = PlainForward(model.file).Run(tokens);
    for (const Isa isa : kernels::AvailableIsas()) {
      EXPECT_LT(RelativeError(expected, Logits(*Load(model, Options(2, isa, true)), tokens, 16)), 1e-5) << kernels::IsaName(isa);
    }
  }
}

TEST(Accuracy, EightBitActivationsStayClose) {
  for (const LlamaImage& image : Shapes()) {
    const RandomModel model(image, 6);
    const std::vector<TokenId> tokens = Tokens(40, 6);
    const std::vector<Vector> expected = PlainForward(model.file).Run(tokens);
    // A code is off by up to half a step of amax / 127: about 0.5 % of an activation's rms per product, six products deep.
    EXPECT_LT(RelativeError(expected, Logits(*Load(model, Options(2, kernels::BestIsa())), tokens, 16)), 0.03);
  }
}

TEST(Accuracy, BothRopeStylesAreRotations) {
  const RandomModel model;
  // The file's family fixes the style; the backend is asked directly for the other one.
  for (const auto style : {model::RopeStyle::kHalves, model::RopeStyle::kAdjacentPairs}) {
    model::ModelConfig config = model.file.config();
    config.ropes[0].style = style;
    std::vector<std::vector<float>> found;
    for (const uint32_t threads : {1U, 3U}) {
      auto backend = CpuBackend::Create(config, Options(threads, kernels::BestIsa(), true)).value();
      const weights::TensorView embedding[] = {model.file.Tensor(model::Role::kEmbedding)};
      const weights::TensorView norm[] = {model.file.Tensor(model::Role::kAttnNorm, 0)};
      const weights::TensorView qkv[] = {model.file.Tensor(model::Role::kQuery, 0), model.file.Tensor(model::Role::kKey, 0),
                                         model.file.Tensor(model::Role::kValue, 0)};
      const auto table = backend->Load(embedding).value();
      const auto norm_weight = backend->Load(norm).value();
      const auto qkv_weight = backend->Load(qkv).value();
      const std::vector<TokenId> tokens(7, 3);
      const model::SpanOfTokens spans[] = {{0, 0, 0, 7}};
      const model::BlockChange changes[] = {{0, 0, 0}};
      ASSERT_TRUE(backend->Begin(Batch({.tokens = tokens, .spans = spans, .changes = changes})).ok());
      const model::NormOp<CpuBackend::Weight> norm_op{.weight = norm_weight, .epsilon = 1e-5F};
      const auto q =
          backend->AttnIn(backend->Embed(table, 1),
                          {.norm = norm_op, .qkv = qkv_weight, .bias = std::nullopt, .qk_norm = std::nullopt, .layer = 0});
      std::vector<float> rows;
      for (size_t token = 0; token < 7; ++token)
        rows.insert(rows.end(), q.data + token * q.stride, q.data + token * q.stride + q.width);
      // The same token at seven positions: the same q, turned ever further.
      const uint32_t head_dim = config.layers[0].head_dim;
      for (uint32_t i = 0; i < head_dim / 2; ++i) {
        const size_t a = style == model::RopeStyle::kAdjacentPairs ? 2 * i : i;
        const size_t b = style == model::RopeStyle::kAdjacentPairs ? 2 * i + 1 : i + head_dim / 2;
        for (size_t token = 1; token < 7; ++token) {
          const double angle = static_cast<double>(token) * config.ropes[0].frequencies[i];
          EXPECT_NEAR(rows[token * q.width + a], rows[a] * std::cos(angle) - rows[b] * std::sin(angle), 1e-4);
          EXPECT_NEAR(rows[token * q.width + b], rows[b] * std::cos(angle) + rows[a] * std::sin(angle), 1e-4);
        }
      }
      found.push_back(rows);
    }
    ExpectSameBits(found[0], found[1], "threads");
  }
}

// ---- the contract of steps -------------------------------------------------------------------------------------------------------

TEST(Steps, CountTheBytesThatActiveBytesPredicts) {
  const RandomModel model;
  auto runner = Load(model, Options(2, kernels::BestIsa()));
  (void)Logits(*runner, Tokens(64, 1), 64);
  const TokenId tokens[] = {1};
  const model::SpanOfTokens spans[] = {{1, 64, 0, 1}};
  const model::BlockChange changes[] = {{1, 2, 37}};
  const model::OutputRow outputs[] = {{0}};
  const auto ticket = runner->Launch(Batch({.tokens = tokens, .spans = spans, .changes = changes, .outputs = outputs}));
  const auto result = runner->Collect(*ticket);
  const auto parts = model::ActiveBytes(model.file.config(), model::WeightBytesOf(model.file), 64, 1, model::KvType::kF16);
  EXPECT_EQ(result->weight_bytes, parts.weights());
  EXPECT_EQ(result->kv_bytes, parts.kv);
  EXPECT_GT(result->kernel_ns, 0);
  EXPECT_GE(result->idle_ns, 0);
}

TEST(Steps, DoNotAllocate) {
  const RandomModel model;
  for (const uint32_t count : {1U, 40U}) {
    auto runner = Load(model, Options(2, kernels::BestIsa()));
    const std::vector<TokenId> tokens(count, 4);
    const model::SpanOfTokens spans[] = {{0, 0, 0, count}};
    const model::BlockChange changes[] = {{0, 0, 0}, {0, 1, 1}};
    const model::OutputRow outputs[] = {{0}};
    const model::StepBatch batch = Batch({.tokens = tokens, .spans = spans, .changes = changes, .outputs = outputs});
    const uint64_t before = AllocationCount();
    for (int step = 0; step < 3; ++step) {
      const auto ticket = runner->Launch(batch);
      ASSERT_TRUE(runner->Collect(*ticket).ok());
    }
    EXPECT_EQ(AllocationCount(), before) << count;
  }
}

TEST(Steps, ABatchThatBreaksTheContractIsRefusedAndTheNextOneRuns) {
  const RandomModel model;
  auto runner = Load(model, Options(1, kernels::BestIsa()));
  const std::vector<TokenId> tokens = {1, 2, 3};
  const model::BlockChange good_change[] = {{0, 0, 0}};
  const auto launch = [&](const Parts& parts) { return runner->Launch(Batch(parts)).status().code(); };
  const auto with_span = [&](model::SpanOfTokens span) {
    return launch({.tokens = tokens, .spans = std::span(&span, 1), .changes = good_change});
  };
  EXPECT_EQ(launch({}), Code::kInvalidArgument);
  EXPECT_EQ(launch({.tokens = tokens}), Code::kInvalidArgument);         // no span covers them
  EXPECT_EQ(with_span({3, 0, 0, 3}), Code::kInvalidArgument);            // slot
  EXPECT_EQ(with_span({0, 0, 0, 2}), Code::kInvalidArgument);            // a token left over
  EXPECT_EQ(with_span({0, 0, 1, 2}), Code::kInvalidArgument);            // a gap
  EXPECT_EQ(with_span({0, 0, 0, 4}), Code::kInvalidArgument);            // too many
  EXPECT_EQ(with_span({0, 638, 0, 3}), Code::kInvalidArgument);          // context
  EXPECT_EQ(with_span({0, 0xFFFFFFFFU, 0, 3}), Code::kInvalidArgument);  // overflow
  EXPECT_EQ(with_span({0, 32, 0, 3}), Code::kInvalidArgument);           // no block there
  EXPECT_EQ(with_span({0, 0, 0, 3, 1}), Code::kUnsupported);             // adapter
  const model::SpanOfTokens spans[] = {{0, 0, 0, 3}};
  for (const TokenId bad : {-1, 32}) {
    const std::vector<TokenId> wrong = {1, bad, 3};
    EXPECT_EQ(launch({.tokens = wrong, .spans = spans, .changes = good_change}), Code::kInvalidArgument);
  }
  for (const model::BlockChange bad : {model::BlockChange{3, 0, 0}, {0, 20, 0}, {0, 0, 60}}) {
    EXPECT_EQ(launch({.tokens = tokens, .spans = spans, .changes = std::span(&bad, 1)}), Code::kInvalidArgument);
  }
  for (const model::KvCopy bad : {model::KvCopy{60, 0, 1}, {0, 60, 1}, {0, 1, 33}}) {
    EXPECT_EQ(launch({.tokens = tokens, .spans = spans, .copies = std::span(&bad, 1)}), Code::kInvalidArgument);
  }
  const model::OutputRow outside[] = {{3}};
  EXPECT_EQ(launch({.tokens = tokens, .spans = spans, .outputs = outside}), Code::kInvalidArgument);
  const model::OutputRow sampled[] = {{0, model::OutputKind::kSample}};
  EXPECT_EQ(launch({.tokens = tokens, .spans = spans, .outputs = sampled}), Code::kUnsupported);

  const auto ticket = runner->Launch(Batch({.tokens = tokens, .spans = spans, .changes = good_change}));
  ASSERT_TRUE(ticket.ok()) << ticket.status().ToString();
  EXPECT_TRUE(runner->Collect(*ticket)->outputs.empty());
}

TEST(Create, RefusesWhatItCannotDo) {
  const RandomModel model;
  const model::ModelConfig& good = model.file.config();
  EXPECT_EQ(CpuBackend::Create(good, {.slots = 0}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(CpuBackend::Create(good, {.max_batch_tokens = 0}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(CpuBackend::Create(good, {.threads = 100000}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(CpuBackend::Create(good, {.slots = 1U << 20, .context = 1U << 31}).status().code(), Code::kResourceExhausted);
  model::ModelConfig odd = good;
  odd.layers[1].head_dim = 20;
  EXPECT_EQ(CpuBackend::Create(odd, {}).status().code(), Code::kUnsupported);
}

Status LoadOne(const weights::TensorView& view) {
  const RandomModel model;
  auto backend = CpuBackend::Create(model.file.config(), Options(1, kernels::BestIsa())).value();
  return backend->Load(std::span(&view, 1)).status();
}

TEST(Load, NamesATensorWithoutKernelAndSaysWhatIsExpected) {
  const std::vector<std::byte> bytes(144 * 8);
  weights::TensorView odd{
      .name = "blk.0.odd.weight", .dtype = DType::kAffine4, .rank = 2, .rows = 2, .cols = 128, .data = bytes, .affine = {}};
  odd.affine = {.group = 16, .dtype = DType::kF16, .scales = bytes, .biases = bytes};
  EXPECT_EQ(LoadOne(odd).code(), Code::kUnsupported);
  EXPECT_EQ(LoadOne(odd).message(),
            "tensor 'blk.0.odd.weight': affine 4-bit matrix with groups of 16 columns: expected 32, 64 or 128");
  const weights::TensorView narrow{
      .name = "n", .dtype = DType::kQ4_K, .rank = 2, .rows = 2, .cols = 576, .data = bytes, .affine = {}};
  EXPECT_EQ(LoadOne(narrow).code(), Code::kInvalidArgument);
  EXPECT_EQ(LoadOne(narrow).message(), "tensor 'n': Q4_K matrix with 576 columns: expected a multiple of 256");
  const weights::TensorView norm{
      .name = "n", .dtype = DType::kQ8_0, .rank = 1, .rows = 1, .cols = 32, .data = bytes, .affine = {}};
  EXPECT_EQ(LoadOne(norm).message(), "tensor 'n': a vector of type Q8_0: expected F32, F16 or BF16");
}

TEST(Load, VectorsBecomeFloatsPlusTheirOffset) {
  kernels::ThreadPool pool(2);
  WeightStore store(pool, false);
  const uint16_t halves[] = {FloatToHalf(0.5F), FloatToHalf(-2.0F), FloatToBf16(0.5F)};
  const auto bytes = std::as_bytes(std::span(halves));
  const weights::TensorView views[] = {
      {.name = "a", .dtype = DType::kF16, .rank = 1, .rows = 1, .cols = 2, .data = bytes.first(4), .affine = {}, .offset = 1},
      {.name = "b", .dtype = DType::kBF16, .rank = 1, .rows = 1, .cols = 1, .data = bytes.last(2), .affine = {}}};
  const kernels::PackedMatrix a = store.Get(store.Add(std::span(views).first(1)).value()).segments[0].matrix;
  ASSERT_EQ(a.form, kernels::PackedForm::kF32);
  EXPECT_EQ(reinterpret_cast<const float*>(a.data)[0], 1.5F);
  EXPECT_EQ(reinterpret_cast<const float*>(a.data)[1], -1.0F);
  const StackedWeight& b = store.Get(store.Add(std::span(views).last(1)).value());
  EXPECT_EQ(reinterpret_cast<const float*>(b.segments[0].matrix.data)[0], 0.5F);
  EXPECT_EQ(b.source_bytes, 2U);
  EXPECT_FALSE(b.quantised);
}

}  // namespace
}  // namespace millrace::backend_cpu
