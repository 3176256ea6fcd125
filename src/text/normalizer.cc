#include "text/normalizer.h"

#include <algorithm>
#include <utility>

#include "base/checked.h"
#include "base/utf8.h"
#include "text/normalizer_steps.h"
#include "text/rewritten_text.h"

namespace millrace::text {

Normalizer::Normalizer() = default;
Normalizer::~Normalizer() = default;

Result<std::unique_ptr<const Normalizer>> Normalizer::Create(std::span<const NormalizerStep> steps) {
  ASSIGN_OR_RETURN(auto compiled, CompileSteps(steps));
  std::unique_ptr<Normalizer> made(new Normalizer());
  made->steps_ = std::move(compiled);
  return {std::move(made)};
}

Result<Normalizer::Output> Normalizer::Apply(std::string_view text) const { return Pass(*this).Apply(text); }

Normalizer::Pass::Pass(const Normalizer& normalizer) : normalizer_(normalizer), scratch_(normalizer.steps_.size()) {}
Normalizer::Pass::~Pass() = default;

Result<Normalizer::Output> Normalizer::Pass::Apply(std::string_view part) {
  if (part.size() > (SIZE_MAX - kFreeNormalizedGrowth) / kMaxNormalizedGrowth) {
    return Error(Code::kResourceExhausted, "normalizer: a text of {} bytes", part.size());
  }
  const size_t warranted = kMaxNormalizedGrowth * part.size();
  const size_t limit = std::min(free_growth_ + warranted, kMaxNormalizedBytes);
  NormalizedText now = {std::string(part), Utf8SequenceLength(part)};
  for (size_t i = 0; i < scratch_.size(); ++i) {
    const TextRewriter& step = *normalizer_.steps_[i];
    if (step.Leaves(now.text)) continue;
    RewrittenText to(now, limit, scratch_[i]);
    RETURN_IF_ERROR(step.Rewrite(now, to));
    if (to.overflowed()) {
      return Error(Code::kResourceExhausted, "normalizer: a text of {} bytes becomes more than {} bytes", part.size(), limit);
    }
    now = std::move(to).Take();
  }
  if (now.text.size() > warranted) free_growth_ -= now.text.size() - warranted;
  return Output{std::move(now.text), now.from_first};
}

}  // namespace millrace::text
