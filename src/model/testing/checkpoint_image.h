// A checkpoint directory in memory: a llama of chosen dimensions, float or quantised as MLX does, whose weights are all zero bytes unless a
// test says otherwise. For tests of everything that reads shapes, not values.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "model/named_file.h"
#include "weights/testing/gguf_builder.h"
#include "weights/testing/safetensors_builder.h"

namespace millrace::model::testing {

struct RawTensor {
  std::string type;
  std::vector<uint64_t> shape;  // outermost first
  std::string data;             // empty: zero bytes of the right number
};

struct CheckpointImage {
  uint32_t hidden = 64, heads = 4, kv_heads = 2, head_dim = 16, ffn = 96, vocab = 32, layers = 2;
  std::string type = "BF16";
  uint32_t bits = 0;  // not 0: matrices are quantised
  uint32_t group = 32;
  bool untied = false;
  bool sharded = false;                        // layer 0 in a second shard, and an index
  Json config = BaseConfig();                  // dimensions are added by Files where they are absent
  std::set<std::string> without{};             // tensors to leave out, and files
  std::map<std::string, RawTensor> tensors{};  // tensors to add or replace
  std::map<std::string, std::string> files{};  // files to add or replace

  static Json BaseConfig() {
    return Json(
        Json::Object{{"model_type", Json("llama")}, {"max_position_embeddings", Json(256)}, {"rms_norm_eps", Json(1e-5)}});
  }

  // The names and bytes of the directory.
  std::map<std::string, std::string> Build() const {
    std::map<std::string, std::string> out;
    out["config.json"] = Config().Write();
    const auto all = Tensors();
    weights::testing::SafetensorsBuilder first, second;
    Json::Object map;
    for (const auto& [name, tensor] : all) {
      const bool in_second = sharded && name.find(".layers.0.") != std::string::npos;
      Add(in_second ? second : first, name, tensor);
      map.emplace_back(name, Json(in_second ? kSecond : kFirst));
    }
    if (sharded) {
      out[kFirst] = first.Build();
      out[kSecond] = second.Build();
      out["model.safetensors.index.json"] =
          Json(Json::Object{{"metadata", Json(Json::Object{})}, {"weight_map", Json(map)}}).Write();
    } else {
      out["model.safetensors"] = first.Build();
    }
    for (const auto& [name, text] : files) out[name] = text;
    for (const std::string& name : without) out.erase(name);
    return out;
  }

  static constexpr const char* kFirst = "model-00001-of-00002.safetensors";
  static constexpr const char* kSecond = "model-00002-of-00002.safetensors";

 private:
  Json Config() const {
    Json out = config;
    const std::vector<std::pair<std::string, uint32_t>> numbers = {
        {"hidden_size", hidden}, {"num_attention_heads", heads}, {"num_key_value_heads", kv_heads}, {"head_dim", head_dim},
        {"vocab_size", vocab},   {"num_hidden_layers", layers},  {"intermediate_size", ffn}};
    for (const auto& [key, value] : numbers) {
      if (out.Find(key) == nullptr) out.Set(key, Json(uint64_t{value}));
    }
    if (out.Find("tie_word_embeddings") == nullptr) out.Set("tie_word_embeddings", Json(!untied));
    if (bits != 0 && out.Find("quantization") == nullptr) {
      out.Set("quantization", Json(Json::Object{{"group_size", Json(uint64_t{group})}, {"bits", Json(uint64_t{bits})}}));
    }
    return out;
  }

  std::map<std::string, RawTensor> Tensors() const {
    std::map<std::string, RawTensor> out;
    const uint64_t q = uint64_t{heads} * head_dim, kv = uint64_t{kv_heads} * head_dim;
    AddMatrix(out, "model.embed_tokens", vocab, hidden);
    out["model.norm.weight"] = {type, {hidden}, ""};
    if (untied) AddMatrix(out, "lm_head", vocab, hidden);
    for (uint32_t i = 0; i < layers; ++i) {
      const std::string layer = "model.layers." + std::to_string(i) + ".";
      out[layer + "input_layernorm.weight"] = {type, {hidden}, ""};
      out[layer + "post_attention_layernorm.weight"] = {type, {hidden}, ""};
      AddMatrix(out, layer + "self_attn.q_proj", q, hidden);
      AddMatrix(out, layer + "self_attn.k_proj", kv, hidden);
      AddMatrix(out, layer + "self_attn.v_proj", kv, hidden);
      AddMatrix(out, layer + "self_attn.o_proj", hidden, q);
      AddMatrix(out, layer + "mlp.gate_proj", ffn, hidden);
      AddMatrix(out, layer + "mlp.up_proj", ffn, hidden);
      AddMatrix(out, layer + "mlp.down_proj", hidden, ffn);
    }
    for (const auto& [name, tensor] : tensors) out[name] = tensor;
    for (const std::string& name : without) out.erase(name);
    return out;
  }

  void AddMatrix(std::map<std::string, RawTensor>& out, const std::string& module, uint64_t rows, uint64_t cols) const {
    if (bits == 0) {
      out[module + ".weight"] = {type, {rows, cols}, ""};
      return;
    }
    out[module + ".weight"] = {"U32", {rows, cols * bits / 32}, ""};
    out[module + ".scales"] = {type, {rows, cols / group}, ""};
    out[module + ".biases"] = {type, {rows, cols / group}, ""};
  }

  static void Add(weights::testing::SafetensorsBuilder& builder, const std::string& name, const RawTensor& tensor) {
    if (!tensor.data.empty()) {
      builder.Add(name, tensor.type, tensor.shape, tensor.data);
      return;
    }
    const uint64_t bytes = tensor.type == "F32" || tensor.type == "U32" || tensor.type == "I32" ? 4
                           : tensor.type == "I64"                                               ? 8
                           : tensor.type == "U8"                                                ? 1
                                                                                                : 2;
    builder.Filled(name, tensor.type, tensor.shape, bytes);
  }
};

// A list of the files, over strings that outlive it.
inline std::vector<NamedFile> FilesOf(const std::map<std::string, std::string>& directory) {
  std::vector<NamedFile> files;
  for (const auto& [name, bytes] : directory) files.push_back({name, weights::testing::AsBytes(bytes)});
  return files;
}

}  // namespace millrace::model::testing
