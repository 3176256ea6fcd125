// The second opinion on a request head: Boost.Beast's parser, given the bytes that passed our framing check.
#pragma once

#include <string_view>

#include "net/detail/framing.h"
#include "net/http_request.h"

namespace millrace::net::detail {

// Fills method, version and headers of `request`. False when Beast refuses the head or reads anything but what `facts` says.
bool ParseHeadWithBeast(std::string_view head, const HeadFacts& facts, Request& request);

}  // namespace millrace::net::detail
