// Reads pre-tokenizer steps in the form of tokenizer.json, for tests.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/tokenizer_spec.h"

namespace millrace::text {

inline bool FlagOf(const Json& step, std::string_view key) {
  const Json* value = step.Find(key);
  return value != nullptr && value->as_bool();
}

inline SplitBehavior BehaviorOf(const Json& step) {
  const std::string name = step.Find("behavior")->as_string();
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  return SplitBehavior::kContiguous;
}

inline MetaspaceSplit MetaspaceOf(const Json& step) {
  const std::string scheme = step.Find("prepend_scheme")->as_string();
  return {.replacement = step.Find("replacement")->as_string(),
          .scheme = scheme == "always"  ? PrependScheme::kAlways
                    : scheme == "first" ? PrependScheme::kFirst
                                        : PrependScheme::kNever,
          .split = FlagOf(step, "split")};
}

inline PatternSplit PatternSplitOf(const Json& step) {
  const Json* regex = step.Find("pattern")->Find("Regex");
  const Json* text = regex != nullptr ? regex : step.Find("pattern")->Find("String");
  return {.pattern = {.text = text->as_string(), .is_regex = regex != nullptr},
          .behavior = BehaviorOf(step),
          .invert = FlagOf(step, "invert")};
}

// One step; nothing for a type that is not known.
inline std::optional<PreTokenizerStep> PreTokenizerStepOf(const Json& step) {
  const std::string type = step.Find("type")->as_string();
  if (type == "ByteLevel")
    return ByteLevelSplit{.add_prefix_space = FlagOf(step, "add_prefix_space"), .use_regex = FlagOf(step, "use_regex")};
  if (type == "WhitespaceSplit") return WhitespaceSplit{};
  if (type == "Whitespace") return WordSplit{};
  if (type == "Metaspace") return MetaspaceOf(step);
  if (type == "Split") return PatternSplitOf(step);
  if (type == "Digits") return DigitsSplit{.individual = FlagOf(step, "individual_digits")};
  if (type == "Punctuation") return PunctuationSplit{.behavior = BehaviorOf(step)};
  if (type == "CharDelimiterSplit") return DelimiterSplit{.delimiter = step.Find("delimiter")->as_string()};
  if (type == "BertPreTokenizer") return BertSplit{};
  return std::nullopt;
}

}  // namespace millrace::text
