#include "text/compiled_words.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::text {
namespace {

bool BeginsCodePoint(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) != 0x80; }

}  // namespace

class CompiledWordPiece::Encoder : public PieceEncoder {
 public:
  explicit Encoder(const CompiledWordPiece& model) : model_(model) {}

  void Append(std::string_view piece, std::vector<TokenId>& out) override {
    const size_t before = out.size();
    if (IsTooLong(piece) || !AppendPrefixes(piece, out)) {
      out.resize(before);
      out.push_back(model_.unknown_);
    }
  }

  uint64_t steps() const override { return steps_; }

 private:
  bool IsTooLong(std::string_view piece) const {
    if (piece.size() <= model_.max_characters_) return false;
    return static_cast<size_t>(std::count_if(piece.begin(), piece.end(), BeginsCodePoint)) > model_.max_characters_;
  }

  bool AppendPrefixes(std::string_view piece, std::vector<TokenId>& out) {
    const TokenTrie& trie = model_.trie_;
    TokenTrie::Node start = TokenTrie::kRoot;
    size_t next = 0;
    for (size_t begin = 0; begin < piece.size(); begin = next) {
      TokenId longest = kNoToken;
      TokenTrie::Node node = start;
      for (size_t end = begin; end < piece.size() && node != TokenTrie::kNowhere;) {
        ++steps_;
        node = trie.Step(node, piece[end++]);
        if (node == TokenTrie::kNowhere || trie.token(node) == kNoToken) continue;
        longest = trie.token(node);
        next = end;
      }
      if (longest == kNoToken) return false;
      out.push_back(longest);
      start = model_.continuing_;
    }
    return true;
  }

  const CompiledWordPiece& model_;
  uint64_t steps_ = 0;
};

Result<std::unique_ptr<const SubwordModel>> CompiledWordPiece::Create(const TokenizerSpec& spec, const WordPieceModel& model,
                                                                      const ModelTokens& tokens) {
  if (!spec.unk) return Error(Code::kInvalidArgument, "a WordPiece model without an unknown token");
  std::unique_ptr<CompiledWordPiece> compiled(new CompiledWordPiece);
  ASSIGN_OR_RETURN(auto entries, tokens.TrieEntries());
  ASSIGN_OR_RETURN(compiled->trie_, TokenTrie::Create(std::move(entries)));
  compiled->continuing_ = compiled->trie_.Walk(TokenTrie::kRoot, model.continuing_prefix);
  compiled->max_characters_ = model.max_characters;
  compiled->unknown_ = *spec.unk;
  return std::unique_ptr<const SubwordModel>(std::move(compiled));
}

std::unique_ptr<PieceEncoder> CompiledWordPiece::NewEncoder() const { return std::make_unique<Encoder>(*this); }

class CompiledWordLevel::Encoder : public PieceEncoder {
 public:
  explicit Encoder(const CompiledWordLevel& model) : model_(model) {}

  void Append(std::string_view piece, std::vector<TokenId>& out) override {
    ++steps_;
    const TokenId token = model_.tokens_.Find(piece);
    out.push_back(token != kNoToken ? token : model_.unknown_);
  }

  uint64_t steps() const override { return steps_; }

 private:
  const CompiledWordLevel& model_;
  uint64_t steps_ = 0;
};

Result<std::unique_ptr<const SubwordModel>> CompiledWordLevel::Create(const TokenizerSpec& spec, ModelTokens tokens) {
  if (!spec.unk) return Error(Code::kInvalidArgument, "a word-level model without an unknown token");
  return std::unique_ptr<const SubwordModel>(new CompiledWordLevel(std::move(tokens), *spec.unk));
}

std::unique_ptr<PieceEncoder> CompiledWordLevel::NewEncoder() const { return std::make_unique<Encoder>(*this); }

}  // namespace millrace::text
