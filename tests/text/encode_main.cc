// text_encode: encodes length-prefixed strings from standard input, for tests/text/compare_tokenizers.
//
//   text_encode VOCABULARY [--special]    strings in: u32 length, bytes; out: u32 count, i32 ids
//   text_encode VOCABULARY --bench FILE   prints the rate of encoding FILE as one text
//
// VOCABULARY is what compare_tokenizers writes: little-endian "MRV1", u32 tokens, then for each u8 type, u32 length, bytes;
// u32 merges, then for each u32 length, bytes; u32 length and bytes of the pre-tokenizer's name; i32 bos, eos, unk; u8 add_bos.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "text/tokenizer.h"

namespace millrace::text {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  std::optional<std::string_view> Bytes(size_t size) {
    if (size > rest_.size()) return std::nullopt;
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  template <typename T>
  T Number() {
    T out = {};
    if (const auto bytes = Bytes(sizeof(T))) std::memcpy(&out, bytes->data(), sizeof(T));
    return out;
  }
  std::string Text() { return std::string(Bytes(Number<uint32_t>()).value_or("")); }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

std::optional<TokenId> Present(int32_t id) { return id < 0 ? std::nullopt : std::optional<TokenId>(id); }

Result<VocabularySpec> ReadSpec(const char* path) {
  std::ifstream in(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  Reader reader(bytes);
  if (reader.Bytes(4) != "MRV1") return Error(Code::kInvalidArgument, "{}: no vocabulary", path);
  VocabularySpec spec;
  const auto tokens = reader.Number<uint32_t>();
  for (uint32_t i = 0; i < tokens && !reader.empty(); ++i) {
    spec.token_types.push_back(static_cast<TokenType>(reader.Number<uint8_t>()));
    spec.tokens.push_back(reader.Text());
  }
  const auto merges = reader.Number<uint32_t>();
  for (uint32_t i = 0; i < merges && !reader.empty(); ++i) spec.merges.push_back(reader.Text());
  spec.pre_tokenizer = reader.Text();
  spec.bos = Present(reader.Number<int32_t>());
  spec.eos = Present(reader.Number<int32_t>());
  spec.unk = Present(reader.Number<int32_t>());
  spec.add_bos = reader.Number<uint8_t>() != 0;
  return spec;
}

double MillisecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

int Bench(const Tokenizer& tokenizer, const char* path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  double best = 1e30;
  size_t tokens = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (int round = 0; round < 20 && MillisecondsSince(begin) < 3000; ++round) {
    const auto start = std::chrono::steady_clock::now();
    const Result<std::vector<TokenId>> ids = tokenizer.Encode(text);
    if (!ids.ok()) {
      std::fprintf(stderr, "%s\n", ids.status().ToString().c_str());
      return 1;
    }
    best = std::min(best, MillisecondsSince(start));
    tokens = ids->size();
  }
  std::printf("%s: %zu bytes, %zu tokens, %.2f ms, %.2f MB/s\n", path, text.size(), tokens, best,
              static_cast<double>(text.size()) / best / 1000);
  return 0;
}

// What encoding and decoding keep of `text`: all bytes that have a token.
std::string Encodable(const Vocabulary& vocabulary, std::string_view text) {
  std::string out;
  for (const char byte : text) {
    if (vocabulary.ByteToken(static_cast<uint8_t>(byte)) != kNoToken) out.push_back(byte);
  }
  return Utf8Sanitize(out);
}

int EncodeAll(const Tokenizer& tokenizer, bool parse_special) {
  uint32_t length = 0;
  std::string text;
  while (std::fread(&length, sizeof(length), 1, stdin) == 1) {
    text.resize(length);
    if (length > 0 && std::fread(text.data(), length, 1, stdin) != 1) return 1;
    const Result<std::vector<TokenId>> ids = tokenizer.Encode(text, {.parse_special = parse_special});
    if (!ids.ok()) {
      std::fprintf(stderr, "%s\n", ids.status().ToString().c_str());
      return 1;
    }
    if (tokenizer.Decode(*ids, true) != Encodable(tokenizer.vocabulary(), text)) {
      std::fprintf(stderr, "decoding does not give the text back: %s\n", text.c_str());
      return 1;
    }
    const auto count = static_cast<uint32_t>(ids->size());
    std::fwrite(&count, sizeof(count), 1, stdout);
    std::fwrite(ids->data(), sizeof(TokenId), ids->size(), stdout);
  }
  return 0;
}

int Main(int argc, char** argv) {
  if (argc < 2) return 2;
  Result<VocabularySpec> spec = ReadSpec(argv[1]);
  if (!spec.ok()) {
    std::fprintf(stderr, "%s\n", spec.status().ToString().c_str());
    return 1;
  }
  const auto start = std::chrono::steady_clock::now();
  const auto vocabulary = Vocabulary::Build(std::move(spec).value());
  const double vocabulary_ms = MillisecondsSince(start);
  const auto tokenizer = vocabulary.ok() ? Tokenizer::Create(*vocabulary) : vocabulary.status();
  if (!tokenizer.ok()) {
    std::fprintf(stderr, "%s\n", tokenizer.status().ToString().c_str());
    return 1;
  }
  std::fprintf(stderr, "vocabulary %.1f ms, tokenizer %.1f ms\n", vocabulary_ms, MillisecondsSince(start) - vocabulary_ms);
  const std::string_view mode = argc > 2 ? argv[2] : "";
  if (mode == "--bench" && argc > 3) return Bench(**tokenizer, argv[3]);
  return EncodeAll(**tokenizer, mode == "--special");
}

}  // namespace
}  // namespace millrace::text

int main(int argc, char** argv) { return millrace::text::Main(argc, argv); }
