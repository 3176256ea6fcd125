#include "text/named_pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <limits>
#include <span>

#include "text/pattern_classes.h"

namespace millrace::text {
namespace {

// The patterns of the Python package `tokenizers`, word for word. Where engines rewrite them, these are what they rewrite.
constexpr std::string_view kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kPunctuation = R"([\p{P}$+<=>^~|]+)";

struct Definition {
  std::string_view name;
  std::vector<std::string_view> patterns;  // one for each stage
  bool whole_words_first = false;
};

const std::vector<Definition>& Definitions() {
  static const std::vector<Definition> definitions = {
      {"gpt-2", {kGpt2}},
      {"mpt", {kGpt2}},
      {"olmo", {kGpt2}},
      {"jais", {kGpt2}},
      {"smollm", {R"(\p{N})", kGpt2}},
      {"starcoder", {R"(\p{N})", kGpt2}},
      {"refact", {R"(\p{N})", kGpt2}},
      {"command-r", {R"(\p{N})", kGpt2}},
      {"codeshell", {R"(\p{N})", kGpt2}},
      {"llama-bpe", {kLlama3}, true},
      {"llama3", {kLlama3}, true},
      {"dbrx", {kLlama3}},
      {"qwen2", {kQwen2}},
      // A file that does not say how its text was cut.
      {"default", {kPunctuation, kGpt2, R"(\p{N}+)", R"([0-9][0-9][0-9])"}},
  };
  return definitions;
}

std::string RangesText(std::span<const CodePointRange> ranges) {
  std::string out;
  for (const CodePointRange& range : ranges) {
    fmt::format_to(std::back_inserter(out), "\\x{{{:X}}}-\\x{{{:X}}}", range.first, range.last);
  }
  return out;
}

struct PropertyClass {
  std::string_view escape;
  std::span<const CodePointRange> ranges;
  bool negated;  // allowed outside brackets only
};

const PropertyClass kPropertyClasses[] = {
    {R"(\p{L})", kLRanges, false},       {R"(\p{N})", kNRanges, false},      {R"(\p{P})", kPRanges, false},
    {R"(\s)", kWhiteSpaceRanges, false}, {R"(\S)", kWhiteSpaceRanges, true},
};

// Writes the property classes of one of the patterns above out as ranges.
std::string WithExplicitRanges(std::string_view pattern) {
  std::string out;
  bool in_brackets = false;
  while (!pattern.empty()) {
    const auto* property = std::find_if(std::begin(kPropertyClasses), std::end(kPropertyClasses),
                                        [&](const PropertyClass& entry) { return pattern.starts_with(entry.escape); });
    if (property != std::end(kPropertyClasses)) {
      const std::string ranges = RangesText(property->ranges);
      out += in_brackets ? ranges : fmt::format("[{}{}]", property->negated ? "^" : "", ranges);
      pattern.remove_prefix(property->escape.size());
      continue;
    }
    const size_t length = pattern.front() == '\\' ? 2 : 1;
    if (pattern.front() == '[') in_brackets = true;
    if (pattern.front() == ']') in_brackets = false;
    out += pattern.substr(0, length);
    pattern.remove_prefix(length);
  }
  return out;
}

std::string Pcre2Message(int code) {
  PCRE2_UCHAR buffer[256];
  const int length = pcre2_get_error_message(code, buffer, sizeof(buffer));
  return length < 0 ? fmt::format("error {}", code) : std::string(buffer, buffer + length);
}

struct MatchDataDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct MatchContextDeleter {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct CodeDeleter {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
using MatchData = std::unique_ptr<pcre2_match_data, MatchDataDeleter>;
using MatchContext = std::unique_ptr<pcre2_match_context, MatchContextDeleter>;

constexpr uint32_t kDepthLimit = 1000;
constexpr uint32_t kHeapLimitKib = 16 * 1024;

// One match looks at no text twice but for backing out of a run of spaces, so its steps are bounded by a small multiple of the
// text.
MatchContext MakeMatchContext(size_t text_bytes) {
  MatchContext context(pcre2_match_context_create(nullptr));
  if (context == nullptr) return context;
  const uint64_t limit = 16 * static_cast<uint64_t>(text_bytes) + 10'000;
  pcre2_set_match_limit(context.get(), static_cast<uint32_t>(std::min<uint64_t>(limit, std::numeric_limits<uint32_t>::max())));
  pcre2_set_depth_limit(context.get(), kDepthLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  return context;
}

}  // namespace

// A compiled pattern; immutable, so any number of threads may match with it.
class NamedPreTokenizer::Stage {
 public:
  static Result<std::unique_ptr<const Stage>> Compile(std::string_view pattern) {
    const std::string text = WithExplicitRanges(pattern);
    int code = 0;
    PCRE2_SIZE offset = 0;
    std::unique_ptr<pcre2_code, CodeDeleter> compiled(
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), PCRE2_UTF, &code, &offset, nullptr));
    if (compiled == nullptr) return Error(Code::kInternal, "pattern '{}': {} at {}", pattern, Pcre2Message(code), offset);
    // A system may forbid writable code pages; then the interpreter does the same work, slower.
    (void)pcre2_jit_compile(compiled.get(), PCRE2_JIT_COMPLETE);
    return std::unique_ptr<const Stage>(new Stage(std::move(compiled)));
  }

  const pcre2_code* code() const { return code_.get(); }

 private:
  explicit Stage(std::unique_ptr<pcre2_code, CodeDeleter> code) : code_(std::move(code)) {}
  std::unique_ptr<pcre2_code, CodeDeleter> code_;
};

// One call of Split.
class NamedPreTokenizer::Run {
 public:
  Run(const NamedPreTokenizer& owner, size_t text_bytes, const std::function<bool(std::string_view)>& take)
      : owner_(owner), take_(take), context_(MakeMatchContext(text_bytes)) {}

  Status Split(std::string_view text) {
    for (size_t i = 0; i < owner_.stages_.size(); ++i) match_data_.emplace_back(pcre2_match_data_create(1, nullptr));
    const bool allocated = context_ != nullptr && std::none_of(match_data_.begin(), match_data_.end(),
                                                               [](const MatchData& data) { return data == nullptr; });
    if (!allocated) return Error(Code::kResourceExhausted, "no memory for a pattern match");
    return Cut(text, 0);
  }

 private:
  // Cuts `piece` by stage `stage` and each part by those after it; the depth is the number of stages (at most 4).
  Status Cut(std::string_view piece, size_t stage) {
    if (piece.empty() || stopped_) return Status();
    if (stage == owner_.stages_.size()) {
      stopped_ = !take_(piece);
      return Status();
    }
    pcre2_match_data* const data = match_data_[stage].get();
    size_t done = 0;
    while (done < piece.size() && !stopped_) {
      const int found = pcre2_match(owner_.stages_[stage]->code(), reinterpret_cast<PCRE2_SPTR>(piece.data()), piece.size(), done,
                                    PCRE2_NO_UTF_CHECK, data, context_.get());
      if (found == PCRE2_ERROR_NOMATCH) break;
      if (found < 0) return Error(Code::kResourceExhausted, "pre-tokenizer: {} at byte {}", Pcre2Message(found), done);
      const PCRE2_SIZE* const bounds = pcre2_get_ovector_pointer(data);
      const size_t begin = bounds[0];
      const size_t end = bounds[1];
      if (begin < done || end <= begin) return Error(Code::kInternal, "pre-tokenizer: empty match at byte {}", begin);
      RETURN_IF_ERROR(Cut(piece.substr(done, begin - done), stage + 1));
      RETURN_IF_ERROR(Cut(piece.substr(begin, end - begin), stage + 1));
      done = end;
    }
    return Cut(piece.substr(done), stage + 1);
  }

  const NamedPreTokenizer& owner_;
  const std::function<bool(std::string_view)>& take_;
  MatchContext context_;
  std::vector<MatchData> match_data_;  // by stage: a stage's match is read before the stages after it match
  bool stopped_ = false;
};

NamedPreTokenizer::NamedPreTokenizer() = default;
NamedPreTokenizer::~NamedPreTokenizer() = default;

namespace {

Result<const Definition*> FindDefinition(std::string_view name) {
  const std::vector<Definition>& definitions = Definitions();
  const auto found = std::find_if(definitions.begin(), definitions.end(), [&](const Definition& d) { return d.name == name; });
  if (found != definitions.end()) return &*found;
  std::string names;
  for (const Definition& definition : definitions) names += fmt::format("{}{}", names.empty() ? "" : ", ", definition.name);
  return Error(Code::kUnsupported, "pre-tokenizer '{}': expected one of {}", name, names);
}

}  // namespace

Result<std::unique_ptr<const NamedPreTokenizer>> NamedPreTokenizer::Create(std::string_view name) {
  ASSIGN_OR_RETURN(const Definition* definition, FindDefinition(name));
  std::unique_ptr<NamedPreTokenizer> out(new NamedPreTokenizer);
  out->whole_words_first_ = definition->whole_words_first;
  for (const std::string_view pattern : definition->patterns) {
    ASSIGN_OR_RETURN(std::unique_ptr<const Stage> stage, Stage::Compile(pattern));
    out->stages_.push_back(std::move(stage));
  }
  return std::unique_ptr<const NamedPreTokenizer>(std::move(out));
}

Result<NamedPreTokenizer::Stages> NamedPreTokenizer::StagesOf(std::string_view name) {
  ASSIGN_OR_RETURN(const Definition* definition, FindDefinition(name));
  return Stages{.patterns = {definition->patterns.begin(), definition->patterns.end()},
                .whole_words_first = definition->whole_words_first};
}

Result<std::string_view> NamedPreTokenizer::NameOf(std::span<const std::string> patterns, bool whole_words_first) {
  for (const Definition& definition : Definitions()) {
    if (definition.whole_words_first == whole_words_first && std::ranges::equal(definition.patterns, patterns))
      return definition.name;
  }
  return Error(Code::kUnsupported, "no pre-tokenizer of this build cuts by the patterns '{}'{}", fmt::join(patterns, "', then '"),
               whole_words_first ? " and takes whole words first" : "");
}

Status NamedPreTokenizer::Split(std::string_view text, const std::function<bool(std::string_view)>& take) const {
  Run run(*this, text.size(), take);
  return run.Split(text);
}

}  // namespace millrace::text
