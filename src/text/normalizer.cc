#include "text/normalizer.h"

#include <utility>

#include "base/checked.h"
#include "base/utf8.h"
#include "text/normalizer_steps.h"
#include "text/rewritten_text.h"

namespace millrace::text {

namespace {

constexpr size_t kFreeGrowth = 1024;  // bytes

}  // namespace

Normalizer::Normalizer() = default;
Normalizer::~Normalizer() = default;

Result<std::unique_ptr<const Normalizer>> Normalizer::Create(std::span<const NormalizerStep> steps) {
  ASSIGN_OR_RETURN(auto compiled, CompileSteps(steps));
  std::unique_ptr<Normalizer> made(new Normalizer());
  made->steps_ = std::move(compiled);
  return {std::move(made)};
}

Result<Normalizer::Output> Normalizer::Apply(std::string_view text) const {
  if (text.size() > (SIZE_MAX - kFreeGrowth) / kMaxNormalizedGrowth) {
    return Error(Code::kResourceExhausted, "normalizer: a text of {} bytes", text.size());
  }
  const size_t limit = kFreeGrowth + kMaxNormalizedGrowth * text.size();
  NormalizedText now = {std::string(text), Utf8SequenceLength(text)};
  for (const auto& step : steps_) {
    if (step->Leaves(now.text)) continue;
    RewrittenText to(now, limit);
    RETURN_IF_ERROR(step->Rewrite(now, to));
    if (to.overflowed()) {
      return Error(Code::kResourceExhausted, "normalizer: a text of {} bytes becomes more than {} bytes", text.size(), limit);
    }
    now = std::move(to).Take();
  }
  return Output{std::move(now.text), now.from_first};
}

}  // namespace millrace::text
