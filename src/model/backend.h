// The fine seam: what a backend must offer so that decoder.h can drive it. Each op is one parallel section, not a primitive, so
// that a backend is free to fuse inside it. Frozen: docs/adr/0003-op-list.md. Checked at compile time; no virtual calls.
//
// A backend is used from one thread. Handles (Weight, Act) are cheap to copy and valid as long as the backend (Weight) or until
// End of the step (Act). Act rows are the tokens of the step, in StepBatch order; shapes below are [rows, width].
#pragma once

#include <concepts>
#include <cstdint>
#include <span>

#include "base/status.h"
#include "model/config.h"
#include "model/model_runner.h"
#include "weights/tensor_view.h"

namespace millrace::model {

// RMS norm y = x / sqrt(mean(x^2) + epsilon) * weight.
template <typename Weight>
struct NormOp {
  Weight weight;
  float epsilon;
};

// x -> q: norm, [q; k; v] = W x, rope on q and k, then k and v are appended to the cache in stored form.
template <typename Weight>
struct AttnInOp {
  NormOp<Weight> norm;
  Weight qkv;  // rows: heads * head_dim queries, then kv_heads * head_dim keys, then as many values
  uint32_t layer;
};

// q -> a: softmax(q k^T * scale) v over the cached positions 0..own.
struct AttendOp {
  uint32_t layer;
  float scale;
};

// (a, x) -> x + W a. Attention output and MLP down.
template <typename Weight>
struct OutAddOp {
  Weight weight;
};

// x -> act(gate n) * (up n), n = norm(x).
template <typename Weight>
struct MlpInOp {
  NormOp<Weight> norm;
  Weight gate_up;  // rows: ffn of gate, then ffn of up
  Activation activation;
};

// x -> logits of the output rows only: W norm(x).
template <typename Weight>
struct HeadOp {
  NormOp<Weight> norm;
  Weight weight;
};

template <typename B>
concept Backend = requires(
    B& backend, const B& constant, typename B::Act act, const StepBatch& batch, std::span<const weights::TensorView> views,
    const AttnInOp<typename B::Weight>& attn_in, const AttendOp& attend, const OutAddOp<typename B::Weight>& out_add,
    const MlpInOp<typename B::Weight>& mlp_in, const HeadOp<typename B::Weight>& head, typename B::Weight weight) {
  // Takes one tensor, or several that are stacked by rows (q, k, v; gate, up). Copies what it needs: the views may go away
  // afterwards.
  { backend.Load(views) } -> std::same_as<Result<typename B::Weight>>;

  // Checks the batch (positions, blocks, ranges), applies block changes and KV copies.
  { backend.Begin(batch) } -> std::same_as<Status>;
  { backend.Embed(weight) } -> std::same_as<typename B::Act>;              // [tokens, hidden]
  { backend.AttnIn(act, attn_in) } -> std::same_as<typename B::Act>;       // [tokens, heads * head_dim]
  { backend.Attend(act, attend) } -> std::same_as<typename B::Act>;        // [tokens, heads * head_dim]
  { backend.OutAdd(act, out_add, act) } -> std::same_as<typename B::Act>;  // (input, op, residual) -> residual's shape
  { backend.MlpIn(act, mlp_in) } -> std::same_as<typename B::Act>;         // [tokens, ffn]
  { backend.Head(act, head) };                                             // logits kept for End
  { backend.End() } -> std::same_as<Result<StepResult>>;

  { constant.info() } -> std::same_as<const RunnerInfo&>;
};

}  // namespace millrace::model
