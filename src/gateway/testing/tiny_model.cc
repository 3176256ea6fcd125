#include "gateway/testing/tiny_model.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <fstream>

#include "base/check.h"
#include "base/utf8.h"
#include "model/testing/llama_image.h"

namespace millrace::gateway::testing {
namespace {

constexpr const char* kTemplate =
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

std::string WriteModel(const std::map<std::string, std::string>& templates, bool chatml_tokens) {
  std::vector<std::string> tokens;
  tokens.reserve(258);
  int next_other = 0;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(FileText(byte, next_other));
  tokens.insert(tokens.end(), {chatml_tokens ? "<|im_start|>" : "<|start|>", chatml_tokens ? "<|im_end|>" : "<|end|>"});
  std::vector<int32_t> types(tokens.size(), 1);
  types[kTinyStart] = types[kTinyEnd] = 3;

  model::testing::LlamaImage image;
  image.vocab = static_cast<uint32_t>(tokens.size());
  image.numbers = {{"llama.context_length", kTinyContext}, {"tokenizer.ggml.eos_token_id", kTinyEnd}};
  image.extra.String("general.name", "Tiny").String("tokenizer.ggml.model", "gpt2").String("tokenizer.ggml.pre", "smollm");
  image.extra.Strings("tokenizer.ggml.tokens", tokens).Strings("tokenizer.ggml.merges", {});
  image.extra.Numbers("tokenizer.ggml.token_type", weights::GgufType::kInt32, types);
  for (const auto& [name, source] : templates) {
    image.extra.String(name == "default" ? "tokenizer.chat_template" : "tokenizer.chat_template." + name, source);
  }

  static std::atomic<int> count = 0;
  const std::string path = fmt::format("{}tiny-{}-{}.gguf", ::testing::TempDir(), getpid(), count.fetch_add(1));
  std::ofstream out(path, std::ios::binary);
  out << image.Build();
  CHECK(out.good(), "the temporary folder can be written to");
  return path;
}

}  // namespace

TinyModelFile::TinyModelFile(const std::map<std::string, std::string>& templates, bool chatml_tokens)
    : path_(WriteModel(templates, chatml_tokens)) {}
TinyModelFile::~TinyModelFile() { unlink(path_.c_str()); }

std::string TinyModelPath() {
  static const TinyModelFile model(std::map<std::string, std::string>{{"default", kTemplate}});
  return model.path();
}

TokenId TinyToken(char byte) { return static_cast<unsigned char>(byte); }
char TinyByte(TokenId token) { return token >= 0 && token < 256 ? static_cast<char>(token) : '\0'; }

std::string TinyPrompt(std::string_view user_message) {
  return "<|im_start|>user\n" + std::string(user_message) + "<|im_end|>\n<|im_start|>assistant\n";
}

}  // namespace millrace::gateway::testing
