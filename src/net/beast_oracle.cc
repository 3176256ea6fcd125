#include "net/beast_oracle.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <iterator>
#include <limits>

namespace millrace::net {
namespace http = boost::beast::http;

OracleVerdict ReadWithBeast(std::string_view bytes) try {
  http::request_parser<http::string_body> parser;
  parser.header_limit(std::numeric_limits<std::uint32_t>::max());
  parser.body_limit(boost::none);
  parser.eager(true);
  OracleVerdict verdict;
  while (!parser.is_done()) {
    boost::beast::error_code error;
    const size_t used = parser.put(boost::asio::buffer(bytes.data() + verdict.used, bytes.size() - verdict.used), error);
    verdict.used += used;
    if (error || used == 0) return {};
  }
  const auto& message = parser.get();
  verdict.complete = true;
  verdict.method = std::string(message.method_string());
  verdict.target = std::string(message.target());
  verdict.fields = static_cast<size_t>(std::distance(message.begin(), message.end()));
  verdict.body = message.body();
  return verdict;
} catch (...) {  // allocation failure: no verdict
  return {};
}

}  // namespace millrace::net
