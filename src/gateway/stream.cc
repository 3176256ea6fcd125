#include "gateway/stream.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace millrace::gateway {
namespace {

// Both clocks passed: the time between them. A worker's clock is not trusted to run forwards.
double Between(int64_t from_ns, int64_t to_ns) {
  return from_ns > 0 && to_ns >= from_ns ? static_cast<double>(to_ns - from_ns) / 1e6 : -1;
}

}  // namespace

Stream::Stream(std::shared_ptr<const ModelEntry> model, StreamSpec spec, text::StopMatcher stops, std::unique_ptr<Reply> reply)
    : model_(std::move(model)),
      spec_(std::move(spec)),
      reply_(std::move(reply)),
      decoder_(model_->vocabulary()),
      stops_(std::move(stops)) {}

Status Stream::Check(const ipc::Tokens& event) const {
  const auto lie = [&](std::string_view what, uint64_t expected, uint64_t found) {
    return Error(Code::kDataLoss, "request {}: {}: expected {}, found {}", spec_.request, what, expected, found);
  };
  if (event.choice != 0) return lie("choice", 0, event.choice);
  if (event.first_index != tokens_) return lie("first_index", tokens_, event.first_index);
  if (event.tokens.size() > spec_.max_tokens - tokens_) {
    return lie("tokens, at most", spec_.max_tokens, tokens_ + event.tokens.size());
  }
  for (const TokenId token : event.tokens) {
    if (!model_->vocabulary().Contains(token)) {
      return lie("token id, below", model_->vocabulary().size(), static_cast<uint64_t>(token));
    }
  }
  const bool scored = spec_.top_logprobs >= 0;
  if (scored && event.logprobs.size() != event.tokens.size()) {
    return lie("logprobs", event.tokens.size(), event.logprobs.size());
  }
  return {};
}

void Stream::Hold(const ipc::TokenLogprobs& logprobs, TokenId token, uint64_t begin_bytes) {
  const text::Vocabulary& vocabulary = model_->vocabulary();
  Held held;
  held.score.token = {std::string(vocabulary.Text(token)), logprobs.logprob};
  for (const auto& [id, logprob] : logprobs.top) {
    if (held.score.top.size() == static_cast<size_t>(spec_.top_logprobs)) break;
    held.score.top.push_back({std::string(vocabulary.Text(id)), logprob});
  }
  held.begin_bytes = begin_bytes;
  held.end_bytes = decoded_bytes_ + decoder_.pending_bytes();
  held_.push_back(std::move(held));
}

bool Stream::TakeToken(const ipc::Tokens& event, size_t index, std::string& text) {
  const uint64_t begin_bytes = decoded_bytes_ + decoder_.pending_bytes();
  const std::string_view piece = decoder_.Feed(event.tokens[index]);
  decoded_bytes_ += piece.size();
  ++tokens_;
  if (spec_.top_logprobs >= 0) Hold(event.logprobs[index], event.tokens[index], begin_bytes);
  const text::StopMatcher::Output out = stops_.Feed(piece);
  text += out.emit;
  return out.stopped;
}

// Sends `text` with the scores of the tokens that it completes. At the end also those of tokens it only began, and of the rest none:
// their text lies behind the stop string.
void Stream::Send(const std::string& text, bool at_end) {
  sent_bytes_ += text.size();
  std::vector<api::TokenScore> scores;
  while (!held_.empty()) {
    const Held& first = held_.front();
    const bool complete = first.end_bytes <= sent_bytes_;
    if (!complete && !(at_end && first.begin_bytes < sent_bytes_)) break;
    scores.push_back(std::move(held_.front().score));
    held_.pop_front();
  }
  if (!text.empty() || !scores.empty()) reply_->Text(text, std::move(scores));
}

Result<Stream::Next> Stream::OnTokens(const ipc::Tokens& event, double roof_gb_s, int64_t now_ns) {
  CHECK(!ended_, "an ended stream gets no tokens");
  RETURN_IF_ERROR(Check(event));
  std::string text;
  bool stopped = false;
  for (size_t i = 0; i < event.tokens.size() && !stopped; ++i) stopped = TakeToken(event, i, text);
  const bool too_long = sent_bytes_ + text.size() > kMaxTextBytes;
  const bool last = event.finish != FinishReason::kNone;
  if (!stopped && !last && !too_long) {
    Send(text, false);
    return Next::kMore;
  }
  if (event.finish == FinishReason::kCancelled || event.finish == FinishReason::kError) {
    if (!stopped) {
      Send(text, false);
      Fail(api::FromStatus(Error(Code::kUnavailable, "the worker gave the request up: {}", FinishReasonName(event.finish))));
      return Next::kEnded;
    }
  }
  if (!stopped) {
    // Bytes that never became a whole sequence may still complete a stop string, or be followed by nothing.
    const std::string_view rest = decoder_.Flush();
    decoded_bytes_ += rest.size();
    const text::StopMatcher::Output out = stops_.Feed(rest);
    stopped = out.stopped;
    text += out.emit;
    if (!stopped) text += stops_.Flush();
  }
  Send(text, true);
  Finish(stopped ? FinishReason::kStop : last ? event.finish : FinishReason::kLength, event, roof_gb_s, now_ns);
  return last ? Next::kEnded : Next::kEndedHere;
}

void Stream::Finish(FinishReason reason, const ipc::Tokens& event, double roof_gb_s, int64_t now_ns) {
  ended_ = true;
  api::UsageCounts usage;
  usage.prompt_tokens = spec_.prompt_tokens;
  usage.cached_tokens = event.usage ? std::min(event.usage->cached_tokens, spec_.prompt_tokens) : 0;
  usage.completion_tokens = tokens_;
  api::Report report;
  report.seed = spec_.seed;
  report.ignored = spec_.ignored;
  report.timings = MeasureTimings(event, roof_gb_s, now_ns);
  reply_->Finish(FinishReasonName(reason), usage, report);
}

api::Timings Stream::MeasureTimings(const ipc::Tokens& event, double roof_gb_s, int64_t now_ns) const {
  const ipc::HopClocks& here = spec_.clocks;
  const ipc::HopClocks& there = event.clocks;
  api::Timings timings;
  timings.prompt_tokens = spec_.prompt_tokens;
  timings.completion_tokens = tokens_;
  timings.roof_gb_s = roof_gb_s;
  api::HopTimes& hops = timings.hops;
  hops.parse_ms = Between(here.received, here.parsed);
  hops.template_ms = Between(here.parsed, here.rendered);
  hops.tokenise_ms = Between(here.rendered, here.tokenised);
  hops.wait_ms = Between(here.tokenised, here.submitted);
  hops.ring_ms = Between(here.submitted, there.drained);
  hops.queue_ms = Between(there.drained, there.scheduled);
  hops.prefill_ms = Between(there.scheduled, there.first_token);
  hops.decode_ms = Between(there.first_token, there.last_token);
  hops.write_ms = Between(there.last_token, now_ns);
  if (event.usage) {
    timings.cached_tokens = std::min(event.usage->cached_tokens, spec_.prompt_tokens);
    timings.prompt_ms = static_cast<double>(event.usage->prefill_ns) / 1e6;
    timings.decode_steps = event.usage->decode_steps;
    timings.decode_ms = static_cast<double>(event.usage->decode_ns) / 1e6;
    timings.decode_bytes = event.usage->decode_bytes;
    timings.mean_batch = event.usage->mean_batch;
    return timings;
  }
  // A worker that gives no account: what the clocks tell.
  timings.prompt_ms = std::max(hops.prefill_ms, 0.0);
  timings.decode_ms = std::max(hops.decode_ms, 0.0);
  timings.decode_steps = tokens_ > 0 ? tokens_ - 1 : 0;
  return timings;
}

void Stream::Fail(const api::ApiError& error) {
  CHECK(!ended_, "a stream ends once");
  ended_ = true;
  reply_->Fail(error);
}

}  // namespace millrace::gateway
