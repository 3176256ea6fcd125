// Sets of code points and their algebra.
#pragma once

#include <span>
#include <vector>

#include "text/pattern_classes.h"

namespace millrace::text {

inline constexpr uint32_t kLastCodePoint = 0x10FFFF;

class CodePointSet {
 public:
  CodePointSet() = default;
  // Ascending ranges that do not overlap.
  explicit CodePointSet(std::span<const CodePointRange> ranges) : ranges_(ranges.begin(), ranges.end()) {}
  CodePointSet(uint32_t first, uint32_t last) : ranges_{{first, last}} {}

  void Add(const CodePointSet& other);
  void KeepOnly(const CodePointSet& other);
  void Complement();

  bool Contains(uint32_t code) const;
  bool empty() const { return ranges_.empty(); }
  // Ascending, not next to each other.
  std::span<const CodePointRange> ranges() const { return ranges_; }
  bool operator==(const CodePointSet&) const = default;

 private:
  std::vector<CodePointRange> ranges_;
};

}  // namespace millrace::text
