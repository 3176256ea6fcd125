#include "cmd/sha256.h"

#include <openssl/evp.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>
#include <vector>

namespace millrace::cmd {

Result<std::string> Sha256OfFile(const std::string& path, const std::function<void(uint64_t, uint64_t)>& progress) {
  std::error_code ec;
  const uint64_t total = std::filesystem::file_size(path, ec);
  std::ifstream in(path, std::ios::binary);
  if (ec || !in) return Error(Code::kNotFound, "{}: cannot be read", path);
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> digest(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!digest || EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) != 1)
    return Error(Code::kInternal, "SHA-256 is not available");
  std::vector<char> buffer(size_t{1} << 20);
  uint64_t done = 0;
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())), in.gcount() > 0) {
    EVP_DigestUpdate(digest.get(), buffer.data(), static_cast<size_t>(in.gcount()));
    done += static_cast<uint64_t>(in.gcount());
    if (progress) progress(done, total);
  }
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(digest.get(), bytes, &size);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", bytes[i]);
  return hex;
}

}  // namespace millrace::cmd
