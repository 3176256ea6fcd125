// Finds added tokens in text the way the Python package `tokenizers` does: leftmost first, of those that begin at one place the longest, first those
// that are looked for in the text as it is, then, between them, those that are looked for in normalized text.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "text/normalizer.h"
#include "text/tokenizer_spec.h"

namespace millrace::text {

// Immutable, thread-safe.
class AddedTokens {
 public:
  struct Fragment {
    std::string_view text;     // normalized text between added tokens; valid during the call
    TokenId token = kNoToken;  // or an added token; then `text` is empty
    bool at_start = false;     // the text begins where the whole text begins
  };
  // Takes fragments in order; false stops the search.
  using Take = bool (*)(void* context, const Fragment&);

  // `with_control`: kControl and kUnknown tokens are found too, else only kUserDefined ones. `normalizer` outlives the object.
  static Result<std::unique_ptr<const AddedTokens>> Create(const TokenizerSpec& spec, const Normalizer& normalizer,
                                                           bool with_control);
  ~AddedTokens();

  // Linear in the text. Empty fragments of text are not handed out. Fails as Normalizer::Apply does.
  template <typename F>
  Status Split(std::string_view text, F take) const {
    return SplitWith(text, [](void* context, const Fragment& fragment) { return (*static_cast<F*>(context))(fragment); }, &take);
  }

 private:
  class Matcher;
  AddedTokens();
  Status SplitWith(std::string_view text, Take take, void* context) const;
  const Normalizer* normalizer_ = nullptr;
  std::unique_ptr<const Matcher> plain_;
  std::unique_ptr<const Matcher> normalized_;
};

}  // namespace millrace::text
