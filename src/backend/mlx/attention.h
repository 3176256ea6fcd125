// Rotation of queries and keys, and attention of one span over the stored positions of its sequence.
#pragma once

#include <mlx/array.h>

#include <cstdint>

#include "model/config.h"

namespace millrace::backend_mlx {

// Cosines and sines of every position of the context, made once in double precision: [context, pairs] each.
struct RopeTable {
  mlx::core::array cosines;
  mlx::core::array sines;
};
RopeTable MakeRopeTable(const model::RopeConfig& rope, uint32_t context);

// The rows of a table for the positions of a step's tokens: [tokens, 1, pairs].
RopeTable RowsOf(const RopeTable& table, const mlx::core::array& positions);

// x: [tokens, heads, head_dim]; `rows` as RowsOf gives them.
mlx::core::array Rotate(const mlx::core::array& x, model::RopeStyle style, const RopeTable& rows);

struct AttentionSpan {
  uint32_t first_position = 0;  // of the queries
  uint32_t first_key = 0;       // position of the first key that is given
  uint32_t window = 0;          // positions that a query sees, its own included; 0 = all
  float scale = 1;
  float softcap = 0;
};

// The first position that any query from `first_position` on can see.
uint32_t FirstVisible(uint32_t first_position, uint32_t window);

// queries [tokens, heads, head_dim]; keys, values [kv_heads, positions, head_dim], all positions from first_key to that of the last query.
// -> [tokens, heads * head_dim]. Runs in the type of the queries.
mlx::core::array AttendSpan(const mlx::core::array& queries, const mlx::core::array& keys, const mlx::core::array& values,
                            const AttentionSpan& span);

}  // namespace millrace::backend_mlx
