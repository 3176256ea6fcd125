// SHA-256 (FIPS 180-4) of short secrets.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace millrace::gateway {

using Sha256Digest = std::array<uint8_t, 32>;

Sha256Digest Sha256(std::string_view message);

}  // namespace millrace::gateway
