#include "text/tokenizer.h"

#include <utility>

#include "base/utf8.h"
#include "text/piece_merger.h"

namespace millrace::text {
namespace {

SpecialTokens SpecialsOf(const Vocabulary& vocabulary, bool with_control) {
  std::vector<SpecialTokens::Entry> entries;
  for (TokenId id = 0; vocabulary.Contains(id); ++id) {
    const bool wanted = vocabulary.Type(id) == TokenType::kUserDefined || (with_control && vocabulary.IsControl(id));
    if (wanted && !vocabulary.Text(id).empty()) entries.push_back({vocabulary.Text(id), id});
  }
  return SpecialTokens(std::move(entries));
}

}  // namespace

// The state of one call of Encode.
class Tokenizer::Run {
 public:
  Run(const Tokenizer& tokenizer, const EncodeOptions& options)
      : tokenizer_(tokenizer), options_(options), merger_(tokenizer.vocabulary()) {}

  Status Encode(std::string_view text) {
    const Vocabulary& vocabulary = tokenizer_.vocabulary();
    const SpecialTokens& specials = options_.parse_special ? tokenizer_.all_special_ : tokenizer_.plain_special_;
    std::optional<SpecialTokens::Match> match = specials.Find(text, 0);
    const bool begins_with_bos = match && match->begin == 0 && match->token == vocabulary.bos();
    if (options_.add_bos && vocabulary.add_bos() && vocabulary.bos() && !begins_with_bos) out_.push_back(*vocabulary.bos());
    size_t done = 0;
    for (; match; match = specials.Find(text, done)) {
      RETURN_IF_ERROR(AddFragment(text.substr(done, match->begin - done)));
      out_.push_back(match->token);
      RETURN_IF_ERROR(CheckLength());
      done = match->end;
    }
    RETURN_IF_ERROR(AddFragment(text.substr(done)));
    return Status();
  }

  std::vector<TokenId> TakeTokens() { return std::move(out_); }

 private:
  // Text without special tokens in it.
  Status AddFragment(std::string_view text) {
    if (text.empty()) return CheckLength();
    std::string prefixed;
    if (tokenizer_.vocabulary().add_space_prefix() && text.front() != ' ') {
      prefixed.assign(" ").append(text);
      text = prefixed;
    }
    RETURN_IF_ERROR(tokenizer_.pre_tokenizer_->Split(text, [this](std::string_view piece) {
      const TokenId word = tokenizer_.words_.Find(piece);
      if (word != kNoToken) {
        out_.push_back(word);
      } else {
        merger_.Append(piece, out_);
      }
      return out_.size() <= options_.max_tokens;
    }));
    return CheckLength();
  }

  Status CheckLength() const {
    if (out_.size() <= options_.max_tokens) return Status();
    return Error(Code::kInvalidArgument, "the text has more than {} tokens", options_.max_tokens);
  }

  const Tokenizer& tokenizer_;
  const EncodeOptions& options_;
  PieceMerger merger_;
  std::vector<TokenId> out_;
};

Tokenizer::Tokenizer(std::shared_ptr<const Vocabulary> vocabulary, std::unique_ptr<const NamedPreTokenizer> pre_tokenizer)
    : vocabulary_(std::move(vocabulary)),
      pre_tokenizer_(std::move(pre_tokenizer)),
      all_special_(SpecialsOf(*vocabulary_, true)),
      plain_special_(SpecialsOf(*vocabulary_, false)),
      words_(*vocabulary_, pre_tokenizer_->whole_words_first()) {}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::Create(std::shared_ptr<const Vocabulary> vocabulary) {
  ASSIGN_OR_RETURN(std::unique_ptr<const NamedPreTokenizer> pre_tokenizer,
                   NamedPreTokenizer::Create(vocabulary->pre_tokenizer()));
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(vocabulary), std::move(pre_tokenizer)));
}

Result<std::vector<TokenId>> Tokenizer::Encode(std::string_view text, const EncodeOptions& options) const {
  if (text.size() > kMaxEncodeBytes) {
    return Error(Code::kInvalidArgument, "text of {} bytes, expected at most {}", text.size(), kMaxEncodeBytes);
  }
  std::string sanitized;
  if (!Utf8IsValid(text)) {
    sanitized = Utf8Sanitize(text);
    text = sanitized;
  }
  Run run(*this, options);
  RETURN_IF_ERROR(run.Encode(text));
  return run.TakeTokens();
}

std::string Tokenizer::Decode(std::span<const TokenId> tokens, bool show_special) const {
  std::string bytes;
  for (const TokenId token : tokens) {
    if (show_special || !vocabulary_->IsControl(token)) bytes += vocabulary_->Text(token);
  }
  return Utf8IsValid(bytes) ? bytes : Utf8Sanitize(bytes);
}

}  // namespace millrace::text
