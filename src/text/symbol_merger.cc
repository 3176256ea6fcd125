#include "text/symbol_merger.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

namespace millrace::text {
namespace {

constexpr uint32_t kNoRank = PairTable::kNoRank;
constexpr uint32_t kNowhere = std::numeric_limits<uint32_t>::max();
// Up to here a scan of all ranks is cheaper than a queue; the work stays below the square of this for each piece.
constexpr size_t kShortPiece = 48;

}  // namespace

void SymbolMerger::Merge(std::vector<TokenId>& symbols) {
  if (symbols.size() < 2) return;
  if (symbols.size() <= kShortPiece) {
    MergeShort(symbols);
    return;
  }
  MergeLong(symbols);
  symbols.clear();
  for (uint32_t place = 0; place != kNowhere; place = nodes_[place].next) symbols.push_back(nodes_[place].symbol);
}

PairTable::Merged SymbolMerger::Look(TokenId left, TokenId right) {
  ++steps_;
  const PairTable::Merged merged = pairs_->Find(left, right);
  if (splits_ != nullptr && merged.rank != kNoRank && splits_->kept[static_cast<size_t>(merged.token)]) {
    splits_->found.insert_or_assign(merged.token, std::pair(left, right));
  }
  return merged;
}

void SymbolMerger::MergeShort(std::vector<TokenId>& symbols) {
  // Pair i is that of symbols i and i + 1. Ranks and tokens lie apart: the search reads the ranks only.
  std::array<uint32_t, kShortPiece> ranks;
  std::array<TokenId, kShortPiece> tokens;
  const auto look = [&](size_t i) {
    const PairTable::Merged merged = Look(symbols[i], symbols[i + 1]);
    ranks[i] = merged.rank;
    tokens[i] = merged.token;
  };
  size_t pairs = symbols.size() - 1;
  for (size_t i = 0; i < pairs; ++i) look(i);
  while (pairs > 0) {
    steps_ += pairs;
    size_t best = 0;
    for (size_t i = 1; i < pairs; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (ranks[best] == kNoRank) break;
    symbols[best] = tokens[best];
    // Symbol best + 1 goes and with it one pair: the next one, or the last one where there is no next.
    std::copy(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 2, symbols.begin() + static_cast<std::ptrdiff_t>(pairs) + 1,
              symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    for (size_t i = best + 1; i + 1 < pairs; ++i) {
      ranks[i] = ranks[i + 1];
      tokens[i] = tokens[i + 1];
    }
    --pairs;
    if (best > 0) look(best - 1);
    if (best < pairs) look(best);
  }
  symbols.resize(pairs + 1);
}

void SymbolMerger::MergeLong(const std::vector<TokenId>& symbols) {
  const auto count = static_cast<uint32_t>(symbols.size());
  if (!queue_.reserved()) queue_.Reserve(pairs_->ranks() + 1);
  nodes_.clear();
  nodes_.reserve(count);
  for (uint32_t place = 0; place < count; ++place) {
    nodes_.push_back({symbols[place], {}, place - 1, place + 1});  // kNowhere before the first
  }
  nodes_.back().next = kNowhere;
  for (uint32_t place = 0; place < count; ++place) LookAgain(place);
  while (const std::optional<RankQueue::Entry> lowest = queue_.Pop()) {
    ++steps_;
    // An entry is out of date when its pair has changed since; the pair that is there now has its own entry. Where both have one
    // rank, either serves: they are at the same place in the queue.
    if (nodes_[lowest->place].pair.rank == lowest->rank) MergeAt(lowest->place);
  }
}

void SymbolMerger::MergeAt(uint32_t place) {
  Node& node = nodes_[place];
  Node& gone = nodes_[node.next];
  node.symbol = node.pair.token;
  node.next = gone.next;
  gone.pair = {};
  if (node.next != kNowhere) nodes_[node.next].previous = place;
  if (node.previous != kNowhere) LookAgain(node.previous);
  LookAgain(place);
}

void SymbolMerger::LookAgain(uint32_t place) {
  Node& node = nodes_[place];
  node.pair = node.next == kNowhere ? PairTable::Merged() : Look(node.symbol, nodes_[node.next].symbol);
  if (node.pair.rank != kNoRank) queue_.Push({node.pair.rank, place});
}

}  // namespace millrace::text
