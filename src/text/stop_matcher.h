// Finds stop strings in streamed text, also where one lies across several pieces, and holds back only what may still become one.
//
// All stops are one Aho-Corasick automaton: work is linear in the text, not in the number of stops. The match that ends first
// wins; of several that end at the same byte the longest. One object per stream, one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace millrace::text {

struct StopLimits {
  size_t max_stops = 16;
  size_t max_bytes = 256;  // of one stop string
};

class StopMatcher {
 public:
  struct Output {
    std::string_view emit;  // text that is safe to send; valid until the next call
    bool stopped = false;   // a stop string was found: `emit` is what lay before it, and nothing follows
    int which = -1;         // index of the stop string
  };

  // kInvalidArgument for an empty stop, one that is not UTF-8, or more or longer ones than the limits. No stops at all are fine:
  // then all text passes at once.
  static Result<StopMatcher> Create(const std::vector<std::string>& stops, const StopLimits& limits = {});

  // `text` is whole UTF-8 sequences (what IncrementalDecoder gives), and so is `emit`. After a match nothing is emitted any more.
  Output Feed(std::string_view text);

  // The held text, at the end of the stream: no stop string can complete it any more. Empty after a match.
  std::string_view Flush();

  bool stopped() const { return stopped_; }
  size_t held_bytes() const { return held_.size(); }

 private:
  struct Node {
    uint32_t first_child = 0;   // 0 = none (the root is nobody's child)
    uint32_t next_sibling = 0;  // 0 = none
    uint32_t fail = 0;          // the longest proper suffix that is a node too
    uint32_t depth = 0;
    int32_t match = -1;  // index of the longest stop that ends here
    uint8_t byte = 0;
  };

  StopMatcher() = default;
  void Add(std::string_view stop, int index);
  void LinkSuffixes();
  uint32_t Child(uint32_t node, uint8_t byte) const;
  uint32_t Step(uint32_t node, uint8_t byte) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::vector<uint32_t> lengths_;  // of the stops
  uint32_t state_ = 0;
  bool stopped_ = false;
  std::string held_;  // the text of state_: a proper prefix of a stop
  std::string ready_;
};

}  // namespace millrace::text
