// The normalizer steps, compiled: each rewrites a text. Private to text/normalizer.h.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/rewritten_text.h"
#include "text/tokenizer_spec.h"

namespace millrace::text {

// Immutable, thread-safe. Texts are well-formed UTF-8.
class TextRewriter {
 public:
  virtual ~TextRewriter() = default;
  // True only for texts that Rewrite would not change; a scan, where that is quicker than rewriting.
  virtual bool Leaves(std::string_view) const { return false; }
  virtual Status Rewrite(const NormalizedText& from, RewrittenText& to) const = 0;
};

Result<std::vector<std::unique_ptr<const TextRewriter>>> CompileSteps(std::span<const NormalizerStep> steps);

}  // namespace millrace::text
