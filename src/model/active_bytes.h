// ActiveBytes: what one decode step reads from memory, by the one definition that every page and program shares.
//
// Counted: every quantised and float tensor that a step reads, once, in the format of the source file (scales, minima, norms and
// biases included), the output head also when it is tied to the embedding; and for each sequence the keys and values of all
// positions up to and including its own that a layer's window lets it see. Not counted: the row that is fetched from the embedding table.
// bytes per token = total() / batch.
#pragma once

#include <cstdint>

#include "model/config.h"
#include "model/model_file.h"

namespace millrace::model {

// Sizes of a model's weights in the source format, apart from any file: enough to predict without one.
struct WeightBytes {
  uint64_t embedding = 0;  // the table; also the head when tied
  uint64_t head = 0;       // what the head reads: equals embedding when tied
  uint64_t layers = 0;     // matrices and biases of all layers, without experts
  uint64_t norms = 0;      // of all layers, and the last one
  uint64_t experts = 0;    // of all layers
  bool tied = false;

  uint64_t resident() const { return embedding + (tied ? 0 : head) + layers + norms + experts; }
};

WeightBytes WeightBytesOf(const ModelFile& file);

struct ActiveBytesParts {
  uint64_t head = 0;
  uint64_t layers = 0;
  uint64_t norms = 0;
  uint64_t experts = 0;  // of those that the batch is expected to choose
  uint64_t kv = 0;       // of all sequences

  uint64_t weights() const { return head + layers + norms + experts; }
  uint64_t total() const { return weights() + kv; }
};

// Keys and values of one position of one sequence, all layers.
uint64_t KvBytesPerToken(const ModelConfig& config, KvType type);

// A decode step of `batch` sequences whose new tokens all stand at `position` (from 0): each reads position + 1 stored positions, or
// a layer's window if that is less. Of experts the expected number of different ones is read, every expert being as likely as any other:
// count * (1 - (1 - used / count)^batch), which is exact for a batch of 1.
ActiveBytesParts ActiveBytes(const ModelConfig& config, const WeightBytes& weights, uint32_t position, uint32_t batch,
                             KvType type);

}  // namespace millrace::model
