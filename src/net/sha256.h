// SHA-256 (FIPS 180-4), by OpenSSL, which only this layer names.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace millrace::net {

using Sha256Digest = std::array<uint8_t, 32>;

// Incremental; one use. Movable, not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(std::span<const std::byte> bytes);
  Sha256Digest Finish();  // once, last

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Sha256Digest Sha256Of(std::string_view message);
std::string Hex(const Sha256Digest& digest);  // lower case

}  // namespace millrace::net
