// The names that most families share, as pieces of their tables. The checkpoint names are those of transformers' Llama.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "model/families.h"

namespace millrace::model::names {

template <size_t... kSizes>
constexpr auto Join(const std::array<TensorName, kSizes>&... parts) {
  std::array<TensorName, (kSizes + ...)> all{};
  size_t at = 0;
  const auto append = [&all, &at](const auto& part) {
    for (const TensorName& name : part) all[at++] = name;
  };
  (append(parts), ...);
  return all;
}

// For checkpoints that store a norm's weights without their 1.
template <size_t kSize>
constexpr std::array<TensorName, kSize> WithOffset(std::array<TensorName, kSize> names, float offset) {
  for (TensorName& name : names) name.checkpoint_offset = offset;
  return names;
}

inline constexpr std::array<TensorName, 2> kTables = {{
    {Role::kEmbedding, "token_embd.weight", "model.embed_tokens.weight"},
    {Role::kHead, "output.weight", "lm_head.weight"},
}};

inline constexpr std::array<TensorName, 1> kOutputNorm = {{{Role::kOutputNorm, "output_norm.weight", "model.norm.weight"}}};

inline constexpr std::array<TensorName, 2> kPreNorms = {{
    {Role::kAttnNorm, "blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight"},
    {Role::kMlpNorm, "blk.{}.ffn_norm.weight", "model.layers.{}.post_attention_layernorm.weight"},
}};

inline constexpr std::array<TensorName, 4> kAttention = {{
    {Role::kQuery, "blk.{}.attn_q.weight", "model.layers.{}.self_attn.q_proj.weight"},
    {Role::kKey, "blk.{}.attn_k.weight", "model.layers.{}.self_attn.k_proj.weight"},
    {Role::kValue, "blk.{}.attn_v.weight", "model.layers.{}.self_attn.v_proj.weight"},
    {Role::kAttnOut, "blk.{}.attn_output.weight", "model.layers.{}.self_attn.o_proj.weight"},
}};

inline constexpr std::array<TensorName, 3> kQkvBiases = {{
    {Role::kQueryBias, "blk.{}.attn_q.bias", "model.layers.{}.self_attn.q_proj.bias"},
    {Role::kKeyBias, "blk.{}.attn_k.bias", "model.layers.{}.self_attn.k_proj.bias"},
    {Role::kValueBias, "blk.{}.attn_v.bias", "model.layers.{}.self_attn.v_proj.bias"},
}};

inline constexpr std::array<TensorName, 1> kAttnOutBias = {
    {{Role::kAttnOutBias, "blk.{}.attn_output.bias", "model.layers.{}.self_attn.o_proj.bias"}}};

inline constexpr std::array<TensorName, 2> kQkNorms = {{
    {Role::kQueryNorm, "blk.{}.attn_q_norm.weight", "model.layers.{}.self_attn.q_norm.weight"},
    {Role::kKeyNorm, "blk.{}.attn_k_norm.weight", "model.layers.{}.self_attn.k_norm.weight"},
}};

// Norms of what attention and MLP give, with no norms before them.
inline constexpr std::array<TensorName, 2> kPostNorms = {{
    {Role::kAttnPostNorm, "blk.{}.post_attention_norm.weight", "model.layers.{}.post_attention_layernorm.weight"},
    {Role::kMlpPostNorm, "blk.{}.post_ffw_norm.weight", "model.layers.{}.post_feedforward_layernorm.weight"},
}};

inline constexpr std::array<TensorName, 3> kGatedMlp = {{
    {Role::kGate, "blk.{}.ffn_gate.weight", "model.layers.{}.mlp.gate_proj.weight"},
    {Role::kUp, "blk.{}.ffn_up.weight", "model.layers.{}.mlp.up_proj.weight"},
    {Role::kDown, "blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight"},
}};

// All of them, for models in the manner of Llama.
inline constexpr auto kLlama = Join(kTables, kOutputNorm, kPreNorms, kAttention, kGatedMlp);

}  // namespace millrace::model::names
