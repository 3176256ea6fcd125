// Finds texts in a text: leftmost first, of those that begin at one place the longest, and after each of them what begins at its end or later.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace millrace::text {

// Immutable, thread-safe.
class TokenMatcher {
 public:
  struct Entry {
    std::string_view text;  // not empty; need not outlive the constructor; of equal texts the lowest token counts
    TokenId token;
  };
  struct Match {
    size_t begin;  // bytes [begin, end) of the text
    size_t end;
    TokenId token;
  };

  explicit TokenMatcher(std::vector<Entry> entries);

  // All matches, in order. Linear in the text, whatever the entries are: one pass backwards tells which entries begin at each place.
  std::vector<Match> FindAll(std::string_view text) const;

 private:
  // A state is an end of entries, read backwards; the root is none.
  struct State {
    uint32_t first_edge = 0;  // edges_[first_edge, first_edge + edges), ascending by byte
    uint16_t edges = 0;
    uint32_t fallback = 0;  // the longest proper beginning of this state that is a state: where to go on without a fitting edge
    uint32_t length = 0;    // of the longest entry that begins here, 0 for none
    TokenId token = kNoToken;
  };
  struct Edge {
    uint8_t byte;
    uint32_t state;
  };
  void BuildStates(const std::vector<Entry>& entries);
  void BuildFallbacks();
  uint32_t Child(uint32_t state, uint8_t byte) const;  // 0 for none
  uint32_t Next(uint32_t state, uint8_t byte) const;

  std::vector<State> states_;
  std::vector<Edge> edges_;
  std::array<uint32_t, 256> roots_{};  // state by last byte of an entry; 0 = none
};

}  // namespace millrace::text
