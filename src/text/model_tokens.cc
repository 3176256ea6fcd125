#include "text/model_tokens.h"

#include <fmt/core.h>

#include <optional>

#include "text/token_trie.h"

namespace millrace::text {

ModelTokens::ModelTokens(const TokenizerSpec& spec, const Vocabulary& vocabulary)
    : vocabulary_(&vocabulary), includes_(vocabulary.size(), false) {
  for (TokenId id = 0; vocabulary.Contains(id); ++id) {
    if (vocabulary.Type(id) == TokenType::kNormal || vocabulary.Type(id) == TokenType::kByte) Include(id);
  }
  for (const AddedToken& added : spec.added) {
    if (added.in_model && vocabulary.Contains(added.id) && vocabulary.Type(added.id) != TokenType::kUnused) Include(added.id);
  }
}

TokenId ModelTokens::Find(std::string_view file_text) const {
  const std::optional<TokenId> id = vocabulary_->Find(file_text);
  return id && Includes(*id) ? *id : kNoToken;
}

Result<std::vector<std::pair<std::string_view, TokenId>>> ModelTokens::TrieEntries() const {
  std::vector<std::pair<std::string_view, TokenId>> entries;
  size_t bytes = 0;
  for (TokenId id = 0; vocabulary_->Contains(id); ++id) {
    const std::string_view text = vocabulary_->FileText(id);
    if (text.empty() || !Includes(id)) continue;
    entries.emplace_back(text, id);
    bytes += text.size();
  }
  if (bytes > TokenTrie::kMaxBytes) {
    return Error(Code::kInvalidArgument, "tokens of {} bytes in all, expected at most {}", bytes, TokenTrie::kMaxBytes);
  }
  return entries;
}

TokenId ModelTokens::FindByte(uint8_t byte) const { return Find(fmt::format("<0x{:02X}>", byte)); }

}  // namespace millrace::text
