#include "text/replace_steps.h"

#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "text/pattern.h"

namespace millrace::text {

namespace {

// Longer patterns are looked for with a table of their own borders, so that none makes the search quadratic.
constexpr size_t kShortPattern = 16;

class ReplaceStringStep : public TextRewriter {
 public:
  ReplaceStringStep(std::string pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {
    if (pattern_.size() <= kShortPattern) return;
    borders_.assign(pattern_.size() + 1, 0);
    for (size_t i = 1, border = 0; i < pattern_.size(); ++i) {
      while (border > 0 && pattern_[i] != pattern_[border]) border = borders_[border];
      if (pattern_[i] == pattern_[border]) ++border;
      borders_[i + 1] = border;
    }
  }
  bool Leaves(std::string_view text) const override { return Find(text, 0) == std::string_view::npos; }
  Status Rewrite(const NormalizedText& from, RewrittenText& to) const override {
    const std::string_view text = from.text;
    size_t kept = 0;
    while (!to.overflowed()) {
      const size_t begin = Find(text, kept);
      if (begin == std::string_view::npos) break;
      to.Keep(kept, begin);
      kept = begin + pattern_.size();
      to.Put(content_, kept - 1);
    }
    to.Keep(kept, text.size());
    return {};
  }

 private:
  size_t Find(std::string_view text, size_t from) const {
    if (borders_.empty()) return text.find(pattern_, from);
    for (size_t i = from, matched = 0; i < text.size(); ++i) {
      while (matched > 0 && text[i] != pattern_[matched]) matched = borders_[matched];
      if (text[i] == pattern_[matched]) ++matched;
      if (matched == pattern_.size()) return i + 1 - matched;
    }
    return std::string_view::npos;
  }

  const std::string pattern_;
  const std::string content_;
  std::vector<size_t> borders_;  // by length of a beginning of the pattern: its longest proper beginning that is its end too
};

class ReplacePatternStep : public TextRewriter {
 public:
  ReplacePatternStep(std::unique_ptr<const CompiledPattern> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  Status Rewrite(const NormalizedText& from, RewrittenText& to) const override {
    const std::string_view text = from.text;
    std::unique_ptr<CompiledPattern::Search>& search = to.scratch().search;
    if (search == nullptr) {
      search = pattern_->NewSearch(text);
    } else {
      search->Reset(text);
    }
    size_t kept = 0;
    while (!text.empty() && !to.overflowed()) {
      ASSIGN_OR_RETURN(const auto match, search->Next(kept));
      if (!match) break;
      if (match->end == 0 && !content_.empty()) {
        return Error(Code::kUnsupported, "normalizer Replace: the pattern matches nothing at the start of a text");
      }
      to.Keep(kept, match->begin);
      kept = match->end;
      if (!content_.empty()) to.Put(content_, kept - 1);
    }
    to.Keep(kept, text.size());
    return {};
  }

 private:
  const std::unique_ptr<const CompiledPattern> pattern_;
  const std::string content_;
};

}  // namespace

Result<std::unique_ptr<const TextRewriter>> CompileReplace(const ReplaceText& step) {
  if (!Utf8IsValid(step.content)) return Error(Code::kInvalidArgument, "normalizer Replace: the content is not UTF-8");
  if (!Utf8IsValid(step.pattern.text)) return Error(Code::kInvalidArgument, "normalizer Replace: the pattern is not UTF-8");
  if (step.pattern.text.empty()) return Error(Code::kUnsupported, "normalizer Replace: an empty pattern");
  if (step.pattern.is_regex) {
    auto pattern = CompiledPattern::Compile(step.pattern.text);
    if (!pattern.ok()) return pattern.status().Within("normalizer Replace");
    return {std::make_unique<const ReplacePatternStep>(std::move(*pattern), step.content)};
  }
  return {std::make_unique<const ReplaceStringStep>(step.pattern.text, step.content)};
}

}  // namespace millrace::text
