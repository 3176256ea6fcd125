// Feeds token lists to any ModelRunner by hand, in whatever steps a test decides.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "base/types.h"
#include "model/model_runner.h"

namespace millrace::model::testing {

inline std::vector<TokenId> RandomTokens(size_t count, uint32_t seed, uint32_t vocab) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % vocab);
  return tokens;
}

struct Parts {
  std::span<const TokenId> tokens{};
  std::span<const SpanOfTokens> spans{};
  std::span<const BlockChange> changes{};
  std::span<const KvCopy> copies{};
  std::span<const OutputRow> outputs{};
};

inline StepBatch Batch(const Parts& parts) {
  StepBatch batch;
  batch.tokens = parts.tokens;
  batch.spans = parts.spans;
  batch.block_changes = parts.changes;
  batch.kv_copies = parts.copies;
  batch.outputs = parts.outputs;
  return batch;
}

// One sequence on its way through a runner. The blocks of a slot follow each other in the pool, the last one first unless the runner
// wants them consecutive.
struct Walker {
  uint32_t slot;
  std::vector<TokenId> tokens;
  uint32_t done = 0;
  std::vector<float> logits;  // of all positions
};

inline BlockChange BlockOf(const RunnerInfo& info, uint32_t slot, uint32_t index) {
  const uint32_t each = (info.context + info.block_tokens - 1) / info.block_tokens;
  return {slot, index, slot * each + (info.kv_contiguous ? index : each - 1 - index)};
}

// One step that feeds `counts[i]` tokens of walker i, all of them with logits.
inline void Step(ModelRunner& runner, std::span<Walker* const> walkers, std::span<const uint32_t> counts) {
  std::vector<TokenId> tokens;
  std::vector<SpanOfTokens> spans;
  std::vector<BlockChange> changes;
  std::vector<OutputRow> outputs;
  for (size_t i = 0; i < walkers.size(); ++i) {
    Walker& walker = *walkers[i];
    if (counts[i] == 0) continue;
    spans.push_back({walker.slot, walker.done, static_cast<uint32_t>(tokens.size()), counts[i]});
    for (uint32_t k = 0; k < counts[i]; ++k) {
      const uint32_t position = walker.done + k;
      if (position % runner.info().block_tokens == 0) {
        changes.push_back(BlockOf(runner.info(), walker.slot, position / runner.info().block_tokens));
      }
      outputs.push_back({static_cast<uint32_t>(tokens.size())});
      tokens.push_back(walker.tokens[position]);
    }
  }
  const auto ticket = runner.Launch(Batch({.tokens = tokens, .spans = spans, .changes = changes, .outputs = outputs}));
  ASSERT_TRUE(ticket.ok()) << ticket.status().ToString();
  const auto result = runner.Collect(*ticket);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  ASSERT_EQ(result->outputs.size(), outputs.size());
  size_t row = 0;
  for (size_t i = 0; i < walkers.size(); ++i) {
    for (uint32_t k = 0; k < counts[i]; ++k, ++row) {
      const auto logits = result->outputs[row].logits;
      walkers[i]->logits.insert(walkers[i]->logits.end(), logits.begin(), logits.end());
    }
    walkers[i]->done += counts[i];
  }
}

// All logits of one sequence in slot 1, fed in steps of at most `chunk`.
inline std::vector<float> Logits(ModelRunner& runner, const std::vector<TokenId>& tokens, uint32_t chunk) {
  Walker walker{.slot = 1, .tokens = tokens, .logits = {}};
  Walker* const walkers[] = {&walker};
  while (walker.done < tokens.size() && !::testing::Test::HasFatalFailure()) {
    const uint32_t counts[] = {std::min(chunk, static_cast<uint32_t>(tokens.size()) - walker.done)};
    Step(runner, walkers, counts);
  }
  return walker.logits;
}

// The walkers to their ends, in steps of random numbers of tokens.
inline void WalkTogether(ModelRunner& runner, std::vector<Walker>& walkers, uint32_t seed, uint32_t most) {
  std::mt19937 random(seed);
  for (;;) {
    std::vector<Walker*> some;
    std::vector<uint32_t> counts;
    for (Walker& walker : walkers) {
      const auto left = static_cast<uint32_t>(walker.tokens.size()) - walker.done;
      if (left == 0) continue;
      some.push_back(&walker);
      counts.push_back(std::min<uint32_t>(left, static_cast<uint32_t>(1 + random() % (random() % 3 == 0 ? most : 2))));
    }
    if (some.empty()) return;
    ASSERT_NO_FATAL_FAILURE(Step(runner, some, counts));
  }
}

}  // namespace millrace::model::testing
