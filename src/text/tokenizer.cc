#include "text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "text/decoder.h"

namespace millrace::text {

// The state of one call of Encode.
class Tokenizer::Run {
 public:
  Run(const Tokenizer& tokenizer, const EncodeOptions& options)
      : tokenizer_(tokenizer), options_(options), encoder_(tokenizer.model_->NewEncoder()) {}

  Status Encode(std::string_view text) {
    const Vocabulary& vocabulary = tokenizer_.vocabulary();
    if (options_.add_prefix) out_ = vocabulary.prefix();
    Status status;
    RETURN_IF_ERROR(tokenizer_.added_->Split(text, options_.parse_special, [&](const AddedTokens::Fragment& fragment) {
      status = Add(fragment);
      return status.ok();
    }));
    RETURN_IF_ERROR(std::move(status));
    if (options_.add_prefix) RemoveSecondPrefix(vocabulary.prefix());
    if (options_.add_suffix) out_.insert(out_.end(), vocabulary.suffix().begin(), vocabulary.suffix().end());
    return Check(0);
  }

  std::vector<TokenId> TakeTokens() { return std::move(out_); }

 private:
  Status Add(const AddedTokens::Fragment& fragment) {
    if (fragment.token != kNoToken) {
      out_.push_back(fragment.token);
      return CheckRunning();
    }
    Status status;
    RETURN_IF_ERROR(tokenizer_.pre_tokenizer_->Split(fragment.text, fragment.at_start, [&](std::string_view piece) {
      if (piece.size() > kMaxPieceBytes) {
        status =
            Error(Code::kInvalidArgument, "the text has a piece of {} bytes, expected at most {}", piece.size(), kMaxPieceBytes);
        return false;
      }
      encoder_->Append(piece, out_);
      return CheckRunning().ok();
    }));
    RETURN_IF_ERROR(std::move(status));
    return CheckRunning();
  }

  void RemoveSecondPrefix(const std::vector<TokenId>& prefix) {
    const auto size = static_cast<std::ptrdiff_t>(prefix.size());
    if (out_.size() < 2 * prefix.size() || !std::equal(prefix.begin(), prefix.end(), out_.begin() + size)) return;
    out_.erase(out_.begin(), out_.begin() + size);
  }

  // While the text may still turn out to begin with the prefix, which is taken away then.
  Status CheckRunning() const { return Check(options_.add_prefix ? tokenizer_.vocabulary().prefix().size() : 0); }

  Status Check(size_t allowance) const {
    if (out_.size() <= options_.max_tokens || out_.size() - options_.max_tokens <= allowance) return Status();
    return Error(Code::kInvalidArgument, "the text has more than {} tokens", options_.max_tokens);
  }

  const Tokenizer& tokenizer_;
  const EncodeOptions& options_;
  std::unique_ptr<PieceEncoder> encoder_;
  std::vector<TokenId> out_;
};

Result<std::shared_ptr<const Tokenizer>> Tokenizer::Create(const TokenizerSpec& spec) {
  std::shared_ptr<Tokenizer> tokenizer(new Tokenizer);
  ASSIGN_OR_RETURN(tokenizer->vocabulary_, Vocabulary::Build(spec));
  ASSIGN_OR_RETURN(tokenizer->normalizer_, Normalizer::Create(spec.normalizers));
  ASSIGN_OR_RETURN(tokenizer->pre_tokenizer_, PreTokenizer::Create(spec.pre_tokenizers));
  ASSIGN_OR_RETURN(tokenizer->model_, SubwordModel::Create(spec, *tokenizer->vocabulary_));
  ASSIGN_OR_RETURN(tokenizer->added_, AddedTokens::Create(spec, *tokenizer->normalizer_));
  return std::shared_ptr<const Tokenizer>(std::move(tokenizer));
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
  IncrementalDecoder decoder(*vocabulary_, show_special);
  std::string text;
  for (const TokenId token : tokens) text += decoder.Feed(token);
  return text += decoder.Flush();
}

}  // namespace millrace::text
