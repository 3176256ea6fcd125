// Steps, rules and text chosen by the input: nothing may crash, hang or give ill-formed UTF-8, and fragments of added tokens are handed out whole.
// Input: a byte of steps count, for each step a byte of kind, options and where needed a length and bytes; then added tokens; the rest is text.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "text/added_tokens.h"
#include "text/normalizer.h"

namespace {

using namespace millrace::text;

class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  uint8_t Byte() {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(bytes_[0]);
    bytes_.remove_prefix(1);
    return byte;
  }
  // Of two bytes of length.
  std::string Bytes() {
    const size_t low = Byte();
    const size_t length = low + 256 * size_t{Byte()};
    const std::string_view taken = bytes_.substr(0, length);
    bytes_.remove_prefix(taken.size());
    return std::string(taken);
  }
  std::string Text() { return millrace::Utf8Sanitize(Bytes()); }
  std::string Rest() { return millrace::Utf8Sanitize(bytes_); }

 private:
  std::string_view bytes_;
};

NormalizerStep StepOf(Input& input) {
  const uint8_t kind = input.Byte();
  const bool first = (kind & 0x10) != 0;
  const bool second = (kind & 0x20) != 0;
  switch (kind % 10) {
    case 0:
      return UnicodeForm{static_cast<UnicodeForm::Form>((kind >> 4) & 3)};
    case 1:
      return Lowercase{};
    case 2:
      return StripAccents{};
    case 3:
      return StripSpace{first, second};
    case 4: {
      ReplaceText replace;
      replace.pattern.is_regex = first;
      replace.pattern.text = input.Text();
      replace.content = input.Text();
      return replace;
    }
    case 5:
      return PrependText{input.Text()};
    case 6:
      return BertNormalizer{first, second, (kind & 0x40) != 0, (kind & 0x80) != 0};
    case 7:
      return NmtNormalizer{};
    case 8:
      return CompiledRules{input.Bytes(), first};
    default:
      return SentencePieceSpaces{first};
  }
}

TokenizerSpec TokensOf(Input& input) {
  TokenizerSpec spec;
  const int count = input.Byte() % 6;
  for (int i = 0; i < count; ++i) {
    const uint8_t rules = input.Byte();
    const auto is = [rules](int bit) { return (rules & bit) != 0; };
    spec.tokens.push_back(input.Text());
    spec.token_types.push_back(is(16) ? TokenType::kControl : TokenType::kUserDefined);
    spec.added.push_back({i, is(1), is(2), is(4), is(8)});
  }
  return spec;
}

void Check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(std::string_view(reinterpret_cast<const char*>(data), size));
  std::vector<NormalizerStep> steps;
  for (int left = input.Byte() % 5; left > 0; --left) steps.push_back(StepOf(input));
  const auto normalizer = Normalizer::Create(steps);
  if (!normalizer.ok()) return 0;
  const TokenizerSpec spec = TokensOf(input);
  const std::string text = input.Rest();
  const auto output = (*normalizer)->Apply(text);
  if (output.ok()) {
    Check(millrace::Utf8IsValid(output->text));
    Check(output->text.size() <= 1024 + kMaxNormalizedGrowth * text.size() && output->from_first <= output->text.size());
  }
  const auto tokens = AddedTokens::Create(spec, **normalizer);
  if (!tokens.ok()) return 0;
  const auto status = (*tokens)->Split(text, size % 2 == 0, [&spec](const AddedTokens::Fragment& fragment) {
    Check(fragment.token == millrace::kNoToken ? !fragment.text.empty() && millrace::Utf8IsValid(fragment.text)
                                               : static_cast<size_t>(fragment.token) < spec.tokens.size());
    return true;
  });
  static_cast<void>(status);
  return 0;
}
