// One HTTP request as the parser hands it over: every rule of request_parser.h holds for it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"

namespace millrace::net {

// Names compare without regard to ASCII case. Order and repetition are kept.
class Headers {
 public:
  struct Field {
    std::string name;
    std::string value;  // without surrounding blanks
  };

  void Add(std::string_view name, std::string_view value) { fields_.push_back({std::string(name), std::string(value)}); }
  const std::string* Find(std::string_view name) const;  // the first one, or a null pointer
  size_t Count(std::string_view name) const;
  const std::vector<Field>& fields() const { return fields_; }

 private:
  std::vector<Field> fields_;
};

struct Request {
  std::string method;      // a token, case-sensitive: "GET"
  std::string path;        // begins with '/', percent-encoded as it came; decodes without NUL, CR, LF ("*" only for OPTIONS)
  std::string query;       // what follows '?', undecoded; may be empty
  int minor_version = 1;   // HTTP/1.0 or HTTP/1.1
  bool keep_alive = true;  // what the client wants
  bool expects_continue = false;
  Headers headers;
  std::string body;  // de-chunked

  // Filled in by the server.
  Address peer;
  std::string id;  // for x-request-id and logs: the client's if it is well-formed, else ours
};

bool EqualsIgnoreCase(std::string_view a, std::string_view b);  // ASCII

// Undoes %XX; false where a '%' is not followed by two hex digits.
bool PercentDecode(std::string_view text, std::string& out);

}  // namespace millrace::net
