// Stream: one admitted request, from the worker's token ids to the client's text: decoding across tokens, stop strings, log
// probabilities beside the text they belong to. It ends exactly once. Loop thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "api/chat_response.h"
#include "api/error.h"
#include "base/status.h"
#include "gateway/model_entry.h"
#include "gateway/reply.h"
#include "ipc/messages.h"
#include "text/decoder.h"
#include "text/stop_matcher.h"

namespace millrace::gateway {

struct StreamSpec {
  RequestId request = 0;
  uint64_t fingerprint = 0;  // of what was asked, for the quarantine
  uint32_t prompt_tokens = 0;
  uint32_t max_tokens = 0;
  int32_t top_logprobs = -1;  // as SamplingParams
  uint64_t seed = 0;
  std::vector<std::string> ignored;
  ipc::HopClocks clocks;  // the gateway's part
};

class Stream {
 public:
  // A longer answer ends with "length".
  static constexpr size_t kMaxTextBytes = size_t{16} << 20;

  Stream(std::shared_ptr<const ModelEntry> model, StreamSpec spec, text::StopMatcher stops, std::unique_ptr<Reply> reply);

  enum class Next {
    kMore,
    kEnded,      // the worker ended it too
    kEndedHere,  // the worker does not know yet: cancel it
  };

  // kDataLoss when the event contradicts what came before or what was asked: the worker cannot be trusted any more. The stream is
  // then unchanged and still has to be ended. Not after an end.
  Result<Next> OnTokens(const ipc::Tokens& event, double roof_gb_s, int64_t now_ns);

  // Ends with an error: a reply of its own, or the last event of a stream.
  void Fail(const api::ApiError& error);

  RequestId request() const { return spec_.request; }
  uint64_t fingerprint() const { return spec_.fingerprint; }
  bool has_tokens() const { return tokens_ > 0; }
  Reply& reply() { return *reply_; }
  void StampSubmitted(int64_t now_ns) { spec_.clocks.submitted = now_ns; }

 private:
  // A token whose text is not sent yet.
  struct Held {
    api::TokenScore score;
    uint64_t begin_bytes;  // of its text within the answer
    uint64_t end_bytes;
  };

  Status Check(const ipc::Tokens& event) const;
  bool TakeToken(const ipc::Tokens& event, size_t index, std::string& text);  // true: a stop string is complete
  void Hold(const ipc::TokenLogprobs& logprobs, TokenId token, uint64_t begin_bytes);
  void Send(const std::string& text, bool at_end);
  void Finish(FinishReason reason, const ipc::Tokens& event, double roof_gb_s, int64_t now_ns);
  api::Timings MeasureTimings(const ipc::Tokens& event, double roof_gb_s, int64_t now_ns) const;

  std::shared_ptr<const ModelEntry> model_;
  StreamSpec spec_;
  std::unique_ptr<Reply> reply_;
  text::IncrementalDecoder decoder_;
  text::StopMatcher stops_;
  std::deque<Held> held_;
  uint32_t tokens_ = 0;         // taken; what stands after a stop string is not
  uint64_t decoded_bytes_ = 0;  // given to the stop matcher
  uint64_t sent_bytes_ = 0;
  bool ended_ = false;
};

}  // namespace millrace::gateway
