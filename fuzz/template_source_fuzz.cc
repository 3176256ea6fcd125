// Any bytes as a template: parsed and, if it is one, rendered with a fixed chat under small budgets. Either ends in a result.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/json.h"
#include "base/utf8.h"
#include "jinja/chat_template.h"

namespace {

constexpr std::string_view kContext = R"({
  "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " hé\n"},
               {"role": "assistant", "content": "<think>a</think>b", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"x": [1, 2.5, null]}}}]},
               {"role": "tool", "content": "{}"}],
  "tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"x": {"type": "string"}}}}}],
  "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "x": 5, "l": [3, 1, 2], "s": "abc", "d": {"a": 1, "b": [2]}
})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const millrace::Json context = millrace::Json::Parse(kContext).value();
  const millrace::jinja::TemplateLimits limits{
      .max_source_bytes = 1 << 16, .max_steps = 20'000, .max_output_bytes = 1 << 20, .max_value_bytes = size_t{8} << 20};
  const auto chat = millrace::jinja::ChatTemplate::Parse(std::string(reinterpret_cast<const char*>(data), size), limits);
  if (!chat.ok()) return 0;
  const auto output = chat->RenderAt(context, 1'700'000'000);
  if (!output.ok()) return 0;
  CHECK(output->size() <= limits.max_output_bytes, "the output limit holds");
  CHECK(millrace::Utf8IsValid(*output), "UTF-8 in, UTF-8 out");
  return 0;
}
