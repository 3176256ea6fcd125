#include "cmd/sha256.h"

#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

#include "net/sha256.h"

namespace millrace::cmd {

Result<std::string> Sha256OfFile(const std::string& path, const std::function<void(uint64_t, uint64_t)>& progress) {
  std::error_code ec;
  const uint64_t total = std::filesystem::file_size(path, ec);
  std::ifstream in(path, std::ios::binary);
  if (ec || !in) return Error(Code::kNotFound, "{}: cannot be read", path);
  net::Sha256 hash;
  std::vector<char> buffer(size_t{1} << 20);
  uint64_t done = 0;
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())), in.gcount() > 0) {
    hash.Update(std::as_bytes(std::span(buffer.data(), static_cast<size_t>(in.gcount()))));
    done += static_cast<uint64_t>(in.gcount());
    if (progress) progress(done, total);
  }
  return net::Hex(hash.Finish());
}

}  // namespace millrace::cmd
