// Who may use the server, and whose request it is. Secrets are kept as hashes only and compared in constant time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/error.h"
#include "base/status.h"
#include "gateway/options.h"
#include "net/http_request.h"
#include "net/sha256.h"

namespace millrace::gateway {

class ApiKeys {
 public:
  // kInvalidArgument for a key without name or secret, and for two keys of one name.
  static Result<ApiKeys> Create(const std::vector<ApiKey>& keys);

  bool empty() const { return keys_.empty(); }

  // Nothing when the request may pass: no keys are configured, or it brings one of them ("Authorization: Bearer SECRET"). Else the
  // 401. Looks at every key whatever the outcome.
  std::optional<api::ApiError> Check(const net::Request& head) const;

  // Fingerprint of who asks, for fair shares: the key's name, else the hash of what came as Authorization, else the address.
  uint64_t Tenant(const net::Request& request) const;

 private:
  struct Stored {
    std::string name;
    net::Sha256Digest digest;
  };
  const Stored* Find(const net::Request& request) const;

  std::vector<Stored> keys_;
};

}  // namespace millrace::gateway
