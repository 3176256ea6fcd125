#include "cmd/chat_client.h"

#include <gtest/gtest.h>

namespace millrace::cmd {
namespace {

ChatAnswer AnswerAt(double gb_s, double roof_gb_s) {
  ChatAnswer answer;
  answer.timings = Json(Json::Object{{"completion_tokens", Json(uint64_t{120})},
                                     {"decode_tok_s", Json(312.44)},
                                     {"gb_s", Json(gb_s)},
                                     {"roof_gb_s", roof_gb_s > 0 ? Json(roof_gb_s) : Json()}});
  answer.first_token_ms = 12.3;
  return answer;
}

TEST(FiguresLine, SetsTheRateAgainstTheRoof) {
  EXPECT_EQ(FiguresLine(AnswerAt(30.2, 34.6), 0),
            "120 tokens, 312.4 tok/s, 30.2 GB/s = 87 % of the roof (34.6 GB/s), first token after 12 ms");
  EXPECT_EQ(FiguresLine(AnswerAt(30.2, 0), 60.4),
            "120 tokens, 312.4 tok/s, 30.2 GB/s = 50 % of the roof (60.4 GB/s), first token after 12 ms");
  EXPECT_EQ(FiguresLine(AnswerAt(30.2, 0), 0), "120 tokens, 312.4 tok/s, 30.2 GB/s, roof not measured, first token after 12 ms");
}

TEST(FiguresLine, NoShareAboveTheWhole) {
  const std::string line = FiguresLine(AnswerAt(40, 34.6), 0);
  EXPECT_EQ(line.find('%'), std::string::npos) << line;
  EXPECT_NE(line.find("40.0 GB/s, above the roof measured earlier (34.6 GB/s)"), std::string::npos) << line;
}

}  // namespace
}  // namespace millrace::cmd
