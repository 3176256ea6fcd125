#include "text/decoder.h"

namespace millrace::text {

std::string_view IncrementalDecoder::Feed(TokenId token) {
  ready_.clear();
  if (!vocabulary_->Contains(token) || (!show_special_ && vocabulary_->IsControl(token))) return ready_;
  const std::string_view file_text = vocabulary_->DecoderText(token);
  if (file_text.empty() && vocabulary_->Type(token) == TokenType::kUnused) return ready_;
  chain_.Put(file_text, ready_);
  return ready_;
}

std::string_view IncrementalDecoder::Flush() {
  ready_.clear();
  chain_.End(ready_);
  return ready_;
}

}  // namespace millrace::text
