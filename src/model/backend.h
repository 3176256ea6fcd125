// The fine seam: what a backend must offer so that decoder.h can drive it. Each op is one parallel section, not a primitive, so
// that a backend is free to fuse inside it. Frozen: docs/adr/0003-op-list.md. Checked at compile time; no virtual calls.
//
// A backend is used from one thread. Handles (Weight, Act) are cheap to copy and valid as long as the backend (Weight) or until
// End of the step (Act). Act rows are the tokens of the step, in StepBatch order; shapes below are [rows, width].
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <span>

#include "base/status.h"
#include "model/config.h"
#include "model/model_runner.h"
#include "weights/tensor_view.h"

namespace millrace::model {

// y = norm(x), over the width of the row; `bias` only where the kind is kLayer.
template <typename Weight>
struct NormOp {
  Weight weight;
  std::optional<Weight> bias = std::nullopt;
  NormKind kind = NormKind::kRms;
  float epsilon = 0;
};

// RMS norms of queries and keys, before rope.
template <typename Weight>
struct QkNormOp {
  QkNorm kind;  // not kNone
  Weight query;
  Weight key;
  float epsilon;
};

// x -> q: norm if there is one, [q; k; v] = W n + bias, norms and rope on q and k, then k and v are appended to the cache in stored
// form.
template <typename Weight>
struct AttnInOp {
  std::optional<NormOp<Weight>> norm;
  Weight qkv;                  // rows: heads * head_dim queries, then kv_heads * head_dim keys, then as many values
  std::optional<Weight> bias;  // of all these rows
  std::optional<QkNormOp<Weight>> qk_norm;
  uint32_t layer;  // rope and shapes are the ModelConfig's
};

// q -> a: softmax(cap(q k^T * scale)) v over the cached positions own - window + 1..own, or 0..own where window is 0.
struct AttendOp {
  uint32_t layer;
  float scale;
  uint32_t window = 0;
  float softcap = 0;  // cap(s) = softcap * tanh(s / softcap); 0 = s
};

// (a, x) -> x + scale * post_norm(W a + bias). Attention output and MLP down.
template <typename Weight>
struct OutAddOp {
  Weight weight;
  std::optional<Weight> bias = std::nullopt;
  std::optional<NormOp<Weight>> post_norm = std::nullopt;
  float scale = 1;
};

// x -> act(gate n) * (up n), or act(up n + bias) without a gate; n = norm(x), or x where there is none.
template <typename Weight>
struct MlpInOp {
  std::optional<NormOp<Weight>> norm;
  bool gated = true;
  Weight gate_up;              // rows: ffn of gate, then ffn of up; without a gate up alone
  std::optional<Weight> bias;  // of up, without a gate
  Activation activation;
};

// x -> x + scale * post_norm(sum over the chosen experts e of p_e * down_e(act(gate_e n) * (up_e n))), n = norm(x).
//
// The router's logits r = router n go through a softmax over all experts; the `used` largest are chosen, ties to the lowest expert; p_e
// are their softmax values, divided by their sum where `renormalise` says so.
template <typename Weight>
struct ExpertsOp {
  std::optional<NormOp<Weight>> norm;
  Weight router;
  Weight gate_up;  // loaded from gate 0, up 0, gate 1, up 1, …
  Weight down;     // loaded from down 0, down 1, …
  ExpertsConfig experts;
  Activation activation;
  std::optional<NormOp<Weight>> post_norm;
  float scale = 1;
};

// x -> logits of the output rows only: cap(scale * W norm(x)).
template <typename Weight>
struct HeadOp {
  NormOp<Weight> norm;
  Weight weight;
  float scale = 1;
  float softcap = 0;
};

template <typename B>
concept Backend = requires(B& backend, const B& constant, typename B::Act act, const StepBatch& batch,
                           std::span<const weights::TensorView> views, const AttnInOp<typename B::Weight>& attn_in,
                           const AttendOp& attend, const OutAddOp<typename B::Weight>& out_add,
                           const MlpInOp<typename B::Weight>& mlp_in, const ExpertsOp<typename B::Weight>& experts,
                           const HeadOp<typename B::Weight>& head, typename B::Weight weight, float scale) {
  // Takes one matrix, or several of the same width that are stacked by rows (q, k, v; gate, up; experts), each of its own type.
  // Copies what it needs: the views may go away afterwards. kUnsupported names a tensor whose type it cannot hold.
  { backend.Load(views) } -> std::same_as<Result<typename B::Weight>>;
  // Takes one vector, or several that follow each other (biases of q, k, v): kept as f32, TensorView::offset added.
  { backend.LoadVector(views) } -> std::same_as<Result<typename B::Weight>>;

  // Checks the batch (positions, blocks, ranges), applies block changes and KV copies.
  { backend.Begin(batch) } -> std::same_as<Status>;
  { backend.Embed(weight, scale) } -> std::same_as<typename B::Act>;       // [tokens, hidden], rows times scale
  { backend.AttnIn(act, attn_in) } -> std::same_as<typename B::Act>;       // [tokens, heads * head_dim]
  { backend.Attend(act, attend) } -> std::same_as<typename B::Act>;        // [tokens, heads * head_dim]
  { backend.OutAdd(act, out_add, act) } -> std::same_as<typename B::Act>;  // (input, op, residual) -> residual's shape
  { backend.MlpIn(act, mlp_in) } -> std::same_as<typename B::Act>;         // [tokens, ffn]
  { backend.Experts(act, experts) } -> std::same_as<typename B::Act>;      // [tokens, hidden]
  { backend.Head(act, head) };                                             // logits kept for End
  { backend.End() } -> std::same_as<Result<StepResult>>;

  { constant.info() } -> std::same_as<const RunnerInfo&>;
};

}  // namespace millrace::model
