// What MLX would compute on, and whether it does.
#pragma once

#include <string>

#include "base/status.h"

namespace millrace::backend_mlx {

struct Device {
  bool gpu = false;
  std::string name;     // of the chip, where the system tells
  std::string version;  // of MLX
};

// Compares the library's version with that of the headers this program was built with (there is no stable interface: kUnsupported on any
// difference), then computes something small. MLX may end the process where no device works: call it in a child that may die, once, before
// anything depends on it.
Result<Device> ProbeDevice();

// The version check alone.
Status CheckVersion();

}  // namespace millrace::backend_mlx
