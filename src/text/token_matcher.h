// Finds texts in a text: leftmost first, of those that begin at one place the longest, and after each of them what begins at its end or later.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
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

  // The matches of one text, in order. Linear in the text, whatever the entries are: passes backwards tell which entries begin at each place.
  // They go over one window of the text after the other, so memory does not grow with the text.
  class Search {
   public:
    // `matcher` and `text` outlive the object.
    Search(const TokenMatcher& matcher, std::string_view text) : matcher_(matcher), text_(text) {}
    std::optional<Match> Next();

   private:
    void ReadWindow();

    const TokenMatcher& matcher_;
    const std::string_view text_;
    size_t from_ = 0;            // where the match before ended
    size_t read_ = 0;            // the windows so far end here
    std::vector<Match> begins_;  // the longest entry at every place of the window where one begins, last place first
  };

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
  size_t longest_ = 0;                 // entry, in bytes
  std::array<uint32_t, 256> roots_{};  // state by last byte of an entry; 0 = none
};

}  // namespace millrace::text
