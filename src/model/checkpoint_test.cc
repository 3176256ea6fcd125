#include "model/checkpoint.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "model/active_bytes.h"
#include "model/model_file.h"
#include "model/testing/checkpoint_image.h"

namespace millrace::model {
namespace {

using testing::CheckpointImage;
using testing::FilesOf;

TEST(CheckpointFile, ReadsConfigAndTensorsByRole) {
  const auto directory = CheckpointImage{.untied = true}.Build();
  const auto file = ModelFile::Parse(FilesOf(directory));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_FALSE(file->source().is_gguf());
  const ModelConfig& config = file->config();
  EXPECT_EQ(config.family, "llama");
  EXPECT_EQ(config.hidden, 64u);
  EXPECT_EQ(config.vocab, 32u);
  EXPECT_FALSE(config.tied_head);
  EXPECT_EQ(config.ropes.at(0).style, RopeStyle::kHalves);
  const weights::TensorView down = file->Tensor(Role::kDown, 1);
  EXPECT_EQ(down.name, "model.layers.1.mlp.down_proj.weight");
  EXPECT_EQ(down.dtype, DType::kBF16);
  EXPECT_EQ(down.rows, 64u);
  EXPECT_EQ(down.cols, 96u);
  EXPECT_EQ(down.data.size(), 64u * 96u * 2u);
  EXPECT_EQ(file->Tensor(Role::kHead).name, "lm_head.weight");
  EXPECT_EQ(file->Tensor(Role::kOutputNorm).rank, 1u);
  EXPECT_EQ(file->source().checkpoint().ShardOf(file->source().tensors()[0]), "model.safetensors");
}

TEST(CheckpointFile, ShardsByIndex) {
  CheckpointImage image{.sharded = true};
  image.files["consolidated.safetensors"] = "not read: the index does not name it";
  const auto directory = image.Build();
  const auto file = ModelFile::Parse(FilesOf(directory));
  ASSERT_TRUE(file.ok()) << file.status().message();
  const Checkpoint& checkpoint = file->source().checkpoint();
  EXPECT_EQ(checkpoint.ShardOf(*checkpoint.FindTensor("model.layers.0.mlp.up_proj.weight")), CheckpointImage::kSecond);
  EXPECT_EQ(checkpoint.ShardOf(*checkpoint.FindTensor("model.layers.1.mlp.up_proj.weight")), CheckpointImage::kFirst);
}

TEST(CheckpointFile, QuantisedByMlx) {
  for (const uint32_t bits : {4u, 6u, 8u}) {
    const auto directory = CheckpointImage{.type = "F16", .bits = bits, .untied = true}.Build();
    const auto file = ModelFile::Parse(FilesOf(directory));
    ASSERT_TRUE(file.ok()) << file.status().message();
    const weights::TensorView down = file->Tensor(Role::kDown, 0);
    EXPECT_EQ(down.dtype, bits == 4 ? DType::kAffine4 : bits == 6 ? DType::kAffine6 : DType::kAffine8);
    EXPECT_EQ(down.rows, 64u);
    EXPECT_EQ(down.cols, 96u);
    EXPECT_EQ(down.data.size(), 64u * 96u * bits / 8);
    EXPECT_EQ(down.affine.group, 32u);
    EXPECT_EQ(down.affine.dtype, DType::kF16);
    EXPECT_EQ(down.affine.scales.size(), 64u * 3 * 2);
    EXPECT_EQ(down.source_bytes(), down.data.size() + 2 * 64u * 3 * 2);
    EXPECT_EQ(file->source().FindTensor("model.layers.0.mlp.down_proj.scales"), nullptr);
  }
}

TEST(CheckpointFile, OverridesOfSingleModules) {
  CheckpointImage image{.bits = 4};
  image.config.Set("quantization", Json::Parse(R"({"group_size":32,"bits":4,"mode":"affine",
      "model.layers.0.mlp.down_proj":{"group_size":32,"bits":8},"model.layers.1.mlp.up_proj":false,"model.embed_tokens":true})")
                                       .value());
  image.tensors["model.layers.0.mlp.down_proj.weight"] = {"U32", {64, 24}, ""};
  image.tensors["model.layers.1.mlp.up_proj.weight"] = {"BF16", {96, 64}, ""};
  image.without = {"model.layers.1.mlp.up_proj.scales", "model.layers.1.mlp.up_proj.biases"};
  const auto directory = image.Build();
  const auto file = ModelFile::Parse(FilesOf(directory));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->Tensor(Role::kDown, 0).dtype, DType::kAffine8);
  EXPECT_EQ(file->Tensor(Role::kDown, 1).dtype, DType::kAffine4);
  EXPECT_EQ(file->Tensor(Role::kUp, 1).dtype, DType::kBF16);
  EXPECT_EQ(file->Tensor(Role::kEmbedding).dtype, DType::kAffine4);
}

TEST(CheckpointFile, MlxRepeatsItsTableForTransformers) {
  CheckpointImage image{.bits = 4};
  const Json table = Json::Parse(R"({"group_size":32,"bits":4})").value();
  image.config.Set("quantization_config", table);
  const auto both = image.Build();
  EXPECT_TRUE(ModelFile::Parse(FilesOf(both)).ok());
  image.config.Set("quantization", Json());
  const auto one = image.Build();
  EXPECT_TRUE(ModelFile::Parse(FilesOf(one)).ok());
}

TEST(CheckpointFile, TiedHeads) {
  const auto tied = [](CheckpointImage image) {
    const auto directory = image.Build();
    const auto file = ModelFile::Parse(FilesOf(directory));
    EXPECT_TRUE(file.ok()) << file.status().message();
    return file.ok() && file->config().tied_head && file->Tensor(Role::kHead).name == "model.embed_tokens.weight";
  };
  CheckpointImage left_aside{.untied = true};
  left_aside.config.Set("tie_word_embeddings", Json(true));
  EXPECT_TRUE(tied(left_aside));
  CheckpointImage said{};
  EXPECT_TRUE(tied(said));
  CheckpointImage silent{.untied = true};
  silent.config.Set("tie_word_embeddings", Json());  // llama: not tied
  EXPECT_FALSE(tied(silent));
}

TEST(CheckpointFile, KnownBuffersAreLeftOut) {
  CheckpointImage image;
  image.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = {"F32", {8}, ""};
  image.tensors["model.rotary_emb.inv_freq"] = {"F32", {8}, ""};
  image.tensors["model.position_ids"] = {"I64", {1, 8}, ""};
  const auto directory = image.Build();
  const auto file = ModelFile::Parse(FilesOf(directory));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->source().FindTensor("model.rotary_emb.inv_freq"), nullptr);
}

TEST(CheckpointFile, EveryTensorIsCountedOnce) {
  for (const uint32_t bits : {0u, 4u}) {
    const auto directory = CheckpointImage{.bits = bits, .untied = true}.Build();
    const auto file = ModelFile::Parse(FilesOf(directory));
    ASSERT_TRUE(file.ok()) << file.status().message();
    uint64_t bytes = 0;
    for (const weights::TensorView& tensor : file->source().tensors()) bytes += tensor.source_bytes();
    EXPECT_EQ(WeightBytesOf(*file).resident(), bytes);
  }
}

void FillAtOnce(uint64_t rows, const ModelFile::FillRows& fill) { fill(0, rows); }

TEST(CheckpointFile, QuantisesMatricesAtLoad) {
  CheckpointImage image{.ffn = 160};
  const auto directory = image.Build();
  auto file = ModelFile::Parse(FilesOf(directory));
  ASSERT_TRUE(file.ok()) << file.status().message();
  size_t matrices = 0;
  ASSERT_TRUE(file->Quantise(4, FillAtOnce,
                             [&](size_t done, size_t total) {
                               matrices = done;
                               EXPECT_EQ(total, 15u);
                             })
                  .ok());
  EXPECT_EQ(matrices, 15u);  // seven of each layer, and the embedding, which is the head
  const ModelFile moved = *std::move(file);
  const weights::TensorView down = moved.Tensor(Role::kDown, 1);
  EXPECT_EQ(down.dtype, DType::kAffine4);
  EXPECT_EQ(down.affine.group, 32u);  // 64 does not divide 160
  EXPECT_EQ(moved.Tensor(Role::kUp, 1).affine.group, 64u);
  EXPECT_EQ(moved.Tensor(Role::kUp, 1).affine.dtype, DType::kBF16);
  EXPECT_EQ(moved.Tensor(Role::kEmbedding).dtype, DType::kAffine4);
  EXPECT_EQ(moved.Tensor(Role::kHead).data.data(), moved.Tensor(Role::kEmbedding).data.data());
  EXPECT_EQ(moved.Tensor(Role::kAttnNorm, 0).dtype, DType::kBF16);
}

TEST(CheckpointFile, DoesNotQuantiseTwice) {
  const auto directory = CheckpointImage{.bits = 8}.Build();
  auto file = ModelFile::Parse(FilesOf(directory));
  ASSERT_TRUE(file.ok()) << file.status().message();
  const Status status = file->Quantise(4, FillAtOnce, nullptr);
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.message(), "quantising to 4 bits: the model's matrices are quantised already");
}

struct Wrong {
  std::string name;
  Code code;
  std::string message;  // whole
  std::function<void(CheckpointImage&)> change;
};

void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }

auto Config(std::string key, std::string_view value) {
  return [key = std::move(key), json = Json::Parse(value).value()](CheckpointImage& image) { image.config.Set(key, json); };
}
auto File(std::string name, std::string text) {
  return [name = std::move(name), text = std::move(text)](CheckpointImage& image) { image.files[name] = text; };
}

std::vector<Wrong> WrongDirectories() {
  const std::string index = "model.safetensors.index.json";
  return {
      {"no_config", Code::kNotFound, "config.json: missing", [](CheckpointImage& image) { image.without = {"config.json"}; }},
      {"config_array", Code::kDataLoss, "config.json: expected an object, found array", File("config.json", "[]")},
      {"config_cut", Code::kInvalidArgument, "config.json: JSON: incomplete JSON, at byte 1", File("config.json", "{")},
      {"no_model_type", Code::kDataLoss, "config.json 'model_type': expected a string", Config("model_type", "null")},
      {"no_weights", Code::kNotFound, "model.safetensors: missing, and no other .safetensors file",
       [](CheckpointImage& image) { image.without = {"model.safetensors"}; }},
      {"lying_shard", Code::kDataLoss,
       "model.safetensors: the header is 18446744073709551615 bytes long, only 2 are left in the file of 10",
       File("model.safetensors", std::string(8, '\xff') + "{}")},
      {"missing_shard", Code::kNotFound,
       "model-00002-of-00002.safetensors: missing, although model.safetensors.index.json names it",
       [](CheckpointImage& image) {
         image.sharded = true;
         image.without = {CheckpointImage::kSecond};
       }},
      {"index_without_map", Code::kDataLoss, "model.safetensors.index.json 'weight_map': expected an object", File(index, "{}")},
      {"index_leads_out", Code::kDataLoss,
       "model.safetensors.index.json 'weight_map': tensor 'a': expected the name of a .safetensors file, found "
       "\"../x.safetensors\"",
       File(index, R"({"weight_map":{"a":"../x.safetensors"}})")},
      {"index_names_too_much", Code::kDataLoss,
       "model.safetensors.index.json 'weight_map': tensor 'a' is to be in model.safetensors, but is not",
       File(index, R"({"weight_map":{"a":"model.safetensors"}})")},
      {"index_names_too_little", Code::kDataLoss,
       "model.safetensors: tensor 'model.embed_tokens.weight' [32, 64]: not in the 'weight_map' of model.safetensors.index.json",
       File(index, R"({"weight_map":{"model.norm.weight":"model.safetensors"}})")},
      {"index_names_another_shard", Code::kDataLoss,
       "model.safetensors.index.json 'weight_map': tensor 'model.norm.weight' is to be in b.safetensors, but is in "
       "model.safetensors",
       [](CheckpointImage& image) {
         image.files["b.safetensors"] = weights::testing::SafetensorsImage("{}", "");
         image.files["model.safetensors.index.json"] =
             R"({"weight_map":{"model.norm.weight":"b.safetensors","model.embed_tokens.weight":"model.safetensors"}})";
       }},
      {"in_two_shards", Code::kDataLoss, "tensor 'model.norm.weight': stands in model.safetensors and in more.safetensors",
       File("more.safetensors", weights::testing::SafetensorsBuilder().Filled("model.norm.weight", "F32", {64}, 4).Build())},
      {"shape", Code::kDataLoss,
       "model.safetensors: tensor 'model.layers.1.self_attn.k_proj.weight': expected shape [32, 64] (KV heads * head size x "
       "hidden), "
       "found [64, 64]",
       [](CheckpointImage& image) { image.tensors["model.layers.1.self_attn.k_proj.weight"] = {"BF16", {64, 64}, ""}; }},
      {"config_contradicts", Code::kDataLoss,
       "model.safetensors: tensor 'model.layers.0.mlp.gate_proj.weight': expected shape [128, 64] (feed-forward x hidden), found "
       "[96, "
       "64]",
       Config("intermediate_size", "128")},
      {"fewer_layers", Code::kUnsupported,
       "model.safetensors: tensor 'model.layers.1.input_layernorm.weight' [64]: not part of a model of family llama with 1 "
       "layers",
       Config("num_hidden_layers", "1")},
      {"more_layers", Code::kDataLoss, "tensor 'model.layers.2.input_layernorm.weight': missing",
       Config("num_hidden_layers", "3")},
      {"vocab_size", Code::kDataLoss, "config.json 'vocab_size': 33, but tensor 'model.embed_tokens.weight' has 32 rows",
       Config("vocab_size", "33")},
      {"untied_without_head", Code::kDataLoss, "tensor 'lm_head.weight': missing", Config("tie_word_embeddings", "false")},
      {"tied_of_wrong_type", Code::kInvalidArgument, "config.json 'tie_word_embeddings': expected true or false, found integer",
       Config("tie_word_embeddings", "1")},
      {"unknown_tensor", Code::kUnsupported,
       "model.safetensors: tensor 'model.vision.weight' [2, 2]: not part of a model of family llama with 2 layers",
       [](CheckpointImage& image) { image.tensors["model.vision.weight"] = {"F32", {2, 2}, ""}; }},
      {"integers", Code::kUnsupported,
       "model.safetensors: tensor 'model.norm.weight' [64]: type I32, expected F32, F16, BF16 or the U32 codes of MLX's affine "
       "format",
       [](CheckpointImage& image) { image.tensors["model.norm.weight"] = {"I32", {64}, ""}; }},
      {"five_dimensions", Code::kUnsupported, "model.safetensors: tensor 'x' [1, 1, 1, 1, 1]: 5 dimensions, expected 1 to 4",
       [](CheckpointImage& image) { image.tensors["x"] = {"F32", {1, 1, 1, 1, 1}, ""}; }},
  };
}

std::vector<Wrong> WrongQuantisation() {
  const std::string down = "model.layers.0.mlp.down_proj";
  const std::string begin = "model.safetensors: tensor '" + down + ".weight' [64, 12]: ";
  const auto method = [](std::string name) {
    return Wrong{
        name, Code::kUnsupported,
        "config.json 'quantization_config.quant_method': \"" + name +
            "\" is not supported; take the unquantised checkpoint with --quantize 4 or 8, or one in the format of MLX or GGUF",
        Config("quantization_config", "{\"quant_method\":\"" + name + "\",\"bits\":4}")};
  };
  const auto tensor = [down](std::string suffix, testing::RawTensor raw) {
    return [name = down + suffix, raw](CheckpointImage& image) { image.tensors[name] = raw; };
  };
  std::vector<Wrong> rows = {
      method("gptq"),
      method("awq"),
      method("fp8"),
      method("bitsandbytes"),
      {"bits_3", Code::kUnsupported, "config.json 'quantization.bits': 3 is not supported, expected one of 4, 6, 8",
       Config("quantization", R"({"group_size":32,"bits":3})")},
      {"group_48", Code::kUnsupported, "config.json 'quantization.group_size': 48 is not supported, expected one of 32, 64, 128",
       Config("quantization", R"({"group_size":48,"bits":4})")},
      {"no_group", Code::kDataLoss, "config.json 'quantization.group_size': missing", Config("quantization", R"({"bits":4})")},
      {"mode", Code::kUnsupported,
       "config.json 'quantization.mode': \"mxfp4\" is not supported, expected \"affine\" or no such key",
       Config("quantization", R"({"group_size":32,"bits":4,"mode":"mxfp4"})")},
      {"override_bits", Code::kUnsupported,
       "config.json 'quantization.lm_head.bits': 2 is not supported, expected one of 4, 6, 8",
       Config("quantization", R"({"group_size":32,"bits":4,"lm_head":{"group_size":32,"bits":2}})")},
      {"unknown_key", Code::kUnsupported,
       "config.json 'quantization.zero_point': expected group_size, bits, mode or a module with an object, true or false",
       Config("quantization", R"({"group_size":32,"bits":4,"zero_point":1})")},
      {"not_an_object", Code::kInvalidArgument, "config.json 'quantization': expected an object, found integer",
       Config("quantization", "4")},
      {"group_does_not_divide", Code::kDataLoss,
       begin + "12 words of 4-bit codes in a row, expected whole groups of 64 columns (8 words each)",
       [](CheckpointImage& image) {
         image.config.Set(
             "quantization",
             Json::Parse(R"({"group_size":32,"bits":4,"model.layers.0.mlp.down_proj":{"group_size":64,"bits":4}})").value());
       }},
      {"other_bits_than_said", Code::kDataLoss,
       begin + "12 words of 8-bit codes in a row, expected whole groups of 32 columns (8 words each)",
       Config("quantization", R"({"group_size":32,"bits":4,"model.layers.0.mlp.down_proj":{"group_size":32,"bits":8}})")},
      {"said_to_be_whole", Code::kDataLoss,
       begin + "holds codes (U32) with scales, but config.json 'quantization' says that this module is not quantised",
       Config("quantization", R"({"group_size":32,"bits":4,"model.layers.0.mlp.down_proj":false})")},
      {"scales_missing", Code::kDataLoss, begin + "type U32, expected '" + down + ".scales' beside it",
       [down](CheckpointImage& image) { image.without = {down + ".scales"}; }},
      {"biases_missing", Code::kDataLoss, begin + "type U32, expected '" + down + ".biases' beside it",
       [down](CheckpointImage& image) { image.without = {down + ".biases"}; }},
      {"scales_shape", Code::kDataLoss, begin + "'" + down + ".scales' has shape [64, 2], expected [64, 3]",
       tensor(".scales", {"BF16", {64, 2}, ""})},
      {"biases_shape", Code::kDataLoss, begin + "'" + down + ".biases' has shape [3, 64], expected [64, 3]",
       tensor(".biases", {"BF16", {3, 64}, ""})},
      {"biases_type", Code::kDataLoss, begin + "'" + down + ".biases' has type F32, expected BF16 like the scales",
       tensor(".biases", {"F32", {64, 3}, ""})},
      {"scales_type", Code::kUnsupported, begin + "'" + down + ".scales' has type U8, expected F32, F16 or BF16",
       tensor(".scales", {"U8", {64, 3}, ""})},
      {"columns", Code::kDataLoss,
       "model.safetensors: tensor '" + down + ".weight': expected shape [64, 96] (hidden x feed-forward), found [64, 64]",
       [down](CheckpointImage& image) {
         image.tensors[down + ".weight"] = {"U32", {64, 8}, ""};
         image.tensors[down + ".scales"] = image.tensors[down + ".biases"] = {"BF16", {64, 2}, ""};
       }},
  };
  for (Wrong& row : rows) {
    row.change = [change = std::move(row.change)](CheckpointImage& image) {
      image.bits = 4;
      change(image);
    };
  }
  return rows;
}

class WrongCheckpoints : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongCheckpoints, AreRefusedWithTheReason) {
  CheckpointImage image;
  GetParam().change(image);
  const auto directory = image.Build();
  const auto file = ModelFile::Parse(FilesOf(directory));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().message(), GetParam().message);
  EXPECT_EQ(file.status().code(), GetParam().code) << file.status().message();
}

const auto kName = [](const auto& row) { return row.param.name; };
INSTANTIATE_TEST_SUITE_P(Directory, WrongCheckpoints, ::testing::ValuesIn(WrongDirectories()), kName);
INSTANTIATE_TEST_SUITE_P(Quantised, WrongCheckpoints, ::testing::ValuesIn(WrongQuantisation()), kName);

TEST(CheckpointFile, AnUnknownModelTypeNamesTheNearest) {
  CheckpointImage image;
  image.config.Set("model_type", "lama");
  const auto directory = image.Build();
  const auto file = ModelFile::Parse(FilesOf(directory));
  EXPECT_EQ(file.status().code(), Code::kUnsupported);
  EXPECT_TRUE(file.status().message().starts_with("model_type 'lama' is not supported, nearest is 'llama'; this build knows: "))
      << file.status().message();
}

TEST(CheckpointFile, CodesWithoutWordOfThemInTheConfiguration) {
  CheckpointImage image{.bits = 4};
  image.config.Set("quantization", Json());
  const auto directory = image.Build();
  const auto file = ModelFile::Parse(FilesOf(directory));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().message(),
            "model.safetensors: tensor 'model.embed_tokens.weight' [32, 8]: holds codes (U32) with scales, but config.json "
            "'quantization' says nothing");
}

}  // namespace
}  // namespace millrace::model
