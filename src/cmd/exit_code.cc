#include "cmd/exit_code.h"

#include <cstdio>

namespace millrace::cmd {

ExitCode ExitCodeFor(Code code) {
  switch (code) {
    case Code::kOk:
      return kExitOk;
    case Code::kInvalidArgument:
      return kExitUsage;
    case Code::kNotFound:
      return kExitNotFound;
    case Code::kDataLoss:
    case Code::kUnsupported:
      return kExitBadData;
    case Code::kAlreadyExists:
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
      return kExitUnavailable;
    case Code::kResourceExhausted:
      return kExitNoMemory;
    case Code::kCancelled:
      return kExitInterrupted;
    case Code::kInternal:
      return kExitFailure;
  }
  return kExitFailure;
}

Code CodeForExit(int exit_code) {
  switch (exit_code) {
    case kExitUsage:
      return Code::kInvalidArgument;
    case kExitNotFound:
      return Code::kNotFound;
    case kExitBadData:
      return Code::kDataLoss;
    case kExitNoMemory:
      return Code::kResourceExhausted;
    default:
      return Code::kUnavailable;
  }
}

int Fail(const Status& status) {
  std::fprintf(stderr, "millrace: %s\n", status.message().c_str());
  return ExitCodeFor(status.code());
}

}  // namespace millrace::cmd
