#include "text/word_table.h"

#include <algorithm>
#include <vector>

#include "text/piece_merger.h"

namespace millrace::text {

WordTable::WordTable(const Vocabulary& vocabulary, const ByteMerges& merges, bool whole_words_first)
    : vocabulary_(&vocabulary), index_(vocabulary.size()) {
  PieceMerger merger(merges);
  std::vector<TokenId> merged;
  for (TokenId id = 0; vocabulary.Contains(id); ++id) {
    if (vocabulary.Type(id) != TokenType::kNormal || vocabulary.Text(id).empty()) continue;
    if (!whole_words_first) {
      merged.clear();
      merger.Append(vocabulary.Text(id), merged);
      if (merged != std::vector<TokenId>{id}) continue;
    }
    index_.Insert(id, [&](TokenId token) { return vocabulary.Text(token); });
    longest_ = std::max(longest_, vocabulary.Text(id).size());
  }
}

TokenId WordTable::Find(std::string_view piece) const {
  if (piece.size() > longest_) return kNoToken;
  return index_.Find(piece, [this](TokenId token) { return vocabulary_->Text(token); });
}

}  // namespace millrace::text
