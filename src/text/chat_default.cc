#include "text/chat_default.h"

#include <string>

namespace millrace::text {
namespace {

constexpr const char* kChatMl =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// An answer begins with the space behind "Assistant:", hence the trimming.
constexpr const char* kPlain =
    "{% for message in messages %}{{ message['role'] | capitalize }}: {{ message['content'] | trim }}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}";

}  // namespace

DefaultChat DefaultChatFor(const std::function<bool(std::string_view)>& has_token) {
  const bool chatml = has_token("<|im_start|>") && has_token("<|im_end|>");
  return {{std::string(kDefaultTemplate), chatml ? kChatMl : kPlain}, chatml ? "chatml" : "plain"};
}

}  // namespace millrace::text
