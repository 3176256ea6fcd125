#include "text/replace_steps.h"

#include <string>
#include <utility>

#include "base/utf8.h"
#include "text/pattern.h"
#include "text/text_search.h"

namespace millrace::text {

namespace {

class ReplaceStringStep : public TextRewriter {
 public:
  ReplaceStringStep(std::string pattern, std::string content) : search_(std::move(pattern)), content_(std::move(content)) {}
  bool Leaves(std::string_view text) const override { return search_.Find(text, 0) == std::string_view::npos; }
  Status Rewrite(const NormalizedText& from, RewrittenText& to) const override {
    const std::string_view text = from.text;
    size_t kept = 0;
    while (!to.overflowed()) {
      const size_t begin = search_.Find(text, kept);
      if (begin == std::string_view::npos) break;
      to.Keep(kept, begin);
      kept = begin + search_.size();
      to.Put(content_, kept - 1);
    }
    to.Keep(kept, text.size());
    return {};
  }

 private:
  const TextSearch search_;
  const std::string content_;
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
