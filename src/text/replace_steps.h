// The Replace normalizer, compiled. Private to text/normalizer.h.
#pragma once

#include <memory>

#include "base/status.h"
#include "text/normalizer_steps.h"
#include "text/tokenizer_spec.h"

namespace millrace::text {

// kUnsupported for patterns that may match nothing: what `tokenizers` does around such matches is left out.
Result<std::unique_ptr<const TextRewriter>> CompileReplace(const ReplaceText& step);

}  // namespace millrace::text
