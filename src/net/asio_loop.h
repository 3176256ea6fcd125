// The real event loop, on Boost.Asio. One thread calls Run.
#pragma once

#include <memory>

#include "net/loop.h"

namespace millrace::net {

std::unique_ptr<Loop> MakeAsioLoop();

// min(soft limit of open files / 2, 4096): how many connections a server may hold and still open files.
int MaxConnectionsForThisProcess();

}  // namespace millrace::net
