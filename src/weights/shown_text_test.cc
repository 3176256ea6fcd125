#include "weights/shown_text.h"

#include <gtest/gtest.h>

#include <string>

#include "base/utf8.h"

namespace millrace::weights {
namespace {

TEST(ShownText, KeepsPlainText) {
  EXPECT_EQ(ShownText("blk.0.attn_q.weight"), "blk.0.attn_q.weight");
  EXPECT_EQ(ShownText(""), "");
  EXPECT_EQ(ShownText("\xC3\xA9\xC2\xA0\xF0\x9F\x8C\x8A"), "\xC3\xA9\xC2\xA0\xF0\x9F\x8C\x8A");
}

TEST(ShownText, ReplacesWhatATerminalWouldObey) {
  EXPECT_EQ(ShownText("a\x1b[31mb\r\n\x7f"), "a?[31mb???");
  EXPECT_EQ(ShownText("a\xC2\x9B"
                      "31m"),
            "a?31m");
  EXPECT_EQ(ShownText(std::string("a\0b", 3)), "a?b");
  EXPECT_EQ(ShownText("a\x9B\xFF"), "a\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(ShownText, CutsBetweenCharacters) {
  EXPECT_EQ(ShownText("abcdef", 3), "abc…");
  EXPECT_EQ(ShownText("abc", 3), "abc");
  EXPECT_EQ(ShownText("ab\xE2\x82\xAC"
                      "c",
                      4),
            "ab…");
  EXPECT_TRUE(Utf8IsValid(ShownText(std::string(500, '\x80'), 7)));
}

TEST(IsPlainName, RefusesEmptyIllFormedAndControls) {
  EXPECT_TRUE(IsPlainName("token_embd.weight"));
  EXPECT_TRUE(IsPlainName("\xC3\xA9"));
  for (const char* name : {"", "a\x1b", "a\xC2\x85", "\xC3", "\x7f"}) EXPECT_FALSE(IsPlainName(name)) << name;
}

}  // namespace
}  // namespace millrace::weights
