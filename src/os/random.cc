#include "os/random.h"

#include <sys/random.h>
#include <unistd.h>

#include "base/check.h"

namespace millrace {

uint64_t RandomU64() {
  uint64_t value = 0;
  CHECK(::getentropy(&value, sizeof(value)) == 0, "the system has no source of randomness");
  return value;
}

}  // namespace millrace
