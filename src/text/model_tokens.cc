#include "text/model_tokens.h"

#include <fmt/core.h>

#include <optional>

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

TokenId ModelTokens::FindByte(uint8_t byte) const { return Find(fmt::format("<0x{:02X}>", byte)); }

}  // namespace millrace::text
