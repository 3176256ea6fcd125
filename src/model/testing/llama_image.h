// A llama GGUF image of chosen dimensions whose weights are all zero bytes: for tests of everything that reads shapes, not
// values.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "weights/testing/gguf_builder.h"

namespace millrace::model::testing {

struct LlamaImage {
  uint32_t hidden = 64, heads = 4, kv_heads = 2, head_dim = 16, ffn = 96, vocab = 32, layers = 2;
  DType matrix_type = DType::kQ4_1;
  DType embedding_type = DType::kQ8_0;
  bool untied = false;
  std::string architecture = "llama";
  std::set<std::string> without{};                        // keys and tensors to leave out
  std::map<std::string, std::vector<uint64_t>> shapes{};  // tensors to give another shape, innermost first
  std::map<std::string, DType> types{};                   // tensors to give another type
  std::map<std::string, uint32_t> numbers{};              // u32 keys to add or replace
  weights::testing::GgufBuilder extra{};                  // what else there is to be, added first

  std::string Build() const {
    weights::testing::GgufBuilder out = extra;
    const auto key = [&](const std::string& name) { return without.count(name) == 0 && numbers.count(name) == 0; };
    if (key("general.architecture")) out.String("general.architecture", architecture);
    const std::vector<std::pair<std::string, uint32_t>> dimensions = {
        {"llama.block_count", layers},      {"llama.context_length", 256},         {"llama.embedding_length", hidden},
        {"llama.feed_forward_length", ffn}, {"llama.attention.head_count", heads}, {"llama.attention.head_count_kv", kv_heads}};
    for (const auto& [name, value] : dimensions) {
      if (key(name)) out.U32(name, value);
    }
    for (const auto& [name, value] : numbers) out.U32(name, value);
    const std::string epsilon = "llama.attention.layer_norm_rms_epsilon";
    if (key(epsilon)) out.F32(epsilon, 1e-5F);
    AddTensors(out);
    return out.Build();
  }

 private:
  void AddTensors(weights::testing::GgufBuilder& out) const {
    const uint64_t q = uint64_t{heads} * head_dim;
    const uint64_t kv = uint64_t{kv_heads} * head_dim;
    AddTensor(out, "token_embd.weight", {hidden, vocab}, embedding_type);
    AddTensor(out, "output_norm.weight", {hidden}, DType::kF32);
    if (untied) AddTensor(out, "output.weight", {hidden, vocab}, embedding_type);
    for (uint32_t i = 0; i < layers; ++i) {
      const std::string block = "blk." + std::to_string(i) + ".";
      AddTensor(out, block + "attn_norm.weight", {hidden}, DType::kF32);
      AddTensor(out, block + "attn_q.weight", {hidden, q}, matrix_type);
      AddTensor(out, block + "attn_k.weight", {hidden, kv}, matrix_type);
      AddTensor(out, block + "attn_v.weight", {hidden, kv}, matrix_type);
      AddTensor(out, block + "attn_output.weight", {q, hidden}, matrix_type);
      AddTensor(out, block + "ffn_norm.weight", {hidden}, DType::kF32);
      AddTensor(out, block + "ffn_gate.weight", {hidden, ffn}, matrix_type);
      AddTensor(out, block + "ffn_up.weight", {hidden, ffn}, matrix_type);
      AddTensor(out, block + "ffn_down.weight", {ffn, hidden}, matrix_type);
    }
  }

  void AddTensor(weights::testing::GgufBuilder& out, const std::string& name, std::vector<uint64_t> dims, DType type) const {
    if (without.count(name) != 0) return;
    if (const auto at = shapes.find(name); at != shapes.end()) dims = at->second;
    if (const auto at = types.find(name); at != types.end()) type = at->second;
    out.Filled(name, std::move(dims), type);
  }
};

}  // namespace millrace::model::testing
