#include "text/stop_matcher.h"

#include "base/utf8.h"

namespace millrace::text {

Result<StopMatcher> StopMatcher::Create(const std::vector<std::string>& stops, const StopLimits& limits) {
  if (stops.size() > limits.max_stops) {
    return Error(Code::kInvalidArgument, "{} stop strings, expected at most {}", stops.size(), limits.max_stops);
  }
  for (size_t i = 0; i < stops.size(); ++i) {
    if (stops[i].empty()) return Error(Code::kInvalidArgument, "stop string {} is empty", i);
    if (stops[i].size() > limits.max_bytes) {
      return Error(Code::kInvalidArgument, "stop string {} has {} bytes, expected at most {}", i, stops[i].size(),
                   limits.max_bytes);
    }
    if (!Utf8IsValid(stops[i])) return Error(Code::kInvalidArgument, "stop string {} is not well-formed UTF-8", i);
  }
  StopMatcher matcher;
  for (size_t i = 0; i < stops.size(); ++i) matcher.Add(stops[i], static_cast<int>(i));
  matcher.LinkSuffixes();
  return matcher;
}

void StopMatcher::Add(std::string_view stop, int index) {
  uint32_t node = 0;
  for (const char c : stop) {
    const auto byte = static_cast<uint8_t>(c);
    uint32_t child = Child(node, byte);
    if (child == 0) {
      child = static_cast<uint32_t>(nodes_.size());
      nodes_.push_back({.next_sibling = nodes_[node].first_child, .depth = nodes_[node].depth + 1, .byte = byte});
      nodes_[node].first_child = child;
    }
    node = child;
  }
  if (nodes_[node].match < 0) nodes_[node].match = index;
  lengths_.push_back(static_cast<uint32_t>(stop.size()));
}

void StopMatcher::LinkSuffixes() {
  // Breadth first: a node's suffix is shorter, so its own links are ready.
  std::vector<uint32_t> order = {0};
  for (size_t i = 0; i < order.size(); ++i) {
    const uint32_t node = order[i];
    for (uint32_t child = nodes_[node].first_child; child != 0; child = nodes_[child].next_sibling) {
      order.push_back(child);
      if (node == 0) continue;  // one byte: the only proper suffix is the empty one
      nodes_[child].fail = Step(nodes_[node].fail, nodes_[child].byte);
      if (nodes_[child].match < 0) nodes_[child].match = nodes_[nodes_[child].fail].match;
    }
  }
}

uint32_t StopMatcher::Child(uint32_t node, uint8_t byte) const {
  uint32_t child = nodes_[node].first_child;
  while (child != 0 && nodes_[child].byte != byte) child = nodes_[child].next_sibling;
  return child;
}

uint32_t StopMatcher::Step(uint32_t node, uint8_t byte) const {
  for (;;) {
    const uint32_t child = Child(node, byte);
    if (child != 0 || node == 0) return child;
    node = nodes_[node].fail;
  }
}

StopMatcher::Output StopMatcher::Feed(std::string_view text) {
  ready_.clear();
  if (stopped_) return {.emit = ready_, .stopped = true};
  ready_.swap(held_);
  for (const char c : text) {
    ready_.push_back(c);
    state_ = Step(state_, static_cast<uint8_t>(c));
    const int match = nodes_[state_].match;
    if (match < 0) continue;
    stopped_ = true;
    ready_.resize(ready_.size() - lengths_[static_cast<size_t>(match)]);
    return {.emit = ready_, .stopped = true, .which = match};
  }
  const size_t safe = ready_.size() - nodes_[state_].depth;
  held_.assign(ready_, safe);
  ready_.resize(safe);
  return {.emit = ready_};
}

std::string_view StopMatcher::Flush() {
  ready_.clear();
  ready_.swap(held_);
  state_ = 0;
  return ready_;
}

}  // namespace millrace::text
