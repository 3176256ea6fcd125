#include "cmd/standard_input.h"

#include <array>
#include <cstdio>

namespace millrace::cmd {

Result<std::string> ReadStandardInput(size_t max_bytes) {
  std::string text;
  std::array<char, 1 << 16> chunk;
  for (size_t got = chunk.size(); got == chunk.size();) {
    got = std::fread(chunk.data(), 1, chunk.size(), stdin);
    if (got > max_bytes - text.size()) {
      return Error(Code::kResourceExhausted, "standard input: expected at most {} bytes, found more", max_bytes);
    }
    text.append(chunk.data(), got);
  }
  if (std::ferror(stdin) != 0) return Error(Code::kUnavailable, "standard input: cannot be read");
  return text;
}

}  // namespace millrace::cmd
