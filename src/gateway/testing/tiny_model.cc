#include "gateway/testing/tiny_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "base/check.h"
#include "base/utf8.h"
#include "model/testing/llama_image.h"

namespace millrace::gateway::testing {
namespace {

constexpr std::string_view kTemplate =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

// The alphabet of byte-level BPE: printable bytes stand for themselves, the others for code points from 256 on. Ids are the order of
// the alphabet's code points, which is the order of the bytes here: id = byte.
std::string FileText(int byte, int& next_other) {
  const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  std::string text;
  Utf8Append(static_cast<char32_t>(printable ? byte : 256 + next_other++), text);
  return text;
}

std::string WriteModel(const std::string& name, bool with_template) {
  std::vector<std::string> tokens;
  tokens.reserve(258);
  int next_other = 0;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(FileText(byte, next_other));
  tokens.insert(tokens.end(), {"<|im_start|>", "<|im_end|>"});
  std::vector<int32_t> types(tokens.size(), 1);
  types[kTinyStart] = types[kTinyEnd] = 3;

  model::testing::LlamaImage image;
  image.vocab = static_cast<uint32_t>(tokens.size());
  image.numbers = {{"llama.context_length", kTinyContext}, {"tokenizer.ggml.eos_token_id", kTinyEnd}};
  image.extra.String("general.name", "Tiny").String("tokenizer.ggml.model", "gpt2").String("tokenizer.ggml.pre", "smollm");
  image.extra.Strings("tokenizer.ggml.tokens", tokens).Strings("tokenizer.ggml.merges", {});
  image.extra.Numbers("tokenizer.ggml.token_type", weights::GgufType::kInt32, types);
  if (with_template) image.extra.String("tokenizer.chat_template", kTemplate);

  const std::string path = ::testing::TempDir() + name + "-" + std::to_string(getpid()) + ".gguf";
  std::ofstream out(path, std::ios::binary);
  out << image.Build();
  CHECK(out.good(), "the temporary folder can be written to");
  return path;
}

// Removes the file at the end of the process.
struct ModelOnDisk {
  explicit ModelOnDisk(const std::string& name, bool with_template) : path(WriteModel(name, with_template)) {}
  ~ModelOnDisk() { unlink(path.c_str()); }
  std::string path;
};

}  // namespace

std::string TinyModelPath() {
  static const ModelOnDisk model("tiny", true);
  return model.path;
}

std::string TinyModelWithoutTemplatePath() {
  static const ModelOnDisk model("mute", false);
  return model.path;
}

TokenId TinyToken(char byte) { return static_cast<unsigned char>(byte); }
char TinyByte(TokenId token) { return token >= 0 && token < 256 ? static_cast<char>(token) : '\0'; }

std::string TinyPrompt(std::string_view user_message) {
  return "<|im_start|>user\n" + std::string(user_message) + "<|im_end|>\n<|im_start|>assistant\n";
}

}  // namespace millrace::gateway::testing
