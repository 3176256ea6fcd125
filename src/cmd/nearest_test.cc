#include "cmd/nearest.h"

#include <gtest/gtest.h>

namespace millrace::cmd {
namespace {

TEST(Nearest, FindsWhatWasMeant) {
  const std::vector<std::string> names = {"port", "host", "prefill-chunk", "threads", "top-p"};
  EXPECT_EQ(Nearest("prot", names), "port");
  EXPECT_EQ(Nearest("hst", names), "host");
  EXPECT_EQ(Nearest("prefil_chunk", names), "prefill-chunk");
  EXPECT_EQ(Nearest("thread", names), "threads");
  EXPECT_EQ(Nearest("top_p", names), "top-p");
}

TEST(Nearest, SaysNothingRatherThanNonsense) {
  EXPECT_EQ(Nearest("temperature", {"port", "host"}), "");
  EXPECT_EQ(Nearest("xy", {"ab"}), "") << "every letter would change";
  EXPECT_EQ(Nearest("", {"a", "port"}), "");
  EXPECT_EQ(Nearest(std::string(100000, 'x'), {"port"}), "");
  EXPECT_EQ(Nearest("port", {}), "");
  EXPECT_EQ(DidYouMean("prot", {"port"}), "; did you mean 'port'?");
  EXPECT_EQ(DidYouMean("temperature", {"port"}), "");
}

}  // namespace
}  // namespace millrace::cmd
