// Looks for one fixed text in others, linear in them whatever both hold.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::text {

// Immutable, thread-safe.
class TextSearch {
 public:
  // `wanted` is not empty.
  explicit TextSearch(std::string wanted) : wanted_(std::move(wanted)) {
    if (wanted_.size() <= kShort) return;
    borders_.assign(wanted_.size() + 1, 0);
    for (size_t i = 1, border = 0; i < wanted_.size(); ++i) {
      while (border > 0 && wanted_[i] != wanted_[border]) border = borders_[border];
      if (wanted_[i] == wanted_[border]) ++border;
      borders_[i + 1] = border;
    }
  }

  size_t size() const { return wanted_.size(); }

  // Where it first begins at or after `from`; npos for nowhere.
  size_t Find(std::string_view text, size_t from) const {
    if (borders_.empty()) return text.find(wanted_, from);
    for (size_t i = from, matched = 0; i < text.size(); ++i) {
      while (matched > 0 && text[i] != wanted_[matched]) matched = borders_[matched];
      if (text[i] == wanted_[matched]) ++matched;
      if (matched == wanted_.size()) return i + 1 - matched;
    }
    return std::string_view::npos;
  }

 private:
  // Longer texts are looked for with a table of their own borders, so that none makes the search quadratic.
  static constexpr size_t kShort = 16;

  std::string wanted_;
  std::vector<size_t> borders_;  // by length of a beginning: its longest proper beginning that is its end too
};

}  // namespace millrace::text
