// Reply: one answer on its way to the client, whole or as a stream of events. It ends exactly once: Finish, Fail, or the client's own
// going. Dropped without an end it breaks the connection off, so that a cut answer cannot be taken for a whole one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/chat_response.h"
#include "api/error.h"
#include "base/status.h"
#include "net/exchange.h"

namespace millrace::gateway {

// What every answer of a request carries.
struct ReplyOptions {
  api::ResponseHead head;
  bool logprobs = false;
  bool include_usage = false;
  std::vector<std::string> ignored;  // parameters; named in a header and in the report
};

class Reply {
 public:
  virtual ~Reply() = default;
  // More of the answer: whole UTF-8, and the scores of the tokens that it completes (empty unless asked for). Not both empty.
  virtual void Text(std::string_view text, std::vector<api::TokenScore> scores) = 0;
  virtual void Finish(std::string_view reason, const api::UsageCounts& usage, const api::Report& report) = 0;
  virtual void Fail(const api::ApiError& error) = 0;
  // Runs at most once, in a later turn, and not after the end.
  virtual void OnClientGone(std::function<void(Status)> callback) = 0;
};

// One JSON body at the end.
std::unique_ptr<Reply> MakeWholeReply(std::shared_ptr<net::Exchange> exchange, ReplyOptions options);
// Server-sent events; the response head goes out now, later failures are error events.
std::unique_ptr<Reply> MakeStreamedReply(const std::shared_ptr<net::Exchange>& exchange, ReplyOptions options);

// x-millrace-ignored, which names these parameters; nothing for none. The names are plain enough for a header.
std::vector<net::Headers::Field> IgnoredHeader(const std::vector<std::string>& ignored);

// Answers with an error, for requests that were never admitted.
void RespondError(net::Exchange& exchange, const api::ApiError& error);

}  // namespace millrace::gateway
