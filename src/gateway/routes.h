// The table of endpoints.
#pragma once

#include <vector>

#include "gateway/handlers.h"
#include "net/router.h"

namespace millrace::gateway {

// `handlers` outlives the routes.
std::vector<net::Route> MakeRoutes(Handlers& handlers);

}  // namespace millrace::gateway
