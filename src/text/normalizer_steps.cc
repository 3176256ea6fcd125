#include "text/normalizer_steps.h"

#include <utility>

#include "base/unicode_ranges.h"
#include "base/utf8.h"
#include "text/compiled_rules.h"
#include "text/grapheme_clusters.h"
#include "text/normalizer_classes.h"
#include "text/replace_steps.h"
#include "text/unicode_form.h"

namespace millrace::text {

namespace {

constexpr std::string_view kSpaceSymbol = "▁";
constexpr std::string_view kMalformed = "\xEF\xBF\xBD";
// `tokenizers` looks up whole clusters of fewer bytes only.
constexpr size_t kClusterBytes = 6;

// Rewrites code points one by one: `Rule` appends what becomes of one and returns true, or returns false to keep it.
template <typename Rule>
class EachCodePoint : public TextRewriter {
 public:
  Status Rewrite(const NormalizedText& from, RewrittenText& to) const override {
    const std::string_view text = from.text;
    std::string made;
    size_t kept = 0;  // bytes from here on are kept
    for (size_t i = 0; i < text.size() && !to.overflowed();) {
      const auto first = static_cast<unsigned char>(text[i]);
      const CodePoint code = first < 0x80 ? CodePoint{first, 1} : Utf8Decode(text.substr(i)).value_or(CodePoint{first, 1});
      made.clear();
      if (Rule::Apply(code.value, made)) {
        to.Keep(kept, i);
        to.Put(made, i);
        kept = i + code.length;
      }
      i += code.length;
    }
    to.Keep(kept, text.size());
    return {};
  }
};

struct LowercaseRule {
  static bool Apply(char32_t code, std::string& out) {
    if (code < 0x80) {
      if (code < 'A' || code > 'Z') return false;
      out.push_back(static_cast<char>(code + ('a' - 'A')));
      return true;
    }
    if (const auto newer = NewerLowerCase(code)) {
      Utf8Append(*newer, out);
    } else {
      AppendLower(code, out);
    }
    return true;
  }
};
struct StripMarksRule {
  static bool Apply(char32_t code, std::string&) { return IsMark(code); }
};
struct StripNonspacingRule {
  static bool Apply(char32_t code, std::string&) { return IsNonspacingMark(code); }
};
struct BertCleanRule {
  static bool Apply(char32_t code, std::string& out) {
    if (code > ' ' && code < 0x7F) return false;
    if (IsControlForBert(code)) return true;
    if (!IsWhiteSpace(code)) return false;
    out.push_back(' ');
    return true;
  }
};
struct BertIdeographRule {
  static bool Apply(char32_t code, std::string& out) {
    if (!IsIdeographForBert(code)) return false;
    out.push_back(' ');
    Utf8Append(code, out);
    out.push_back(' ');
    return true;
  }
};
struct NmtRule {
  static bool Apply(char32_t code, std::string& out) {
    const bool control = (code >= 0x01 && code <= 0x08) || code == 0x0B || (code >= 0x0E && code <= 0x1F) || code == 0x7F ||
                         code == 0x8F || code == 0x9F;
    if (control) return true;
    const bool space = code == '\t' || code == '\n' || code == '\f' || code == '\r' || code == 0x1680 ||
                       (code >= 0x200B && code <= 0x200F) || code == 0x2028 || code == 0x2029 || code == 0x2581 ||
                       code == 0xFEFF || code == 0xFFFD;
    if (space) out.push_back(' ');
    return space;
  }
};

class FormStep : public TextRewriter {
 public:
  explicit FormStep(UnicodeForm::Form form) : form_(form) {}
  bool Leaves(std::string_view text) const override { return form_.Holds(text); }
  Status Rewrite(const NormalizedText& from, RewrittenText& to) const override {
    form_.Rewrite(from.text, to);
    return {};
  }

 private:
  const UnicodeNormalForm form_;
};

class StripStep : public TextRewriter {
 public:
  explicit StripStep(const StripSpace& step) : left_(step.left), right_(step.right) {}
  Status Rewrite(const NormalizedText& from, RewrittenText& to) const override {
    const std::string_view text = from.text;
    size_t begin = 0;
    size_t end = text.size();
    while (left_ && begin < end) {
      const auto code = Utf8Decode(text.substr(begin));
      if (!code || !IsWhiteSpace(code->value)) break;
      begin += code->length;
    }
    while (right_ && end > begin) {
      size_t last = end - 1;
      while (last > begin && (static_cast<unsigned char>(text[last]) & 0xC0) == 0x80) --last;
      const auto code = Utf8Decode(text.substr(last, end - last));
      if (!code || !IsWhiteSpace(code->value)) break;
      end = last;
    }
    to.Keep(begin, end);
    return {};
  }

 private:
  const bool left_;
  const bool right_;
};

class PrependStep : public TextRewriter {
 public:
  explicit PrependStep(std::string content) : content_(std::move(content)) {}
  Status Rewrite(const NormalizedText& from, RewrittenText& to) const override {
    if (from.text.empty()) return {};
    to.Put(content_, 0);
    to.Keep(0, from.text.size());
    return {};
  }

 private:
  const std::string content_;
};

// The rules as `tokenizers` applies them.
class ClusterRulesStep : public TextRewriter {
 public:
  explicit ClusterRulesStep(ReplacementRules rules) : rules_(std::move(rules)) {}
  Status Rewrite(const NormalizedText& from, RewrittenText& to) const override {
    std::string_view text = from.text;
    Changes changes(to);
    while (!text.empty() && !to.overflowed()) {
      const std::string_view cluster = text.substr(0, GraphemeClusterLength(text));
      text.remove_prefix(cluster.size());
      const auto whole = cluster.size() < kClusterBytes ? rules_.Shortest(cluster) : std::nullopt;
      if (whole) {
        changes.Replace(cluster, whole->replacement);
        continue;
      }
      for (std::string_view rest = cluster; !rest.empty();) {
        const std::string_view part = rest.substr(0, Utf8SequenceLength(rest));
        rest.remove_prefix(part.size());
        const auto found = rules_.Shortest(part);
        changes.Replace(part, found ? found->replacement : part);
      }
    }
    changes.Flush();
    return {};
  }

 private:
  // The change list of the Rust crate, one element behind: a removal is told to the element in front of it, and is lost where there is none.
  class Changes {
   public:
    explicit Changes(RewrittenText& to) : to_(to) {}
    void Replace(std::string_view before, std::string_view after) {
      int spare = 0;  // code points of `before` that are not used up
      for (; !before.empty(); before.remove_prefix(Utf8SequenceLength(before))) ++spare;
      while (!after.empty()) {
        const CodePoint code = *Utf8Decode(after);
        after.remove_prefix(code.length);
        Flush();
        waits_ = true;
        code_ = code.value;
        change_ = spare > 0 ? 0 : 1;
        --spare;
      }
      if (waits_ && spare > 0) change_ -= spare;
    }
    void Flush() {
      if (waits_) to_.Change(code_, change_);
      waits_ = false;
    }

   private:
    RewrittenText& to_;
    bool waits_ = false;
    char32_t code_ = 0;
    int change_ = 0;
  };

  const ReplacementRules rules_;
};

// SentencePiece's normalizer: rules by longest prefix, then its treatment of spaces, which looks at the replacements one by one.
class SentencePieceStep : public TextRewriter {
 public:
  SentencePieceStep(std::optional<ReplacementRules> rules, bool remove_extra)
      : rules_(std::move(rules)), remove_extra_(remove_extra) {}
  Status Rewrite(const NormalizedText& from, RewrittenText& to) const override {
    const std::string_view text = from.text;
    bool after_space = remove_extra_;
    for (size_t i = 0; i < text.size() && !to.overflowed();) {
      const ReplacementRules::Match chunk = Next(text.substr(i));
      std::string_view put = chunk.replacement;
      while (after_space && put.starts_with(' ')) put.remove_prefix(1);
      if (!put.empty()) {
        to.Put(put, to.text().empty() ? 0 : i);
        after_space = remove_extra_ && put.ends_with(' ');
      }
      i += chunk.length;
    }
    if (!remove_extra_) return {};
    std::string_view kept = to.text();
    while (kept.ends_with(' ') || kept.ends_with(kSpaceSymbol)) kept.remove_suffix(kept.ends_with(' ') ? 1 : kSpaceSymbol.size());
    to.Cut(kept.size());
    return {};
  }

 private:
  ReplacementRules::Match Next(std::string_view text) const {
    if (rules_) {
      if (const auto found = rules_->Longest(text)) return *found;
    }
    const size_t length = Utf8SequenceLength(text);
    if (length == 0) return {1, kMalformed};  // a key ended within a code point
    return {length, text.substr(0, length)};
  }

  const std::optional<ReplacementRules> rules_;
  const bool remove_extra_;
};

using Rewriters = std::vector<std::unique_ptr<const TextRewriter>>;

// One step after the other; `after` are the steps behind the one visited.
class Compiler {
 public:
  Result<Rewriters> Compile(std::span<const NormalizerStep> steps) {
    while (!steps.empty()) {
      after_ = steps.subspan(1);
      const Status status = std::visit([this](const auto& step) { return Add(step); }, steps.front());
      if (!status.ok()) return status;
      steps = after_;
    }
    return std::move(made_);
  }

 private:
  template <typename Rule>
  void Each() {
    made_.push_back(std::make_unique<const EachCodePoint<Rule>>());
  }
  void AddForm(UnicodeForm::Form form) { made_.push_back(std::make_unique<const FormStep>(form)); }

  Status Add(const UnicodeForm& step) {
    AddForm(step.form);
    return {};
  }
  Status Add(const Lowercase&) {
    Each<LowercaseRule>();
    return {};
  }
  Status Add(const StripAccents&) {
    Each<StripMarksRule>();
    return {};
  }
  Status Add(const StripSpace& step) {
    if (step.left || step.right) made_.push_back(std::make_unique<const StripStep>(step));
    return {};
  }
  Status Add(const ReplaceText& step) {
    ASSIGN_OR_RETURN(auto made, CompileReplace(step));
    made_.push_back(std::move(made));
    return {};
  }
  Status Add(const PrependText& step) {
    if (step.content.empty()) return Error(Code::kUnsupported, "normalizer Prepend: no text to prepend");
    if (!Utf8IsValid(step.content)) return Error(Code::kInvalidArgument, "normalizer Prepend: the text is not UTF-8");
    made_.push_back(std::make_unique<const PrependStep>(step.content));
    return {};
  }
  Status Add(const BertNormalizer& step) {
    if (step.clean_text) Each<BertCleanRule>();
    if (step.handle_chinese_chars) Each<BertIdeographRule>();
    if (step.strip_accents.value_or(step.lowercase)) {
      AddForm(UnicodeForm::Form::kNfd);
      Each<StripNonspacingRule>();
    }
    if (step.lowercase) Each<LowercaseRule>();
    return {};
  }
  Status Add(const NmtNormalizer&) {
    Each<NmtRule>();
    return {};
  }
  Status Add(const CompiledRules& step) {
    ASSIGN_OR_RETURN(auto rules, ReplacementRules::Create(step.rules));
    if (step.by_grapheme) {
      made_.push_back(std::make_unique<const ClusterRulesStep>(std::move(rules)));
      return {};
    }
    bool remove_extra = false;
    if (!after_.empty() && std::holds_alternative<SentencePieceSpaces>(after_.front())) {
      remove_extra = std::get<SentencePieceSpaces>(after_.front()).remove_extra;
      after_ = after_.subspan(1);
    }
    made_.push_back(std::make_unique<const SentencePieceStep>(std::move(rules), remove_extra));
    return {};
  }
  Status Add(const SentencePieceSpaces& step) {
    if (step.remove_extra) made_.push_back(std::make_unique<const SentencePieceStep>(std::nullopt, true));
    return {};
  }

  Rewriters made_;
  std::span<const NormalizerStep> after_;
};

}  // namespace

Result<Rewriters> CompileSteps(std::span<const NormalizerStep> steps) { return Compiler().Compile(steps); }

}  // namespace millrace::text
