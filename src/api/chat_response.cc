#include "api/chat_response.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/json.h"

namespace millrace::api {
namespace {

// A JSON number that stands for −∞ where one could come: clients fail on null there, and JSON has no infinity.
constexpr double kLowestLogprob = -9999.0;

void AppendKey(std::string_view key, std::string& out) {
  if (out.back() != '{') out += ',';
  AppendJsonString(key, out);
  out += ':';
}

void AppendField(std::string_view key, std::string_view value, std::string& out) {
  AppendKey(key, out);
  AppendJsonString(value, out);
}

void AppendCount(std::string_view key, uint64_t value, std::string& out) {
  AppendKey(key, out);
  out += fmt::format("{}", value);
}

// Three decimals are below what the clocks resolve and keep replies readable.
void AppendRounded(std::string_view key, double value, std::string& out) {
  AppendKey(key, out);
  AppendJsonNumber(std::round(value * 1000) / 1000, out);
}

void AppendMilliseconds(std::string_view key, double value, std::string& out) {
  AppendRounded(key, value < 0 ? std::nan("") : value, out);
}

double Rate(double amount, double ms) { return ms > 0 ? amount * 1000 / ms : 0; }

void AppendHops(const HopTimes& hops, std::string& out) {
  AppendKey("hops", out);
  out += '{';
  AppendMilliseconds("parse_ms", hops.parse_ms, out);
  AppendMilliseconds("template_ms", hops.template_ms, out);
  AppendMilliseconds("tokenise_ms", hops.tokenise_ms, out);
  AppendMilliseconds("wait_ms", hops.wait_ms, out);
  AppendMilliseconds("ring_ms", hops.ring_ms, out);
  AppendMilliseconds("queue_ms", hops.queue_ms, out);
  AppendMilliseconds("prefill_ms", hops.prefill_ms, out);
  AppendMilliseconds("decode_ms", hops.decode_ms, out);
  AppendMilliseconds("write_ms", hops.write_ms, out);
  out += '}';
}

void AppendTimings(const Timings& t, std::string& out) {
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  const double gb_s = t.decode_bytes > 0 ? Rate(static_cast<double>(t.decode_bytes) / 1e9, t.decode_ms) : kUnknown;
  // Bytes of a step are shared among the sequences that decoded in it.
  const double rows = static_cast<double>(t.decode_steps) * t.mean_batch;
  const uint64_t computed = t.prompt_tokens - std::min(t.cached_tokens, t.prompt_tokens);
  AppendKey("timings", out);
  out += '{';
  AppendCount("prompt_tokens", t.prompt_tokens, out);
  AppendRounded("prompt_ms", t.prompt_ms, out);
  AppendRounded("prompt_tok_s", Rate(static_cast<double>(computed), t.prompt_ms), out);
  AppendCount("completion_tokens", t.completion_tokens, out);
  AppendRounded("decode_ms", t.decode_ms, out);
  AppendRounded("decode_tok_s", Rate(static_cast<double>(t.decode_steps), t.decode_ms), out);
  AppendRounded("gb_s", gb_s, out);
  AppendRounded("roof_gb_s", t.roof_gb_s > 0 ? t.roof_gb_s : kUnknown, out);
  AppendRounded("percent_of_roof", t.roof_gb_s > 0 ? 100 * gb_s / t.roof_gb_s : kUnknown, out);
  AppendRounded("mean_batch", t.mean_batch > 0 ? t.mean_batch : kUnknown, out);
  AppendKey("bytes_per_token", out);
  out += rows > 0 && t.decode_bytes > 0 ? fmt::format("{}", std::llround(static_cast<double>(t.decode_bytes) / rows)) : "null";
  AppendHops(t.hops, out);
  out += '}';
}

void AppendReport(const Report& report, std::string& out) {
  AppendTimings(report.timings, out);
  AppendKey("millrace", out);
  out += '{';
  AppendCount("seed", report.seed, out);
  AppendKey("ignored", out);
  out += '[';
  for (const std::string& name : report.ignored) {
    if (out.back() != '[') out += ',';
    AppendJsonString(name, out);
  }
  out += "]}";
}

void AppendUsage(const UsageCounts& usage, std::string& out) {
  AppendKey("usage", out);
  out += '{';
  AppendCount("prompt_tokens", usage.prompt_tokens, out);
  AppendCount("completion_tokens", usage.completion_tokens, out);
  AppendCount("total_tokens", usage.prompt_tokens + usage.completion_tokens, out);
  out += fmt::format(",\"prompt_tokens_details\":{{\"cached_tokens\":{}}}", usage.cached_tokens);
  out += ",\"completion_tokens_details\":{\"reasoning_tokens\":0}}";
}

// token, logprob and bytes, without the closing brace.
void AppendScoredToken(const ScoredToken& token, std::string& out) {
  out += '{';
  AppendField("token", token.bytes, out);
  AppendKey("logprob", out);
  AppendJsonNumber(std::isfinite(token.logprob) ? static_cast<double>(token.logprob) : kLowestLogprob, out);
  AppendKey("bytes", out);
  out += '[';
  for (const char byte : token.bytes) {
    if (out.back() != '[') out += ',';
    out += fmt::format("{}", static_cast<unsigned char>(byte));
  }
  out += ']';
}

void AppendLogprobs(const std::vector<TokenScore>& scores, std::string& out) {
  out += "{\"content\":[";
  for (size_t i = 0; i < scores.size(); ++i) {
    if (i > 0) out += ',';
    AppendScoredToken(scores[i].token, out);
    out += ",\"top_logprobs\":[";
    for (size_t j = 0; j < scores[i].top.size(); ++j) {
      if (j > 0) out += ',';
      AppendScoredToken(scores[i].top[j], out);
      out += '}';
    }
    out += "]}";
  }
  out += "],\"refusal\":null}";
}

std::string Head(const ResponseHead& head, std::string_view object) {
  std::string out = "{";
  AppendField("id", head.id, out);
  AppendField("object", object, out);
  AppendKey("created", out);
  out += fmt::format("{}", head.created);
  AppendField("model", head.model, out);
  AppendField("system_fingerprint", head.system_fingerprint, out);
  return out;
}

}  // namespace

std::string WriteChat(const ChatAnswer& answer) {
  std::string out = Head(answer.head, "chat.completion");
  out += ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":";
  AppendJsonString(answer.content, out);
  out += ",\"refusal\":null},\"logprobs\":";
  if (answer.logprobs) {
    AppendLogprobs(*answer.logprobs, out);
  } else {
    out += "null";
  }
  AppendField("finish_reason", answer.finish_reason, out);
  out += "}]";
  AppendUsage(answer.usage, out);
  AppendReport(answer.report, out);
  out += '}';
  return out;
}

ChunkWriter::ChunkWriter(const ResponseHead& head, bool include_usage) {
  usage_head_ = Head(head, "chat.completion.chunk") + ",\"choices\":[";
  head_ = usage_head_ + "{\"index\":0,";
  tail_ = include_usage ? "],\"usage\":null}" : "]}";
  delta_prefix_ = head_ + "\"delta\":{\"content\":\"";
  delta_suffix_ = "\"},\"logprobs\":null,\"finish_reason\":null}" + tail_;
}

std::string ChunkWriter::Chunk(std::string_view delta_and_more) const {
  std::string out = head_;
  out += delta_and_more;
  out += tail_;
  return out;
}

std::string ChunkWriter::Role() const {
  return Chunk("\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}");
}

std::string ChunkWriter::Delta(std::string_view text, const std::vector<TokenScore>& logprobs) const {
  std::string choice = "\"delta\":{\"content\":";
  AppendJsonString(text, choice);
  choice += "},\"logprobs\":";
  AppendLogprobs(logprobs, choice);
  choice += ",\"finish_reason\":null}";
  return Chunk(choice);
}

std::string ChunkWriter::Finish(std::string_view finish_reason, const Report& report) const {
  std::string choice = "\"delta\":{},\"logprobs\":null";
  AppendField("finish_reason", finish_reason, choice);
  choice += '}';
  std::string out = Chunk(choice);
  out.pop_back();  // the report stands inside the chunk's object
  AppendReport(report, out);
  out += '}';
  return out;
}

std::string ChunkWriter::Usage(const UsageCounts& usage) const {
  std::string out = usage_head_ + "]";
  AppendUsage(usage, out);
  out += '}';
  return out;
}

}  // namespace millrace::api
