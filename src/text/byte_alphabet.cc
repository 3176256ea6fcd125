#include "text/byte_alphabet.h"

#include <array>

#include "base/utf8.h"

namespace millrace::text {
namespace {

constexpr bool StandsForItself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

struct Alphabet {
  std::array<char32_t, 256> code_points{};
  std::array<int16_t, 512> bytes{};  // by code point; -1 = not in the alphabet
};

constexpr Alphabet MakeAlphabet() {
  Alphabet alphabet;
  for (int16_t& byte : alphabet.bytes) byte = -1;
  char32_t next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const char32_t code_point = StandsForItself(byte) ? static_cast<char32_t>(byte) : next++;
    alphabet.code_points[static_cast<size_t>(byte)] = code_point;
    alphabet.bytes[code_point] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = MakeAlphabet();

}  // namespace

char32_t AlphabetCodePoint(uint8_t byte) { return kAlphabet.code_points[byte]; }

std::optional<std::string> BytesFromAlphabet(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::optional<CodePoint> next = Utf8Decode(text);
    if (!next || next->value >= kAlphabet.bytes.size() || kAlphabet.bytes[next->value] < 0) return std::nullopt;
    out.push_back(static_cast<char>(kAlphabet.bytes[next->value]));
    text.remove_prefix(next->length);
  }
  return out;
}

std::string AlphabetFromBytes(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) Utf8Append(kAlphabet.code_points[static_cast<uint8_t>(byte)], out);
  return out;
}

}  // namespace millrace::text
