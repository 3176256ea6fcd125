#include "text/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/utf8.h"

namespace millrace::text {
namespace {

StopMatcher Make(const std::vector<std::string>& stops) {
  auto matcher = StopMatcher::Create(stops);
  EXPECT_TRUE(matcher.ok()) << matcher.status().ToString();
  return std::move(matcher).value();
}

TEST(StopMatcherTest, HoldsBackWhatMayBecomeAStop) {
  StopMatcher matcher = Make({"STOP"});
  EXPECT_EQ(matcher.Feed("abc ST").emit, "abc ");
  EXPECT_EQ(matcher.held_bytes(), 2U);
  EXPECT_EQ(matcher.Feed("AR").emit, "STAR");
  EXPECT_EQ(matcher.Feed("S").emit, "");
  EXPECT_EQ(matcher.Feed("STO").emit, "S");
  const StopMatcher::Output out = matcher.Feed("P and more");
  EXPECT_EQ(out.emit, "");
  EXPECT_TRUE(out.stopped);
  EXPECT_EQ(out.which, 0);
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.Feed("x").emit, "");
  EXPECT_TRUE(matcher.Feed("x").stopped);
  EXPECT_EQ(matcher.Flush(), "");
}

TEST(StopMatcherTest, TextBeforeTheMatchIsEmitted) {
  StopMatcher matcher = Make({"\n\n", "User:"});
  const StopMatcher::Output out = matcher.Feed("Hello\nUser: hi\n\n");
  EXPECT_EQ(out.emit, "Hello\n");
  EXPECT_EQ(out.which, 1);
}

TEST(StopMatcherTest, EarliestEndWinsThenTheLongest) {
  StopMatcher inner = Make({"abcd", "bc"});
  StopMatcher::Output out = inner.Feed("xabcd");
  EXPECT_EQ(out.emit, "xa");
  EXPECT_EQ(out.which, 1);
  StopMatcher suffix = Make({"c", "abc", "bc"});
  out = suffix.Feed("xabc");
  EXPECT_EQ(out.emit, "x");
  EXPECT_EQ(out.which, 1);
  StopMatcher equal = Make({"a", "a"});
  EXPECT_EQ(equal.Feed("a").which, 0);
}

TEST(StopMatcherTest, FlushReleasesTheRest) {
  StopMatcher matcher = Make({"</s>"});
  EXPECT_EQ(matcher.Feed("a</").emit, "a");
  EXPECT_EQ(matcher.Flush(), "</");
  EXPECT_EQ(matcher.Flush(), "");
  EXPECT_EQ(matcher.Feed("s>").emit, "s>");  // a new stream
}

TEST(StopMatcherTest, NoStopsLetEverythingPass) {
  StopMatcher matcher = Make({});
  EXPECT_EQ(matcher.Feed("abc").emit, "abc");
  EXPECT_EQ(matcher.held_bytes(), 0U);
}

TEST(StopMatcherTest, RefusesBadStops) {
  const auto message = [](const std::vector<std::string>& stops) { return StopMatcher::Create(stops).status().message(); };
  EXPECT_EQ(message(std::vector<std::string>(17, "a")), "17 stop strings, expected at most 16");
  EXPECT_EQ(message({"a", ""}), "stop string 1 is empty");
  EXPECT_EQ(message({std::string(257, 'a')}), "stop string 0 has 257 bytes, expected at most 256");
  EXPECT_EQ(message({"\x80"}), "stop string 0 is not well-formed UTF-8");
  EXPECT_TRUE(StopMatcher::Create({std::string(300, 'a')}, {.max_bytes = 300}).ok());
  EXPECT_TRUE(StopMatcher::Create(std::vector<std::string>(16, std::string(256, 'a'))).ok());
}

struct Expected {
  std::string emit;
  int which = -1;
};

// By definition: the first end of any stop, there the longest.
Expected ByDefinition(const std::vector<std::string>& stops, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    int best = -1;
    for (size_t i = 0; i < stops.size(); ++i) {
      const bool longer = best < 0 || stops[i].size() > stops[static_cast<size_t>(best)].size();
      if (std::string_view(text).substr(0, end).ends_with(stops[i]) && longer) best = static_cast<int>(i);
    }
    if (best >= 0) return {text.substr(0, end - stops[static_cast<size_t>(best)].size()), best};
  }
  return {text};
}

TEST(StopMatcherTest, EqualsDefinitionForEveryWayToCutTheText) {
  std::mt19937 random(9);
  const std::vector<std::string> letters = {"a", "b", "é", "漢"};
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops;
    for (size_t i = 0; i < random() % 4; ++i) {
      std::string stop;
      for (size_t j = 0; j < 1 + random() % 5; ++j) stop += letters[random() % letters.size()];
      stops.push_back(stop);
    }
    StopMatcher matcher = Make(stops);
    std::string text, emitted;
    int which = -1;
    for (size_t part = 0; part < random() % 12; ++part) {
      std::string piece;
      for (size_t j = 0; j < random() % 5; ++j) piece += letters[random() % letters.size()];
      text += piece;
      const StopMatcher::Output out = matcher.Feed(piece);
      ASSERT_TRUE(Utf8IsValid(out.emit));
      emitted += out.emit;
      if (which < 0) which = out.which;
      // Nothing is kept that could be sent: what waits is the start of a stop.
      const std::string held = which < 0 ? text.substr(emitted.size()) : "";
      const auto begins = [&](const std::string& stop) { return stop.starts_with(held); };
      ASSERT_TRUE(held.empty() || std::any_of(stops.begin(), stops.end(), begins));
    }
    emitted += matcher.Flush();
    const Expected expected = ByDefinition(stops, text);
    ASSERT_EQ(emitted, expected.emit);
    ASSERT_EQ(which, expected.which);
    ASSERT_EQ(matcher.stopped(), which >= 0);
  }
}

}  // namespace
}  // namespace millrace::text
