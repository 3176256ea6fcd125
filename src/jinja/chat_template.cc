#include "jinja/chat_template.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <utility>

#include "jinja/eval.h"
#include "jinja/parser.h"
#include "jinja/text.h"
#include "jinja/token.h"

namespace millrace::jinja {

Result<ChatTemplate> ChatTemplate::Parse(std::string source, const TemplateLimits& limits) {
  ASSIGN_OR_RETURN(std::shared_ptr<const Program> program, ParseTemplate(source, limits));
  return ChatTemplate(std::move(program));
}

namespace {

constexpr int64_t kRunning = INT64_MIN;
std::atomic<int64_t> frozen_seconds = kRunning;

}  // namespace

void FreezeTemplateClock(int64_t unix_seconds) { frozen_seconds = unix_seconds; }

int64_t TemplateNow() {
  if (const int64_t frozen = frozen_seconds; frozen != kRunning) return frozen;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

Result<std::string> ChatTemplate::Render(const Json& context) const { return RenderAt(context, TemplateNow()); }

Result<std::string> ChatTemplate::RenderAt(const Json& context, int64_t unix_seconds) const {
  return Evaluator(*program_, unix_seconds).Run(context);
}

bool ChatTemplate::Mentions(std::string_view variable) const {
  const auto& names = program_->names;
  return std::find(names.begin() + kReservedNames, names.end(), variable) != names.end();
}

namespace {

// What follows `word` in the text as a number; 0 when there is none.
uint32_t NumberAfter(std::string_view text, std::string_view word) {
  const size_t at = text.find(word);
  uint32_t number = 0;
  if (at != std::string_view::npos) std::from_chars(text.data() + at + word.size(), text.data() + text.size(), number);
  return number;
}

std::string_view LineOf(std::string_view text, uint32_t number) {
  for (; number > 1 && !text.empty(); --number) text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  return text.substr(0, text.find('\n'));
}

}  // namespace

std::string ShowTemplatePlace(std::string_view source, std::string_view message) {
  constexpr uint32_t kBefore = 60, kAfter = 40;  // characters shown of a long line
  const size_t place = message.find("template line ");
  if (place == std::string_view::npos || source.empty()) return {};
  const uint32_t line_number = NumberAfter(message.substr(place), "template line ");
  const uint32_t column = NumberAfter(message.substr(place), ", column ");
  if (line_number == 0 || column == 0) return {};
  const std::string normalised = NormaliseNewlines(source);
  const std::string_view line = LineOf(normalised, line_number);
  const uint32_t from = column > kBefore ? column - kBefore : 0;
  const size_t start = ByteOffset(line, from), end = ByteOffset(line, column + kAfter);
  std::string out = "\n  " + std::string(line.substr(start, end - start));
  std::replace(out.begin() + 1, out.end(), '\t', ' ');  // so that the caret stands where it should
  return out + "\n  " + std::string(column - 1 - from, ' ') + '^';
}

}  // namespace millrace::jinja
