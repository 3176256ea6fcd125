// The pieces of text that may be one token: most words of ordinary text need one look-up here instead of their merges.
//
// Whether the model really makes that one token of the piece is found out the first time it is asked, and remembered: the answer is
// that of the model, whoever asks first. Unlike a cache of pieces this needs no lock and no bound.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace millrace::text {

class WholePieces {
 public:
  enum class Answer : uint8_t { kNotAsked, kOneToken, kOther };

  // Room for `count` pieces, whose ids are below `ids`; forgets what was there.
  void Reset(size_t count, size_t ids);
  // At most as many as Reset was told, of less than 2 GiB in all. A piece that is there already keeps its token.
  void Add(std::string_view piece, TokenId token);

  // The token whose text `piece` is; kNoToken when there is none.
  TokenId Find(std::string_view piece) const;
  // Of a token that Find gave. From any thread.
  Answer answer(TokenId token) const { return answers_[static_cast<size_t>(token)].load(std::memory_order_relaxed); }
  void Remember(TokenId token, Answer answer) const {
    answers_[static_cast<size_t>(token)].store(answer, std::memory_order_relaxed);
  }

 private:
  struct Slot {
    uint32_t hash = 0;  // its upper half
    uint32_t size = 0;  // 0: free
    uint32_t begin = 0;
    TokenId token = kNoToken;
  };
  static uint64_t Hash(std::string_view piece);
  size_t SlotOf(std::string_view piece, uint64_t hash) const;

  std::vector<Slot> slots_ = std::vector<Slot>(2);  // a power of two, at most half full
  std::string texts_;
  size_t longest_ = 0;
  std::unique_ptr<std::atomic<Answer>[]> answers_;  // by token
};

}  // namespace millrace::text
