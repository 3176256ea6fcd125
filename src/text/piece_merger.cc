#include "text/piece_merger.h"

#include <limits>
#include <optional>

namespace millrace::text {
namespace {

constexpr uint32_t kNoRank = MergeTable::kNoRank;
constexpr uint32_t kNowhere = std::numeric_limits<uint32_t>::max();
// Up to here a scan of all ranks is cheaper than a heap; the work stays below the square of this for each piece.
constexpr size_t kShortPiece = 48;

}  // namespace

void PieceMerger::Append(std::string_view piece, std::vector<TokenId>& out) {
  TakeBytes(piece);
  if (symbols_.size() <= kShortPiece) {
    MergeShort();
    for (const Symbol& symbol : symbols_) out.push_back(symbol.token);
    return;
  }
  MergeLong();
  for (uint32_t place = 0; place != kNowhere; place = symbols_[place].next) out.push_back(symbols_[place].token);
}

void PieceMerger::TakeBytes(std::string_view piece) {
  symbols_.clear();
  symbols_.reserve(piece.size());
  for (const char byte : piece) {
    const TokenId token = merges_->byte_tokens[static_cast<uint8_t>(byte)];
    if (token == kNoToken) continue;  // its neighbours merge as if it were not there
    const auto place = static_cast<uint32_t>(symbols_.size());
    symbols_.push_back({token, kNoRank, place - 1, place + 1});  // kNowhere before the first
  }
  if (symbols_.empty()) return;
  symbols_.back().next = kNowhere;
  for (size_t i = 0; i + 1 < symbols_.size(); ++i) {
    symbols_[i].rank = merges_->table.Rank(symbols_[i].token, symbols_[i + 1].token);
  }
  steps_ += symbols_.size();
}

void PieceMerger::MergeShort() {
  // The symbols stay packed: neighbours are i and i + 1, the links are not used.
  const MergeTable& merges = merges_->table;
  while (symbols_.size() > 1) {
    steps_ += symbols_.size();
    size_t best = 0;
    for (size_t i = 1; i < symbols_.size(); ++i) {
      if (symbols_[i].rank < symbols_[best].rank) best = i;
    }
    if (symbols_[best].rank == kNoRank) return;
    symbols_[best].token = merges.Merged(symbols_[best].rank);
    symbols_.erase(symbols_.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    symbols_[best].rank = best + 1 < symbols_.size() ? merges.Rank(symbols_[best].token, symbols_[best + 1].token) : kNoRank;
    if (best > 0) symbols_[best - 1].rank = merges.Rank(symbols_[best - 1].token, symbols_[best].token);
  }
}

void PieceMerger::MergeLong() {
  if (!queue_.reserved()) queue_.Reserve(merges_->table.size());
  for (uint32_t place = 0; place < symbols_.size(); ++place) {
    if (symbols_[place].rank != kNoRank) queue_.Push({symbols_[place].rank, place});
  }
  while (const std::optional<RankQueue::Entry> lowest = queue_.Pop()) {
    ++steps_;
    // An entry is out of date when its pair has changed since; the pair that is there now has its own entry.
    if (symbols_[lowest->place].rank == lowest->rank) MergeAt(lowest->place);
  }
}

void PieceMerger::MergeAt(uint32_t place) {
  Symbol& symbol = symbols_[place];
  Symbol& gone = symbols_[symbol.next];
  symbol.token = merges_->table.Merged(symbol.rank);
  symbol.next = gone.next;
  gone.rank = kNoRank;
  if (symbol.next != kNowhere) symbols_[symbol.next].previous = place;
  Rerank(place);
  if (symbol.previous != kNowhere) Rerank(symbol.previous);
}

void PieceMerger::Rerank(uint32_t place) {
  Symbol& symbol = symbols_[place];
  symbol.rank = symbol.next == kNowhere ? kNoRank : merges_->table.Rank(symbol.token, symbols_[symbol.next].token);
  if (symbol.rank != kNoRank) queue_.Push({symbol.rank, place});
}

}  // namespace millrace::text
