#include "engine/request_check.h"

#include <cmath>
#include <string_view>

namespace millrace::engine {
namespace {

Status CheckToken(std::string_view field, TokenId id, uint32_t vocab) {
  if (id >= 0 && static_cast<uint32_t>(id) < vocab) return {};
  return Error(Code::kInvalidArgument, "{}: expected a token id in [0, {}), found {}", field, vocab, id);
}

// NaN is outside every range.
Status CheckRange(std::string_view field, float value, float low, float high) {
  if (value >= low && value <= high) return {};
  return Error(Code::kInvalidArgument, "{}: expected a number in [{}, {}], found {}", field, low, high, value);
}

Status CheckCount(std::string_view field, size_t count, size_t most) {
  if (count <= most) return {};
  return Error(Code::kInvalidArgument, "{}: expected at most {} entries, found {}", field, most, count);
}

Status CheckNumbers(const SamplingParams& params) {
  RETURN_IF_ERROR(CheckRange("temperature", params.temperature, 0.0F, 100.0F));
  RETURN_IF_ERROR(CheckRange("top_p", params.top_p, 0.0F, 1.0F));
  RETURN_IF_ERROR(CheckRange("min_p", params.min_p, 0.0F, 1.0F));
  RETURN_IF_ERROR(CheckRange("repetition_penalty", params.repetition_penalty, 0.0F, 10.0F));
  RETURN_IF_ERROR(CheckRange("presence_penalty", params.presence_penalty, -2.0F, 2.0F));
  RETURN_IF_ERROR(CheckRange("frequency_penalty", params.frequency_penalty, -2.0F, 2.0F));
  if (params.top_p == 0.0F) return Error(Code::kInvalidArgument, "top_p: expected a number above 0, found 0");
  if (params.repetition_penalty == 0.0F)
    return Error(Code::kInvalidArgument, "repetition_penalty: expected a number above 0, found 0");
  if (params.top_k < 0) return Error(Code::kInvalidArgument, "top_k: expected 0 or more, found {}", params.top_k);
  if (params.max_tokens == 0) return Error(Code::kInvalidArgument, "max_tokens: expected 1 or more, found 0");
  if (params.top_logprobs < -1 || params.top_logprobs > kMaxTopLogprobs) {
    return Error(Code::kInvalidArgument, "top_logprobs: expected -1 to {}, found {}", kMaxTopLogprobs, params.top_logprobs);
  }
  return {};
}

}  // namespace

Status CheckRequest(const Request& request, uint32_t vocab) {
  const SamplingParams& params = request.sampling;
  if (request.id == 0) return Error(Code::kInvalidArgument, "request id: expected a number above 0, found 0");
  if (request.prompt.empty()) return Error(Code::kInvalidArgument, "prompt: expected at least one token, found none");
  for (const TokenId id : request.prompt) RETURN_IF_ERROR(CheckToken("prompt", id, vocab));
  RETURN_IF_ERROR(CheckNumbers(params));
  RETURN_IF_ERROR(CheckCount("logit_bias", params.logit_bias.size(), kMaxLogitBias));
  RETURN_IF_ERROR(CheckCount("stop_tokens", params.stop_tokens.size(), kMaxStopTokens));
  for (const auto& [id, bias] : params.logit_bias) {
    RETURN_IF_ERROR(CheckToken("logit_bias", id, vocab));
    if (!std::isfinite(bias))
      return Error(Code::kInvalidArgument, "logit_bias of token {}: expected a finite number, found {}", id, bias);
  }
  for (const TokenId id : params.stop_tokens) RETURN_IF_ERROR(CheckToken("stop_tokens", id, vocab));
  return {};
}

}  // namespace millrace::engine
