// How Boost.Beast reads a whole message: the oracle that tests and fuzz targets hold RequestParser against. No part of the server.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace millrace::net {

struct OracleVerdict {
  bool complete = false;  // else refused or unfinished
  size_t used = 0;        // bytes of the message
  std::string method;
  std::string target;
  size_t fields = 0;  // trailers included
  std::string body;
};

OracleVerdict ReadWithBeast(std::string_view bytes);

}  // namespace millrace::net
