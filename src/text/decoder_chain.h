// The decoder steps of a tokenizer as a chain through which tokens flow one by one.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_spec.h"

namespace millrace::text {

// State of one text; one thread.
class DecoderChain {
 public:
  // `steps` are such as CheckDecoders takes. `clean_up_spaces`: that of `transformers`, after the steps.
  DecoderChain(std::span<const DecoderStep> steps, bool clean_up_spaces);
  ~DecoderChain();
  DecoderChain(DecoderChain&&) noexcept;
  DecoderChain& operator=(DecoderChain&&) noexcept;

  // Takes the file text of the next token; appends to `out` the text that is now certain, whole code points.
  void Put(std::string_view file_text, std::string& out);
  // The text ends: appends what was held back. The chain is then as new.
  void End(std::string& out);

  size_t pending_bytes() const;  // held back

  class Step;

 private:
  class Builder;
  std::vector<std::unique_ptr<Step>> steps_;  // each knows the next one; the last collects
};

}  // namespace millrace::text
