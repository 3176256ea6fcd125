#include "net/detail/beast_head.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <limits>

namespace millrace::net::detail {
namespace http = boost::beast::http;

bool ParseHeadWithBeast(std::string_view head, const HeadFacts& facts, Request& request) try {
  http::request_parser<http::empty_body> parser;
  parser.header_limit(std::numeric_limits<std::uint32_t>::max());  // the limits are those of the framing check
  parser.body_limit(boost::none);
  boost::beast::error_code error;
  const size_t used = parser.put(boost::asio::buffer(head.data(), head.size()), error);
  if (error || used != head.size() || !parser.is_header_done()) return false;

  const auto& message = parser.get();
  if (message.method_string() != facts.method || message.target() != facts.target) return false;
  if (message.version() != 10U + static_cast<unsigned>(facts.minor_version) || parser.chunked() != facts.chunked) return false;
  const auto length = parser.content_length();
  if (length.has_value() != facts.has_length || (length.has_value() && *length != facts.length)) return false;

  request.method = facts.method;
  request.minor_version = facts.minor_version;
  size_t fields = 0;
  for (const auto& field : message) {
    request.headers.Add({field.name_string().data(), field.name_string().size()}, {field.value().data(), field.value().size()});
    ++fields;
  }
  return fields == facts.field_count;
} catch (...) {  // the one catching boundary: allocation failure inside Beast refuses this request only
  return false;
}

}  // namespace millrace::net::detail
