// Any JSON as the context of templates in the manner of real ones: rendering ends in text or in an error.
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/json.h"
#include "base/utf8.h"
#include "jinja/chat_template.h"

namespace {

using millrace::jinja::ChatTemplate;

constexpr std::string_view kTemplates[] = {
    R"({% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %})",
    R"({%- for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('order ' ~ m) }}{% endif %}
{{ m.content | trim | upper | title }}{{ m.content.split('</think>')[-1].strip() }}{{ m.content[1:-1] }}{{ loop.nextitem }}{% endfor %})",
    R"({%- for t in tools or [] %}{{ t | tojson(indent=2, sort_keys=true) }}{{ t }}{% for k, v in t.function.parameters.properties | dictsort %}
{{ k ~ v }}{% endfor %}{% endfor %}{{ tools | map(attribute='function.name') | join(', ') }})",
    R"({%- set ns = namespace(text='', n=0) %}{% for k, v in x.items() if v is not none %}{% set ns.text = ns.text ~ k %}{% set ns.n = ns.n + v %}
{%- endfor %}{{ ns.text | replace(x.a, x.b) | indent(x.n) }}{{ ns }}{{ x.f % x.v }}{{ x.f.format(*x.v) }}{{ x.s | sort | unique | list }})",
    R"({{ a + b }}{{ a * b }}{{ a // b }}{{ a % b }}{{ a ** b }}{{ a < b }}{{ a in b }}{{ a[b] }}{{ a[b:] }}{{ a | int }}{{ a | float | round(2) }})",
    R"({{ messages | selectattr('role', 'equalto', 'user') | list | length }}{{ messages | sort(attribute='role,content') }}{{ {x: messages} }})",
};

std::vector<ChatTemplate> ParseAll() {
  std::vector<ChatTemplate> all;
  for (const std::string_view source : kTemplates) {
    const millrace::jinja::TemplateLimits limits{
        .max_steps = 20'000, .max_output_bytes = 1 << 20, .max_value_bytes = size_t{8} << 20};
    all.push_back(ChatTemplate::Parse(std::string(source), limits).value());
  }
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<ChatTemplate> templates = ParseAll();
  const auto context = millrace::Json::Parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!context.ok()) return 0;
  for (const ChatTemplate& chat : templates) {
    const auto output = chat.RenderAt(*context, 1'700'000'000);
    if (output.ok()) CHECK(millrace::Utf8IsValid(*output), "UTF-8 in, UTF-8 out");
  }
  return 0;
}
