#include "text/tokenizer.h"

#include <utility>

#include "base/utf8.h"
#include "text/decoder.h"
#include "text/piece_merger.h"

namespace millrace::text {
namespace {

SpecialTokens SpecialsOf(const Vocabulary& vocabulary, bool with_control) {
  std::vector<SpecialTokens::Entry> entries;
  for (TokenId id = 0; vocabulary.Contains(id); ++id) {
    const bool wanted = vocabulary.Type(id) == TokenType::kUserDefined || (with_control && vocabulary.IsControl(id));
    if (wanted && !vocabulary.FileText(id).empty()) entries.push_back({vocabulary.FileText(id), id});
  }
  return SpecialTokens(std::move(entries));
}

// The named pre-tokenizer that the steps together are.
Result<std::unique_ptr<const NamedPreTokenizer>> NamedOf(const TokenizerSpec& spec, const BpeModel& model) {
  constexpr std::string_view kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  std::vector<std::string> patterns;
  for (const PreTokenizerStep& step : spec.pre_tokenizers) {
    if (const auto* digits = std::get_if<DigitsSplit>(&step)) {
      patterns.emplace_back(digits->individual ? R"(\p{N})" : R"(\p{N}+)");
    } else if (const auto* split = std::get_if<PatternSplit>(&step)) {
      patterns.push_back(split->pattern.text);
    } else if (const auto* bytes = std::get_if<ByteLevelSplit>(&step); bytes != nullptr && bytes->use_regex) {
      patterns.emplace_back(kGpt2);
    }
  }
  ASSIGN_OR_RETURN(const std::string_view name, NamedPreTokenizer::NameOf(patterns, model.ignore_merges));
  return NamedPreTokenizer::Create(name);
}

}  // namespace

// The state of one call of Encode.
class Tokenizer::Run {
 public:
  Run(const Tokenizer& tokenizer, const EncodeOptions& options)
      : tokenizer_(tokenizer), options_(options), merger_(tokenizer.merges_) {}

  Status Encode(std::string_view text) {
    const Vocabulary& vocabulary = tokenizer_.vocabulary();
    const SpecialTokens& specials = options_.parse_special ? tokenizer_.all_special_ : tokenizer_.plain_special_;
    std::optional<SpecialTokens::Match> match = specials.Find(text, 0);
    if (options_.add_prefix) out_ = vocabulary.prefix();
    size_t done = 0;
    for (; match; match = specials.Find(text, done)) {
      RETURN_IF_ERROR(AddFragment(text.substr(done, match->begin - done)));
      out_.push_back(match->token);
      RETURN_IF_ERROR(CheckRunning());
      done = match->end;
    }
    RETURN_IF_ERROR(AddFragment(text.substr(done)));
    if (options_.add_prefix) RemoveSecondPrefix(vocabulary.prefix());
    if (options_.add_suffix) out_.insert(out_.end(), vocabulary.suffix().begin(), vocabulary.suffix().end());
    return Check(0);
  }

  std::vector<TokenId> TakeTokens() { return std::move(out_); }

 private:
  void RemoveSecondPrefix(const std::vector<TokenId>& prefix) {
    const auto size = static_cast<std::ptrdiff_t>(prefix.size());
    if (out_.size() < 2 * prefix.size() || !std::equal(prefix.begin(), prefix.end(), out_.begin() + size)) return;
    out_.erase(out_.begin(), out_.begin() + size);
  }

  // Text without special tokens in it.
  Status AddFragment(std::string_view text) {
    if (text.empty()) return CheckRunning();
    RETURN_IF_ERROR(tokenizer_.pre_tokenizer_->Split(text, [this](std::string_view piece) {
      const TokenId word = tokenizer_.words_.Find(piece);
      if (word != kNoToken) {
        out_.push_back(word);
      } else {
        merger_.Append(piece, out_);
      }
      return CheckRunning().ok();
    }));
    return CheckRunning();
  }

  // While the text may still turn out to begin with the prefix, which is taken away then.
  Status CheckRunning() const { return Check(options_.add_prefix ? tokenizer_.vocabulary().prefix().size() : 0); }

  Status Check(size_t allowance) const {
    if (out_.size() <= options_.max_tokens || out_.size() - options_.max_tokens <= allowance) return Status();
    return Error(Code::kInvalidArgument, "the text has more than {} tokens", options_.max_tokens);
  }

  const Tokenizer& tokenizer_;
  const EncodeOptions& options_;
  PieceMerger merger_;
  std::vector<TokenId> out_;
};

Tokenizer::Tokenizer(std::shared_ptr<const Vocabulary> vocabulary, std::unique_ptr<const NamedPreTokenizer> pre_tokenizer,
                     ByteMerges merges)
    : vocabulary_(std::move(vocabulary)),
      pre_tokenizer_(std::move(pre_tokenizer)),
      merges_(std::move(merges)),
      all_special_(SpecialsOf(*vocabulary_, true)),
      plain_special_(SpecialsOf(*vocabulary_, false)),
      words_(*vocabulary_, merges_, pre_tokenizer_->whole_words_first()) {}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::Create(const TokenizerSpec& spec) {
  ASSIGN_OR_RETURN(auto vocabulary, Vocabulary::Build(spec));
  const auto* bpe = std::get_if<BpeModel>(&spec.model);
  if (bpe == nullptr || !bpe->byte_level) return Error(Code::kUnsupported, "only byte-level BPE is known");
  ASSIGN_OR_RETURN(auto pre_tokenizer, NamedOf(spec, *bpe));
  ASSIGN_OR_RETURN(ByteMerges merges, ByteMerges::Build(*bpe, *vocabulary));
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(vocabulary), std::move(pre_tokenizer), std::move(merges)));
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
