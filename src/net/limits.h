// Every limit of the HTTP edge, with its default. What happens at a limit stands beside it; after any of them the connection
// closes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace::net {

inline constexpr int64_t kSecondNs = 1'000'000'000;

// What RequestParser enforces by itself, whatever the pace of the bytes.
struct ParseLimits {
  size_t request_line_bytes = 8 << 10;       // 414
  size_t header_line_bytes = 8 << 10;        // 431, name and value of one header
  size_t head_bytes = 32 << 10;              // 431, request line and all headers
  size_t headers = 100;                      // 431
  size_t body_bytes = 8 << 20;               // 413: before reading when the length is declared, at the limit when chunked
  size_t chunk_extension_bytes = 256;        // 400, of one chunk
  size_t chunk_extensions_bytes = 16 << 10;  // 400, of all chunks together
  size_t trailer_bytes = 8 << 10;            // 431, all trailers; their content is dropped
};

struct ServerLimits {
  ParseLimits parse;
  int64_t head_ns = 10 * kSecondNs;         // 408: from accept or the first byte to the end of the head
  int64_t body_ns = 120 * kSecondNs;        // 408: the whole body
  int64_t body_grace_ns = 10 * kSecondNs;   // after this long ...
  int64_t body_bytes_per_second = 1 << 10;  // ... 408 below this mean rate
  int64_t idle_ns = 75 * kSecondNs;         // between requests; closed without a word
  int requests_per_connection = 1000;       // the last one is answered with Connection: close
  int64_t write_stall_ns = 30 * kSecondNs;  // no byte taken: the request is cancelled
  size_t unsent_bytes = 256 << 10;          // a stream that is this far behind is cancelled
  int64_t heartbeat_ns = 15 * kSecondNs;    // silence on a stream before a heartbeat goes out
  int64_t linger_ns = 2 * kSecondNs;        // how long unread input is drained so that the last answer arrives
  size_t bodies_bytes = size_t{256} << 20;  // 503: all bodies together, until their answer begins
  int connections = 4096;                   // accepting pauses, and answers say Connection: close
  int connections_per_address = 256;        // off loopback; 503
};

}  // namespace millrace::net
