// The real event loop, on Boost.Asio. One thread calls Run.
#pragma once

#include <memory>

#include "net/loop.h"

namespace millrace::net {

class AsioLoop : public Loop {
 public:
  // The client's end of a new connection; blocks until the system has an answer, so for loopback only.
  virtual Result<std::unique_ptr<Socket>> Connect(const Address& to) = 0;
};

std::unique_ptr<AsioLoop> MakeAsioLoop();

// min(soft limit of open files / 2, 4096): how many connections a server may hold and still open files.
int MaxConnectionsForThisProcess();

}  // namespace millrace::net
