// Exit codes of every command, for scripts. `millrace --help` prints this table.
#pragma once

#include "base/status.h"

namespace millrace::cmd {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,      // anything without a number of its own
  kExitUsage = 2,        // options or arguments are wrong
  kExitNotFound = 3,     // no such model or file
  kExitBadData = 4,      // a file contradicts itself or is of an unsupported kind
  kExitUnavailable = 5,  // the server, a worker or the port is not available
  kExitNoMemory = 6,
  kExitInterrupted = 130,
};

ExitCode ExitCodeFor(Code code);

// The kind of failure behind the exit code of another millrace; kUnavailable for codes without a kind of their own.
Code CodeForExit(int exit_code);

// Prints "millrace: MESSAGE" to standard error and returns the exit code for it.
int Fail(const Status& status);

}  // namespace millrace::cmd
