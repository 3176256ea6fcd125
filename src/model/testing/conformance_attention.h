// AttnIn and Attend of conformance.h.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/testing/conformance_fixture.h"
#include "model/testing/plain_forward.h"

namespace millrace::model::testing {

// What AttnIn should have stored is checked through Attend, after several steps, on all positions of the cache.
struct AttentionCase {
  std::string name;
  std::function<void(ModelConfig&)> change;
  std::optional<NormKind> norm = NormKind::kRms;
  bool bias = false;
  std::vector<uint32_t> steps = {7, 1, 3};
};

inline std::vector<AttentionCase> AttentionCases() {
  std::vector<AttentionCase> cases;
  const auto add = [&](std::string name, std::function<void(LayerConfig&, ModelConfig&)> change) -> AttentionCase& {
    cases.push_back({.name = std::move(name), .change = [change](ModelConfig& c) { change(c.layers[0], c); }});
    return cases.back();
  };
  add("halves", [](LayerConfig&, ModelConfig&) {});
  add("adjacent", [](LayerConfig&, ModelConfig& c) { c.ropes[0].style = RopeStyle::kAdjacentPairs; }).bias = true;
  add("no rope and no norm", [](LayerConfig& l, ModelConfig&) { l.rope = -1; }).norm.reset();
  add("layer norm and bias", [](LayerConfig&, ModelConfig&) {}).norm = NormKind::kLayer;
  cases.back().bias = true;
  add("part of a head, with a magnitude", [](LayerConfig& l, ModelConfig& c) {
    c.ropes.push_back(SmallRope(l.head_dim / 2, 500));
    c.ropes[1].magnitude = 1.25F;
    l.rope = 1;
  });
  add("norms of heads", [](LayerConfig& l, ModelConfig&) { l.qk_norm = QkNorm::kPerHead; }).bias = true;
  add("norms of the full width", [](LayerConfig& l, ModelConfig&) { l.qk_norm = QkNorm::kFullWidth; }).norm.reset();
  add("window", [](LayerConfig& l, ModelConfig&) { l.window = 4; });
  add("softcap", [](LayerConfig& l, ModelConfig&) { l.attention_softcap = 0.7F; });
  add("wide window and softcap over tiles", [](LayerConfig& l, ModelConfig&) { l.window = 200, l.attention_softcap = 2; }).steps =
      std::vector<uint32_t>(10, 60);
  return cases;
}

TYPED_TEST_P(Conformance, AttnInAndAttend) {
  for (const AttentionCase& one : AttentionCases()) {
    SCOPED_TRACE(one.name);
    this->ForShapesAndTypes([&](const OpShape& shape, DType dtype) {
      ModelConfig config = this->ConfigOf(shape);
      one.change(config);
      this->Make(config);
      const LayerConfig& layer = this->config_.layers[0];
      const uint32_t q_width = layer.heads * layer.head_dim;
      const uint32_t kv_width = layer.kv_heads * layer.head_dim;
      const auto wq = this->Matrices(dtype, q_width + 2 * kv_width, shape.hidden, layer.heads / layer.kv_heads + 2);
      AttnInOp<typename TypeParam::Backend::Weight> op{
          .norm = std::nullopt, .qkv = wq.weight, .bias = std::nullopt, .qk_norm = std::nullopt, .layer = 0};
      PlainNorm plain_norm;
      if (one.norm) {
        const auto norm = this->Norm(shape.hidden, *one.norm);
        op.norm = norm.op;
        plain_norm = norm.plain;
      }
      Vector bias;
      if (one.bias) {
        const auto loaded = this->Vectors(q_width + 2 * kv_width, 0, 3);
        op.bias = loaded.weight;
        bias = loaded.values;
      }
      Vector query_norm, key_norm;
      if (layer.qk_norm != QkNorm::kNone) {
        const bool full = layer.qk_norm == QkNorm::kFullWidth;
        const auto query = this->Vectors(full ? q_width : layer.head_dim, 1);
        const auto key = this->Vectors(full ? kv_width : layer.head_dim, 1);
        op.qk_norm = {layer.qk_norm, query.weight, key.weight, 1e-5F};
        query_norm = query.values;
        key_norm = key.values;
      }
      std::vector<Vector> keys, values;  // of slot 0
      uint32_t first = 0;
      for (const uint32_t count : one.steps) {
        const std::vector<float> x = this->RandomRows(count + 2, shape.hidden);
        std::vector<Vector> expected_q, expected_a;
        std::vector<Vector> other_keys, other_values;  // slot 1 begins anew with each step
        const std::vector<Vector> rows = this->RowsOf(x, shape.hidden);
        for (uint32_t i = 0; i < rows.size(); ++i) {
          const size_t position = i < count ? first + i : i - count;
          Vector qkv = Times(wq.matrix, Normalise(plain_norm, rows[i]));
          AddTo(qkv, bias);
          const auto begin = qkv.begin();
          Vector q(begin, begin + q_width), k(begin + q_width, begin + q_width + kv_width),
              v(begin + q_width + kv_width, qkv.end());
          if (!query_norm.empty()) {
            NormaliseEach(query_norm, 1e-5, q);
            NormaliseEach(key_norm, 1e-5, k);
          }
          if (layer.rope >= 0) {
            Rotate(config.ropes[static_cast<size_t>(layer.rope)], layer.head_dim, position, q);
            Rotate(config.ropes[static_cast<size_t>(layer.rope)], layer.head_dim, position, k);
          }
          (i < count ? keys : other_keys).push_back(k);
          (i < count ? values : other_values).push_back(v);
          expected_q.push_back(q);
          expected_a.push_back(AttendRow(layer, q, i < count ? keys : other_keys, i < count ? values : other_values, position));
        }
        this->InStep(first, count, [&] {
          auto& backend = *this->backend_;
          const auto q = backend.AttnIn(TypeParam::Write(backend, x, shape.hidden), op);
          EXPECT_LT(RelativeError(expected_q, TypeParam::Read(backend, q, count + 2)), this->ErrorOf(dtype, 1));
          const auto a = backend.Attend(
              q, {.layer = 0, .scale = layer.attention_scale, .window = layer.window, .softcap = layer.attention_softcap});
          // Queries, keys and values are one product each.
          EXPECT_LT(RelativeError(expected_a, TypeParam::Read(backend, a, count + 2)),
                    this->ErrorOf(dtype, 3) + TypeParam::kAttentionError);
        });
        first += count;
      }
    });
  }
}

}  // namespace millrace::model::testing
