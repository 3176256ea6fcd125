// Finds added tokens in text the way the Python package `tokenizers` does: leftmost first, of those that begin at one place the longest, first those
// that are looked for in the text as it is, then, between them, those that are looked for in normalized text.
//
// A match of a single_word token next to a word character (its \w: letters, marks, decimal digits, connectors) is passed over as a whole: shorter
// tokens within it are not looked for. So are matches of control tokens where these are not wanted.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "text/normalizer.h"
#include "text/token_matcher.h"
#include "text/tokenizer_spec.h"

namespace millrace::text {

// Of the texts of all added tokens, as they are looked for: a byte takes 28 bytes here, and 60 while the search is made ready.
inline constexpr size_t kMaxAddedTokenBytes = size_t{4} << 20;

// Immutable, thread-safe.
class AddedTokens {
 public:
  struct Fragment {
    std::string_view text;     // normalized text between added tokens; valid during the call
    TokenId token = kNoToken;  // or an added token; then `text` is empty
    bool at_start = false;     // the text begins where the whole text begins: Normalizer::Output::from_first
  };
  // Takes fragments in order; false stops the search.
  using Take = bool (*)(void* context, const Fragment&);

  // `normalizer` outlives the object. kInvalidArgument for listed tokens that the vocabulary does not have, that have no text, whose type is none
  // of the three, or whose normalized text is empty, and for texts of more than kMaxAddedTokenBytes together; what Normalizer::Apply gives for a
  // token that is to be normalized. Of tokens with equal texts the lowest is found (`tokenizers` takes any).
  static Result<std::unique_ptr<const AddedTokens>> Create(const TokenizerSpec& spec, const Normalizer& normalizer);
  ~AddedTokens();

  // `with_control`: kControl and kUnknown tokens are found too, else only kUserDefined ones. Linear in the text. Empty fragments of text are not
  // handed out. Fails as Normalizer::Apply does.
  template <typename F>
  Status Split(std::string_view text, bool with_control, F take) const {
    return SplitWith(
        text, with_control, [](void* context, const Fragment& fragment) { return (*static_cast<F*>(context))(fragment); }, &take);
  }

 private:
  struct Rules {
    TokenId token = kNoToken;
    bool single_word = false;
    bool lstrip = false;
    bool rstrip = false;
    bool control = false;  // kControl or kUnknown
  };
  struct Set;
  AddedTokens();
  Status SplitWith(std::string_view text, bool with_control, Take take, void* context) const;

  const Normalizer* normalizer_ = nullptr;
  std::unique_ptr<const Set> plain_;
  std::unique_ptr<const Set> normalized_;
};

}  // namespace millrace::text
