// The vocabulary of a byte-level BPE model: what each token id stands for, which ids are special, which pairs merge.
//
// VocabularySpec is what a model file says, in no file's format; the model layer fills it. Vocabulary is the checked, immutable
// form that the gateway (tokenizer, decoder) and a worker (grammar, sampler) share; every method is const and safe from any
// thread.
//
// "File text" of a token is its spelling in the model file, where bytes are written as the code points of the GPT-2 alphabet
// ("Ġthe" for " the"). Text(id) is what the token stands for: raw bytes, not necessarily whole UTF-8 sequences.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "text/merge_table.h"
#include "text/text_index.h"
#include "text/tokenizer_spec.h"

namespace millrace::text {

enum class VocabularyKind : uint8_t { kByteLevelBpe };

struct VocabularySpec {
  VocabularyKind kind = VocabularyKind::kByteLevelBpe;
  std::vector<std::string> tokens;     // file text by id
  std::vector<TokenType> token_types;  // one for each token, or empty: all kNormal
  std::vector<std::string> merges;     // "left right" in file text, best first
  std::string pre_tokenizer;           // a name that text/named_pretokenizer.h knows
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  std::optional<TokenId> unk;
  std::optional<TokenId> pad;
  std::vector<TokenId> end_of_sequence;  // every id that ends an answer; `eos` is added when it is not among them
  bool add_bos = false;                  // the model expects `bos` before the first token
  bool add_space_prefix = false;         // text that does not begin with a space gets one
};

inline constexpr size_t kMaxVocabularyTokens = 1U << 20;
inline constexpr size_t kMaxVocabularyMerges = 1U << 21;
inline constexpr size_t kMaxTokenBytes = 4096;              // of one token's file text
inline constexpr size_t kMaxSpecialTokenBytes = 1024;       // of the text of a control or user-defined token
inline constexpr size_t kMaxVocabularyBytes = 64ULL << 20;  // of all file texts

class Vocabulary {
 public:
  // Fails with kInvalidArgument, naming the token or merge, when a count or an id is out of range, two tokens of use have one
  // file text, a merge names a token that does not exist, or a limit above is passed. Empty or unused tokens may repeat.
  static Result<std::shared_ptr<const Vocabulary>> Build(VocabularySpec spec);

  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  size_t size() const { return types_.size(); }
  bool Contains(TokenId id) const { return id >= 0 && static_cast<size_t>(id) < size(); }

  // The bytes that the token stands for; empty when `id` is not in the vocabulary. Lives as long as the vocabulary.
  std::string_view Text(TokenId id) const;
  // Its spelling in the model file; empty when `id` is not in the vocabulary.
  std::string_view FileText(TokenId id) const { return Contains(id) ? file_texts_.At(id) : std::string_view(); }
  // kUnused when `id` is not in the vocabulary.
  TokenType Type(TokenId id) const;
  // True for tokens that are not text (kControl, kUnknown): hidden from answers, and taken from prompts only on request.
  bool IsControl(TokenId id) const;
  bool IsEndOfSequence(TokenId id) const;

  // The id whose file text is `file_text`; unused tokens are not found.
  std::optional<TokenId> Find(std::string_view file_text) const;

  VocabularyKind kind() const { return kind_; }
  const std::string& pre_tokenizer() const { return pre_tokenizer_; }
  std::optional<TokenId> bos() const { return bos_; }
  std::optional<TokenId> eos() const { return eos_; }
  std::optional<TokenId> unk() const { return unk_; }
  std::optional<TokenId> pad() const { return pad_; }
  const std::vector<TokenId>& end_of_sequence() const { return end_of_sequence_; }  // ascending, each once
  bool add_bos() const { return add_bos_; }
  bool add_space_prefix() const { return add_space_prefix_; }

  // The token that is exactly this one byte; kNoToken when there is none.
  TokenId ByteToken(uint8_t byte) const { return byte_tokens_[byte]; }
  const MergeTable& merges() const { return merges_; }

  // FNV-1a over everything in the spec: equal fingerprints mean equal ids for equal text. The "vocabulary hash" of the hello
  // message.
  uint64_t fingerprint() const { return fingerprint_; }

 private:
  Vocabulary() = default;
  Status TakeTokens(const VocabularySpec& spec);
  Status TakeToken(const std::string& file_text, TokenType type);
  Status TakeMerges(const VocabularySpec& spec);
  Status TakeSpecials(const VocabularySpec& spec);
  TokenId FindByte(uint8_t byte) const;

  VocabularyKind kind_ = VocabularyKind::kByteLevelBpe;
  std::string pre_tokenizer_;
  std::optional<TokenId> bos_, eos_, unk_, pad_;
  std::vector<TokenId> end_of_sequence_;
  bool add_bos_ = false;
  bool add_space_prefix_ = false;

  // Texts by id, one after another; `offsets` has one entry more than there are texts.
  struct Texts {
    std::string bytes;
    std::vector<uint32_t> offsets = {0};
    std::string_view At(TokenId id) const;
    void Append(std::string_view text);
  };
  Texts texts_;
  Texts file_texts_;
  TextIndex by_file_text_;
  std::vector<TokenType> types_;
  std::array<TokenId, 256> byte_tokens_{};
  MergeTable merges_;
  uint64_t fingerprint_ = 0;
};

}  // namespace millrace::text
