// Finds the texts of special tokens in a prompt: leftmost first, of those that begin at one place the longest.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace millrace::text {

class SpecialTokens {
 public:
  struct Match {
    size_t begin;  // bytes [begin, end) of the text
    size_t end;
    TokenId token;
  };
  struct Entry {
    std::string_view text;  // not empty; need not outlive the constructor; of equal texts the lowest token counts
    TokenId token;
  };

  explicit SpecialTokens(std::vector<Entry> entries);

  // The first match at or after `from`. A text without any first byte of a special token costs one table look-up per byte.
  std::optional<Match> Find(std::string_view text, size_t from) const;

 private:
  struct Node {
    uint32_t first_edge = 0;  // edges_[first_edge, first_edge + edges), ascending by byte
    uint16_t edges = 0;
    TokenId token = kNoToken;
  };
  struct Edge {
    uint8_t byte;
    uint32_t node;
  };
  std::optional<uint32_t> Child(const Node& node, uint8_t byte) const;

  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  std::array<uint32_t, 256> roots_{};  // node by first byte; 0 = none
};

}  // namespace millrace::text
