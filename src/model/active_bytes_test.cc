#include "model/active_bytes.h"

#include <gtest/gtest.h>

#include <string>

#include "model/testing/llama_image.h"

namespace millrace::model {
namespace {

using testing::LlamaImage;
using weights::testing::AsBytes;

// SmolLM2-135M as its Q4_1 file holds it, worked out by hand:
//   head    49,152 rows x 576 / 32 blocks x 34 bytes                                            = 30,081,024
//   layer   (2 x 576 x 576 + 2 x 192 x 576 + 3 x 1,536 x 576) elements / 32 x 20 bytes          =  2,211,840, times 30 =
//   66,355,200 norms   (30 x 2 + 1) x 576 x 4 bytes                                                        =    140,544 KV 30
//   layers x 2 x 3 heads x 64 x 2 bytes                                              =     23,040 a position
TEST(ActiveBytes, OfSmolLm2ByHand) {
  const LlamaImage image{.hidden = 576, .heads = 9, .kv_heads = 3, .head_dim = 64, .ffn = 1536, .vocab = 49152, .layers = 30};
  const std::string bytes = image.Build();
  const auto file = ModelFile::Parse(AsBytes(bytes));
  ASSERT_TRUE(file.ok()) << file.status().message();
  const WeightBytes weights = WeightBytesOf(*file);
  EXPECT_EQ(weights.embedding, 30'081'024u);
  EXPECT_EQ(weights.head, 30'081'024u);
  EXPECT_EQ(weights.layers, 66'355'200u);
  EXPECT_EQ(weights.norms, 140'544u);
  EXPECT_EQ(weights.resident(), 96'576'768u);
  EXPECT_EQ(weights.resident(), file->gguf().tensor_bytes());

  const ActiveBytesParts first = ActiveBytes(file->config(), weights, 0, 1, KvType::kF16);
  EXPECT_EQ(first.weights(), 96'576'768u);
  EXPECT_EQ(first.kv, 23'040u);
  EXPECT_EQ(first.total(), 96'599'808u);

  const ActiveBytesParts deep = ActiveBytes(file->config(), weights, 4095, 4, KvType::kF16);
  EXPECT_EQ(deep.weights(), 96'576'768u);
  EXPECT_EQ(deep.kv, 4ULL * 4096 * 23'040);
  EXPECT_EQ(ActiveBytes(file->config(), weights, 4095, 1, KvType::kF32).kv, 2ULL * 4096 * 23'040);
}

TEST(ActiveBytes, AnUntiedEmbeddingIsResidentButNotRead) {
  const std::string bytes = LlamaImage{.untied = true}.Build();
  const auto file = ModelFile::Parse(AsBytes(bytes));
  ASSERT_TRUE(file.ok()) << file.status().message();
  const WeightBytes weights = WeightBytesOf(*file);
  EXPECT_EQ(weights.embedding, 32u * 68);
  EXPECT_EQ(weights.resident(), file->gguf().tensor_bytes());
  EXPECT_EQ(ActiveBytes(file->config(), weights, 0, 1, KvType::kF16).weights(), file->gguf().tensor_bytes() - 32 * 68);
}

}  // namespace
}  // namespace millrace::model
