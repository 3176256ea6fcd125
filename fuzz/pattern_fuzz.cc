// A pattern, a NUL, and a text. The pattern is refused or cuts the text, in one of five ways, into pieces that are the text again (but for those that
// are dropped); or it meets a limit. A scanner that knows the pattern agrees with it.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/utf8.h"
#include "text/known_patterns.h"
#include "text/pattern.h"
#include "text/pretokenizer.h"

namespace {

using namespace millrace::text;

void CheckScanner(PatternScanner scan, std::string_view pattern, std::string_view text) {
  const auto compiled = CompiledPattern::Compile(pattern);
  CHECK(compiled.ok(), "a known pattern compiles");
  const auto search = (*compiled)->NewSearch(text);
  for (size_t from = 0; from < text.size();) {
    const auto match = search->Next(from);
    CHECK(match.ok(), "a known pattern meets no limit");
    const PatternSpan span = scan(text, from);
    if (!match->has_value()) {
      CHECK(span.begin == span.end, "the scanner finds nothing either");
      return;
    }
    CHECK(span.begin == (*match)->begin && span.end == (*match)->end, "the scanner finds the same");
    from = span.end;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t border = input.find('\0');
  std::string pattern(input.substr(0, border));
  const std::string text = millrace::Utf8Sanitize(border == std::string_view::npos ? input : input.substr(border + 1));
  // "#3" stands for the third known pattern, which chance would not find.
  const auto known = KnownPatterns();
  if (pattern.size() == 2 && pattern[0] == '#') pattern = known[static_cast<uint8_t>(pattern[1]) % known.size()].pattern;
  if (const PatternScanner scan = FindScanner(pattern)) CheckScanner(scan, pattern, text);

  const auto behavior = static_cast<SplitBehavior>(size % 5);
  const std::vector<PreTokenizerStep> steps = {PatternSplit{{pattern, true}, behavior, size % 2 == 0}};
  const auto cutter = PreTokenizer::Create(steps);
  if (!cutter.ok()) return 0;
  std::string joined;
  const millrace::Status status = (*cutter)->Split(text, true, [&](std::string_view piece) {
    CHECK(!piece.empty() && millrace::Utf8IsValid(piece), "pieces are whole characters");
    joined += piece;
    return true;
  });
  CHECK(joined.size() <= text.size(), "no more than the text");
  CHECK(!status.ok() || behavior == SplitBehavior::kRemoved || joined == text, "nothing is lost");
  return 0;
}
