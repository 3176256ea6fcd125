// What one normalizer step makes of a text, with the one thing about its origin that pre-tokenizers ask: which bytes at the front come from the
// first code point of the whole text. The alignments of the Python package `tokenizers` decide this.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/pattern.h"

namespace millrace::text {

// A text between two steps.
struct NormalizedText {
  std::string text;
  size_t from_first = 0;  // bytes at the front that count as made from the first code point of the input
};

// What the steps keep between the parts of one text.
struct StepScratch {
  std::unique_ptr<CompiledPattern::Search> search;
};

// The result of one step, filled from front to back, either by Put and Keep or by Change and KeepNext. One thread.
class RewrittenText {
 public:
  // `from` outlives the object. What would go above `limit` bytes is dropped, and overflowed() is true.
  RewrittenText(const NormalizedText& from, size_t limit, StepScratch& scratch) : from_(from), limit_(limit), scratch_(scratch) {}

  // That of the step, which outlives the object.
  StepScratch& scratch() const { return scratch_; }

  // `bytes` was made from the code point that holds byte `source` of the text. Sources ascend.
  void Put(std::string_view bytes, size_t source) {
    Append(bytes);
    if (source < from_.from_first) result_.from_first = result_.text.size();
  }
  // The bytes [begin, end) of the text as they are.
  void Keep(size_t begin, size_t end);

  // One code point as the change lists of `tokenizers` have it. 0: in the place of the next code point of the text; 1: put in after the one
  // before; -n: in the place of the next one, with the n behind it gone.
  void Change(char32_t code, int change);
  // `code_points`, all of them with change 0.
  void KeepNext(std::string_view code_points);

  std::string_view text() const { return result_.text; }
  // Drops what is behind the first `size` bytes.
  void Cut(size_t size);

  bool overflowed() const { return overflowed_; }
  NormalizedText Take() && { return std::move(result_); }

 private:
  void Append(std::string_view bytes);
  void PassCodePoint();

  const NormalizedText& from_;
  const size_t limit_;
  StepScratch& scratch_;
  NormalizedText result_;
  size_t passed_ = 0;  // bytes of the text that the changes stand behind; counted only as far as from_first asks
  bool overflowed_ = false;
};

}  // namespace millrace::text
