// Turns errno into a Status: one table for the whole project.
#pragma once

#include <string_view>

#include "base/status.h"

namespace millrace {

// "open '/x': No such file or directory". The code follows the errno: ENOENT is kNotFound, EADDRINUSE and EEXIST kAlreadyExists,
// ENOMEM, EMFILE and EAGAIN kResourceExhausted, EPIPE and ECONNRESET kUnavailable, EACCES and EINVAL kInvalidArgument, else
// kInternal.
Status OsError(int error_number, std::string_view what);

}  // namespace millrace
