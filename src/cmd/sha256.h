// SHA-256 of a whole file (FIPS 180-4), lower-case hexadecimal.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"

namespace millrace::cmd {

// `progress` gets (bytes done, bytes in all) now and then; may be empty.
Result<std::string> Sha256OfFile(const std::string& path, const std::function<void(uint64_t, uint64_t)>& progress);

}  // namespace millrace::cmd
