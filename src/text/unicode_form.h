// The Unicode normal forms with the answers of the Python package `tokenizers`, whose tables are those of Unicode 9: newer code points are
// never taken apart, composed or reordered. Linear in the text, however many combining marks follow each other.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/rewritten_text.h"
#include "text/tokenizer_spec.h"

namespace millrace::text {

// Immutable, thread-safe.
class UnicodeNormalForm {
 public:
  explicit UnicodeNormalForm(UnicodeForm::Form form);

  // True for texts that are in the form already; false for some of them too.
  bool Holds(std::string_view text) const { return FirstOpen(text, 0) == text.size(); }
  // `text` is well-formed UTF-8, the text that `to` rewrites.
  void Rewrite(std::string_view text, RewrittenText& to) const;

 private:
  struct Item {
    char32_t code;
    uint8_t combining_class;
    int change;  // as RewrittenText::Change takes it
  };
  // The first code point at or after `from` that the form may change, or that may change with its neighbours.
  size_t FirstOpen(std::string_view text, size_t from) const;
  size_t FirstClosed(std::string_view text, size_t from) const;
  bool Closed(char32_t code) const;
  void RewriteOpen(std::string_view segment, std::vector<Item>& items, RewrittenText& to) const;
  void Finish(std::vector<Item>& items, RewrittenText& to) const;
  static void Reorder(std::vector<Item>& items);
  static void Compose(std::vector<Item>& items);

  UnicodeForm::Form form_;
  const std::vector<bool>* closed_;  // by code point; of the whole process
};

}  // namespace millrace::text
