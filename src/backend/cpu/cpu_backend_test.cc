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
#include "model/testing/plain_forward.h"
#include "model/testing/walker.h"

namespace millrace::backend_cpu {
namespace {

using kernels::Isa;
using model::ModelFile;
using model::ModelRunner;
using model::testing::Batch;
using model::testing::LlamaImage;
using model::testing::Logits;
using model::testing::Parts;
using model::testing::PlainForward;
using model::testing::RelativeError;
using model::testing::Vector;
using model::testing::Walker;
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

std::vector<TokenId> Tokens(size_t count, uint32_t seed) { return model::testing::RandomTokens(count, seed, 32); }

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
  ASSERT_NO_FATAL_FAILURE(model::testing::WalkTogether(*runner, walkers, 7, 32));
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
    const std::vector<Vector> expected = PlainForward<ModelFile>(model.file).Run(tokens);
    for (const Isa isa : kernels::AvailableIsas()) {
      EXPECT_LT(RelativeError(expected, Logits(*Load(model, Options(2, isa, true)), tokens, 16)), 1e-5) << kernels::IsaName(isa);
    }
  }
}

TEST(Accuracy, EightBitActivationsStayClose) {
  for (const LlamaImage& image : Shapes()) {
    const RandomModel model(image, 6);
    const std::vector<TokenId> tokens = Tokens(40, 6);
    const std::vector<Vector> expected = PlainForward<ModelFile>(model.file).Run(tokens);
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
      const auto norm_weight = backend->LoadVector(norm).value();
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
  EXPECT_NE(CpuBackend::Create(odd, {}).status().message().find("layer 1"), std::string::npos);
}

TEST(Create, RefusesConfigurationsThatContradictThemselves) {
  const RandomModel model;
  const auto refused = [&](auto change) {
    model::ModelConfig config = model.file.config();
    change(config, config.layers[1]);
    return CpuBackend::Create(config, {}).status().code() == Code::kInvalidArgument;
  };
  using Config = model::ModelConfig;
  using Layer = model::LayerConfig;
  EXPECT_TRUE(refused([](Config&, Layer& layer) { layer.kv_heads = 0; }));
  EXPECT_TRUE(refused([](Config&, Layer& layer) { layer.heads = 3; }));
  EXPECT_TRUE(refused([](Config&, Layer& layer) { layer.rope = 1; }));
  EXPECT_TRUE(refused([](Config&, Layer& layer) { layer.rope = -2; }));
  EXPECT_TRUE(refused([](Config& config, Layer&) { config.ropes[0].frequencies.resize(20); }));
  EXPECT_TRUE(refused([](Config&, Layer& layer) { layer.attention_softcap = -1; }));
  EXPECT_TRUE(refused([](Config&, Layer& layer) { layer.attention_softcap = std::nanf(""); }));
  EXPECT_TRUE(refused([](Config& config, Layer&) { config.logit_softcap = INFINITY; }));
  EXPECT_TRUE(refused([](Config&, Layer& layer) { layer.ffn = 0; }));
  EXPECT_TRUE(refused([](Config&, Layer& layer) { layer.mlp = model::MlpKind::kExperts; }));
  EXPECT_TRUE(refused([](Config&, Layer& layer) {
    layer.mlp = model::MlpKind::kExperts;
    layer.experts = {.count = 2, .used = 3, .ffn = 32};
  }));
  EXPECT_FALSE(refused([](Config&, Layer&) {}));
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
  VectorStore vectors;
  EXPECT_EQ(ToStatus(vectors.Add({&norm, 1})).message(), "tensor 'n': a vector of type Q8_0: expected F32, F16 or BF16");
}

TEST(Load, VectorsFollowEachOtherAsFloatsPlusTheirOffset) {
  VectorStore store;
  const uint16_t halves[] = {FloatToHalf(0.5F), FloatToHalf(-2.0F), FloatToBf16(0.5F)};
  const auto bytes = std::as_bytes(std::span(halves));
  const weights::TensorView views[] = {
      {.name = "a", .dtype = DType::kF16, .rank = 1, .rows = 1, .cols = 2, .data = bytes.first(4), .affine = {}, .offset = 1},
      {.name = "b", .dtype = DType::kBF16, .rank = 1, .rows = 1, .cols = 1, .data = bytes.last(2), .affine = {}}};
  const StoredVector& both = store.Get(store.Add(views).value());
  EXPECT_EQ(both.values, (std::vector<float>{1.5F, -1.0F, 0.5F}));
  EXPECT_EQ(both.source_bytes, 6U);
}

TEST(Load, NamesAVectorThatIsNotOfFloats) {
  const RandomModel model;
  auto backend = CpuBackend::Create(model.file.config(), Options(1, kernels::BestIsa())).value();
  const std::vector<std::byte> bytes(34);
  const weights::TensorView view{.name = "odd", .dtype = DType::kQ8_0, .rank = 1, .rows = 1, .cols = 32, .data = bytes};
  const auto loaded = backend->LoadVector(std::span(&view, 1));
  EXPECT_EQ(loaded.status().code(), Code::kUnsupported);
  EXPECT_EQ(loaded.status().message(), "tensor 'odd': a vector of type Q8_0: expected F32, F16 or BF16");
}

}  // namespace
}  // namespace millrace::backend_cpu
