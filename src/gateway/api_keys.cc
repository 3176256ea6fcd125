#include "gateway/api_keys.h"

#include <algorithm>

#include "base/hash.h"

namespace millrace::gateway {
namespace {

// What stands after "Bearer ", in any case; empty when the header has another form.
std::string_view BearerToken(const net::Request& request) {
  constexpr std::string_view kScheme = "Bearer ";
  const std::string* header = request.headers.Find("Authorization");
  if (header == nullptr || request.headers.Count("Authorization") != 1) return {};
  const std::string_view value = *header;
  if (value.size() <= kScheme.size() || !net::EqualsIgnoreCase(value.substr(0, kScheme.size()), kScheme)) return {};
  std::string_view token = value.substr(kScheme.size());
  token.remove_prefix(std::min(token.find_first_not_of(' '), token.size()));
  return token;
}

bool EqualInConstantTime(const net::Sha256Digest& a, const net::Sha256Digest& b) {
  uint8_t difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference = static_cast<uint8_t>(difference | (a[i] ^ b[i]));
  return difference == 0;
}

}  // namespace

Result<ApiKeys> ApiKeys::Create(const std::vector<ApiKey>& keys) {
  ApiKeys out;
  for (const ApiKey& key : keys) {
    if (key.name.empty() || key.secret.empty()) {
      return Error(Code::kInvalidArgument, "API key '{}': expected a name and a secret that are not empty", key.name);
    }
    const auto same_name = [&](const Stored& stored) { return stored.name == key.name; };
    if (std::any_of(out.keys_.begin(), out.keys_.end(), same_name)) {
      return Error(Code::kInvalidArgument, "API key '{}': the name is used twice", key.name);
    }
    out.keys_.push_back({key.name, net::Sha256Of(key.secret)});
  }
  return out;
}

const ApiKeys::Stored* ApiKeys::Find(const net::Request& request) const {
  const std::string_view token = BearerToken(request);
  if (token.empty()) return nullptr;
  const net::Sha256Digest digest = net::Sha256Of(token);
  const Stored* found = nullptr;
  for (const Stored& key : keys_) {
    if (EqualInConstantTime(key.digest, digest)) found = &key;
  }
  return found;
}

std::optional<api::ApiError> ApiKeys::Check(const net::Request& head) const {
  if (keys_.empty() || Find(head) != nullptr) return std::nullopt;
  const bool none = head.headers.Find("Authorization") == nullptr;
  return api::Unauthorized(none ? "You didn't provide an API key. Send it as 'Authorization: Bearer KEY'."
                                : "Incorrect API key provided.");
}

uint64_t ApiKeys::Tenant(const net::Request& request) const {
  if (const Stored* key = Find(request); key != nullptr) return Fnv1a("key:" + key->name);
  if (const std::string* header = request.headers.Find("Authorization"); header != nullptr) return Fnv1a("auth:" + *header);
  return Fnv1a("peer:" + request.peer.host);
}

}  // namespace millrace::gateway
