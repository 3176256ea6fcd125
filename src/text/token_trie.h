// Tokens by their bytes, one after another: a double array, built once, read from any thread. A step costs one look into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/types.h"

namespace millrace::text {

class TokenTrie {
 public:
  using Node = uint32_t;
  static constexpr Node kRoot = 0;
  static constexpr Node kNowhere = ~0U;

  // Of all tokens together: a byte takes 12 bytes here, and 20 while the trie is built.
  static constexpr size_t kMaxBytes = size_t{16} << 20;

  // Of no tokens.
  TokenTrie() = default;
  // Texts differ and are not empty, kMaxBytes in all; they need not outlive the call. kInvalidArgument for texts whose bytes lie so that the array
  // would grow beyond four places a byte.
  static Result<TokenTrie> Create(std::vector<std::pair<std::string_view, TokenId>> tokens);

  // kNowhere when no token begins so.
  Node Step(Node node, char byte) const {
    const uint32_t next = units_[node].base + static_cast<uint8_t>(byte);
    return next < units_.size() && units_[next].parent == node ? next : kNowhere;
  }
  Node Walk(Node node, std::string_view bytes) const;
  // The token that ends here, or kNoToken.
  TokenId token(Node node) const { return units_[node].token; }

 private:
  class Builder;
  struct Unit {
    uint32_t base = 0;           // of its children: child by byte b is unit base + b, modulo 2^32
    uint32_t parent = kNowhere;  // kNowhere: the root, or free
    TokenId token = kNoToken;
  };
  std::vector<Unit> units_ = std::vector<Unit>(1);
};

}  // namespace millrace::text
