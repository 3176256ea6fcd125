// The vocabulary of a model: what each token id stands for, which ids are special, what comes around a text.
//
// Vocabulary is the checked, immutable form of these parts of a TokenizerSpec, which the gateway (tokenizer, decoder) and a worker (grammar,
// sampler) share; every method is const and safe from any thread. How text becomes ids is the business of text/tokenizer.h.
//
// Text(id) is what the token stands for in the middle of a text: raw bytes, not necessarily whole UTF-8 sequences. The first and the last token
// of a text may give less ("▁the" at the start is "the"): only text/decoder.h knows the text of a list of tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "text/text_index.h"
#include "text/tokenizer_spec.h"

namespace millrace::text {

inline constexpr size_t kMaxVocabularyTokens = 1U << 20;
inline constexpr size_t kMaxVocabularyMerges = 1U << 21;
inline constexpr size_t kMaxTokenBytes = 4096;              // of one token's file text
inline constexpr size_t kMaxSpecialTokenBytes = 1024;       // of the text of a control or user-defined token
inline constexpr size_t kMaxVocabularyBytes = 64ULL << 20;  // of all file texts, of all decoded texts, and of all normalized ones
inline constexpr size_t kMaxAffixTokens = 16;               // in front of a text, and after it

class Vocabulary {
 public:
  // Fails with kInvalidArgument, naming the token, when a count or an id is out of range, two tokens of use have one file text, or a limit
  // above is passed; as CheckDecoders does. Empty or unused tokens may repeat. Of the other steps only the normalizers are looked at,
  // where an added token is to be normalized: Tokenizer::Create checks them all.
  static Result<std::shared_ptr<const Vocabulary>> Build(const TokenizerSpec& spec);

  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  size_t size() const { return types_.size(); }
  bool Contains(TokenId id) const { return id >= 0 && static_cast<size_t>(id) < size(); }

  // The bytes that the token stands for; empty when `id` is not in the vocabulary. Lives as long as the vocabulary.
  std::string_view Text(TokenId id) const;
  // Its spelling in the model file; empty when `id` is not in the vocabulary.
  std::string_view FileText(TokenId id) const { return Contains(id) ? file_texts_.At(id) : std::string_view(); }
  // What the decoder steps see of it: its spelling, or the normalized text of an added token that is looked for in normalized text.
  std::string_view DecoderText(TokenId id) const;
  // kUnused when `id` is not in the vocabulary.
  TokenType Type(TokenId id) const;
  // True for tokens that are not text (kControl, kUnknown): hidden from answers, and taken from prompts only on request.
  bool IsControl(TokenId id) const;
  bool IsEndOfSequence(TokenId id) const;

  // The id whose file text is `file_text`; unused tokens are not found.
  std::optional<TokenId> Find(std::string_view file_text) const;

  std::optional<TokenId> bos() const { return bos_; }
  std::optional<TokenId> eos() const { return eos_; }
  std::optional<TokenId> unk() const { return unk_; }
  std::optional<TokenId> pad() const { return pad_; }
  const std::vector<TokenId>& end_of_sequence() const { return end_of_sequence_; }  // ascending, each once
  // What the model expects in front of a text and after it; often empty.
  const std::vector<TokenId>& prefix() const { return prefix_; }
  const std::vector<TokenId>& suffix() const { return suffix_; }

  const std::vector<DecoderStep>& decoders() const { return decoders_; }
  bool clean_up_spaces() const { return clean_up_spaces_; }

  // SpecFingerprint of the spec: equal fingerprints mean equal ids for equal text. The "vocabulary hash" of the hello message.
  uint64_t fingerprint() const { return fingerprint_; }

 private:
  Vocabulary() = default;
  Status NormalizeAdded(const TokenizerSpec& spec);
  Status TakeTokens(const TokenizerSpec& spec);
  Status TakeToken(const std::string& file_text, TokenType type);
  Status TakeSpecials(const TokenizerSpec& spec);

  std::optional<TokenId> bos_, eos_, unk_, pad_;
  std::vector<TokenId> end_of_sequence_, prefix_, suffix_;
  std::vector<DecoderStep> decoders_;
  bool clean_up_spaces_ = false;

  // Texts by id, one after another; `offsets` has one entry more than there are texts.
  struct Texts {
    std::string bytes;
    std::vector<uint32_t> offsets = {0};
    std::string_view At(TokenId id) const;
    Status Append(std::string_view text);  // kInvalidArgument above kMaxVocabularyBytes
  };
  Texts texts_;
  Texts file_texts_;
  std::unordered_map<TokenId, std::string> normalized_texts_;  // where they differ from the file texts
  TextIndex by_file_text_;
  std::vector<TokenType> types_;
  uint64_t fingerprint_ = 0;
};

}  // namespace millrace::text
