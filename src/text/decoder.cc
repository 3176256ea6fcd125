#include "text/decoder.h"

#include "base/utf8.h"

namespace millrace::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Length of the maximal ill-formed part at the start of `text`, which neither is nor begins a well-formed sequence.
size_t IllFormedLength(std::string_view text) {
  size_t length = 1;
  while (length < text.size() && Utf8IsIncomplete(text.substr(0, length + 1))) ++length;
  return length;
}

}  // namespace

std::string_view IncrementalDecoder::Feed(TokenId token) {
  ready_.clear();
  if (!show_special_ && vocabulary_->IsControl(token)) return ready_;
  pending_ += vocabulary_->Text(token);
  std::string_view rest = pending_;
  while (!rest.empty()) {
    size_t taken = Utf8SequenceLength(rest);
    if (taken > 0) {
      ready_ += rest.substr(0, taken);
    } else {
      if (Utf8IsIncomplete(rest)) break;
      taken = IllFormedLength(rest);
      ready_ += kReplacement;
    }
    rest.remove_prefix(taken);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return ready_;
}

std::string_view IncrementalDecoder::Flush() {
  ready_ = Utf8Sanitize(pending_);
  pending_.clear();
  return ready_;
}

}  // namespace millrace::text
