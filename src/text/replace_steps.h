// The Replace normalizer, compiled. Private to text/normalizer.h.
#pragma once

#include <memory>

#include "base/status.h"
#include "text/normalizer_steps.h"
#include "text/tokenizer_spec.h"

namespace millrace::text {

// kUnsupported for an empty pattern. Where a regular expression matches nothing at the start of a text, rewriting fails with kUnsupported: later steps of
// `tokenizers` do not see what is put in there.
Result<std::unique_ptr<const TextRewriter>> CompileReplace(const ReplaceText& step);

}  // namespace millrace::text
