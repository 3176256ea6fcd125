#include "text/added_tokens.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "text/normalizer_classes.h"

namespace millrace::text {

namespace {

std::optional<CodePoint> LastCodePoint(std::string_view text) {
  if (text.empty()) return std::nullopt;
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return Utf8Decode(text.substr(begin));
}

bool EndsWithWord(std::string_view text) {
  const auto last = LastCodePoint(text);
  return last && IsWordCharacter(last->value);
}

bool StartsWithWord(std::string_view text) {
  const auto first = Utf8Decode(text);
  return first && IsWordCharacter(first->value);
}

// Ends of white space in one text, asked for at ascending places: what is known of a run is not scanned again.
class SpaceRuns {
 public:
  explicit SpaceRuns(std::string_view text) : text_(text) {}

  // Where the white space that ends at `at` begins.
  size_t Before(size_t at) {
    size_t begin = at;
    while (begin > left_end_) {
      const auto last = LastCodePoint(text_.substr(0, begin));
      if (!last || !IsWhiteSpace(last->value)) break;
      begin -= last->length;
    }
    if (begin == left_end_ && at > left_begin_) begin = left_begin_;
    left_begin_ = begin;
    left_end_ = at;
    return begin;
  }
  // Where the white space that begins at `at` ends.
  size_t After(size_t at) {
    if (at >= right_begin_ && at < right_end_) return right_end_;
    size_t end = at;
    while (end < text_.size()) {
      const auto next = Utf8Decode(text_.substr(end));
      if (!next || !IsWhiteSpace(next->value)) break;
      end += next->length;
    }
    right_begin_ = at;
    right_end_ = end;
    return end;
  }

 private:
  const std::string_view text_;
  size_t left_begin_ = 0;  // the last answer of Before, and what it was asked for
  size_t left_end_ = 0;
  size_t right_begin_ = 0;
  size_t right_end_ = 0;
};

TokenType TypeOf(const TokenizerSpec& spec, TokenId id) {
  const auto index = static_cast<size_t>(id);
  return index < spec.token_types.size() ? spec.token_types[index] : TokenType::kNormal;
}

bool IsAdded(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUnknown || type == TokenType::kUserDefined;
}

// The listed tokens and those that are added by their type, in ascending id.
Result<std::vector<AddedToken>> AllAdded(const TokenizerSpec& spec) {
  std::vector<std::optional<AddedToken>> by_id(spec.tokens.size());
  for (const AddedToken& token : spec.added) {
    const auto index = static_cast<size_t>(token.id);
    if (token.id < 0 || index >= spec.tokens.size()) {
      return Error(Code::kInvalidArgument, "added token {}: the vocabulary has {} tokens", token.id, spec.tokens.size());
    }
    if (by_id[index]) return Error(Code::kInvalidArgument, "added token {} is listed twice", token.id);
    if (!IsAdded(TypeOf(spec, token.id))) {
      return Error(Code::kInvalidArgument, "added token {} '{}' is neither control, unknown nor user-defined", token.id,
                   spec.tokens[index]);
    }
    if (spec.tokens[index].empty()) return Error(Code::kInvalidArgument, "added token {} has no text", token.id);
    by_id[index] = token;
  }
  std::vector<AddedToken> all;
  for (size_t i = 0; i < by_id.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (!by_id[i] && (!IsAdded(TypeOf(spec, id)) || spec.tokens[i].empty())) continue;
    AddedToken token = by_id[i].value_or(AddedToken());
    token.id = id;
    all.push_back(token);
  }
  return all;
}

Result<std::string> TextLookedFor(const TokenizerSpec& spec, const AddedToken& token, const Normalizer& normalizer) {
  const std::string& text = spec.tokens[static_cast<size_t>(token.id)];
  if (!Utf8IsValid(text)) return Error(Code::kInvalidArgument, "added token {} is not UTF-8", token.id);
  if (!token.normalized || normalizer.empty()) return text;
  auto output = normalizer.Apply(text);
  if (!output.ok()) return output.status().Within(fmt::format("added token {} '{}'", token.id, text));
  if (output->text.empty()) {
    return Error(Code::kInvalidArgument, "added token {} '{}': nothing is left of it when normalized", token.id, text);
  }
  return std::move(output->text);
}

struct Part {
  size_t begin;
  size_t end;
  TokenId token;  // kNoToken: text
};

}  // namespace

// Tokens that are looked for in one pass. The matcher's "tokens" are indices of `rules`.
struct AddedTokens::Set {
  std::vector<Rules> rules;
  TokenMatcher matcher;

  // Gives the parts of `text` to `take` in order, none of them empty; false stops.
  template <typename F>
  void Split(std::string_view text, bool with_control, const F& take) const {
    TokenMatcher::Search search(matcher, text);
    SpaceRuns spaces(text);
    size_t done = 0;
    while (const auto match = rules.empty() ? std::nullopt : search.Next()) {
      const Rules& rule = rules[static_cast<size_t>(match->token)];
      if (rule.control && !with_control) continue;
      size_t begin = match->begin;
      size_t end = match->end;
      if (rule.single_word && (EndsWithWord(text.substr(0, begin)) || StartsWithWord(text.substr(end)))) continue;
      if (rule.lstrip) begin = std::max(spaces.Before(begin), done);
      if (rule.rstrip) end = spaces.After(end);
      if (done < begin && !take(Part{done, begin, kNoToken})) return;
      // White space that the token before took along leaves nothing of a token of white space.
      if (begin < end && !take(Part{begin, end, rule.token})) return;
      done = end;
    }
    if (done < text.size()) take(Part{done, text.size(), kNoToken});
  }
};

AddedTokens::AddedTokens() = default;
AddedTokens::~AddedTokens() = default;

Result<std::unique_ptr<const AddedTokens>> AddedTokens::Create(const TokenizerSpec& spec, const Normalizer& normalizer) {
  ASSIGN_OR_RETURN(const auto all, AllAdded(spec));
  std::unique_ptr<AddedTokens> made(new AddedTokens());
  made->normalizer_ = &normalizer;
  size_t bytes = 0;
  for (const bool normalized : {false, true}) {
    std::vector<Rules> rules;
    std::vector<std::string> texts;
    for (const AddedToken& token : all) {
      if (token.normalized != normalized) continue;
      ASSIGN_OR_RETURN(auto text, TextLookedFor(spec, token, normalizer));
      bytes += text.size();
      if (bytes > kMaxAddedTokenBytes) {
        return Error(Code::kInvalidArgument, "added token {}: the texts of all added tokens pass {} bytes", token.id,
                     kMaxAddedTokenBytes);
      }
      const bool control = TypeOf(spec, token.id) != TokenType::kUserDefined;
      rules.push_back({token.id, token.single_word, token.lstrip, token.rstrip, control});
      texts.push_back(std::move(text));
    }
    std::vector<TokenMatcher::Entry> entries;
    entries.reserve(texts.size());
    // Rules are in ascending id: of equal texts the lowest token counts.
    for (size_t i = 0; i < texts.size(); ++i) entries.push_back({texts[i], static_cast<TokenId>(i)});
    auto set = std::make_unique<const Set>(Set{std::move(rules), TokenMatcher(std::move(entries))});
    (normalized ? made->normalized_ : made->plain_) = std::move(set);
  }
  return {std::move(made)};
}

Status AddedTokens::SplitWith(std::string_view text, bool with_control, Take take, void* context) const {
  Status status;
  Normalizer::Pass pass(*normalizer_);
  plain_->Split(text, with_control, [&](const Part& outer) {
    if (outer.token != kNoToken) return take(context, {{}, outer.token, false});
    std::string_view part = text.substr(outer.begin, outer.end - outer.begin);
    size_t from_first = Utf8SequenceLength(part);
    Normalizer::Output output;
    if (!normalizer_->empty()) {
      auto applied = pass.Apply(part);
      if (!applied.ok()) {
        status = applied.status();
        return false;
      }
      output = *std::move(applied);
      part = output.text;
      from_first = output.from_first;
    }
    bool goes_on = true;
    normalized_->Split(part, with_control, [&](const Part& inner) {
      const bool is_token = inner.token != kNoToken;
      const bool at_start = !is_token && outer.begin == 0 && inner.begin < from_first;
      const std::string_view left = is_token ? std::string_view() : part.substr(inner.begin, inner.end - inner.begin);
      goes_on = take(context, {left, inner.token, at_start});
      return goes_on;
    });
    return goes_on;
  });
  return status;
}

}  // namespace millrace::text
