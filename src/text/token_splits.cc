#include "text/token_splits.h"

#include <bit>

#include "text/code_point_table.h"

namespace millrace::text {
namespace {

// Hashes of every part of one text at constant cost each: h(text) is a polynomial in its bytes, modulo 2^64.
class PartHashes {
 public:
  void Take(std::string_view text) {
    sums_.resize(1);
    for (const char byte : text) {
      sums_.push_back(sums_.back() * kBase + static_cast<uint8_t>(byte) + 1);
      if (powers_.size() < sums_.size()) powers_.push_back(powers_.back() * kBase);
    }
  }
  uint64_t Of(size_t begin, size_t end) const { return sums_[end] - sums_[begin] * powers_[end - begin]; }

 private:
  static constexpr uint64_t kBase = 0x9E3779B97F4A7C15ULL;
  std::vector<uint64_t> sums_ = {0};    // hash of the first i bytes
  std::vector<uint64_t> powers_ = {1};  // kBase to the i
};

class Splitter {
 public:
  explicit Splitter(const std::vector<MergeableToken>& tokens) : tokens_(tokens), slots_(std::bit_ceil(2 * tokens.size() + 2)) {
    for (uint32_t i = 0; i < tokens.size(); ++i) {
      hashes_.Take(tokens[i].text);
      const uint64_t hash = hashes_.Of(0, tokens[i].text.size());
      slots_[SlotOf(tokens[i].text, hash)] = {hash, i};
    }
  }

  Result<std::vector<TokenSplit>> Run(size_t limit) {
    std::vector<TokenSplit> splits;
    for (const MergeableToken& token : tokens_) {
      const std::string_view text = token.text;
      hashes_.Take(text);
      for (size_t cut = DecodeAt(text, 0).length; cut < text.size(); cut += DecodeAt(text, cut).length) {
        const TokenId left = SymbolOf(text, 0, cut);
        const TokenId right = left == kNoToken ? kNoToken : SymbolOf(text, cut, text.size());
        if (right == kNoToken) continue;
        if (splits.size() == limit) return Error(Code::kInvalidArgument, "more than {} ways to make a token of two", limit);
        splits.push_back({left, right, token.id});
      }
    }
    return splits;
  }

 private:
  static constexpr uint32_t kFree = ~0U;
  struct Slot {
    uint64_t hash = 0;
    uint32_t token = kFree;  // index into tokens_
  };

  TokenId SymbolOf(std::string_view text, size_t begin, size_t end) const {
    const std::string_view part = text.substr(begin, end - begin);
    const auto [code_point, length] = DecodeAt(part, 0);
    const bool single = length == part.size();
    const uint32_t token = slots_[SlotOf(part, hashes_.Of(begin, end))].token;
    if (token != kFree && (!single || tokens_[token].is_symbol)) return tokens_[token].id;
    return single ? CodePointSymbol(code_point) : kNoToken;
  }

  size_t SlotOf(std::string_view text, uint64_t hash) const {
    const size_t mask = slots_.size() - 1;
    size_t slot = (hash ^ hash >> 32) & mask;
    while (slots_[slot].token != kFree && (slots_[slot].hash != hash || tokens_[slots_[slot].token].text != text)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  const std::vector<MergeableToken>& tokens_;
  std::vector<Slot> slots_;  // a power of two, at most half full
  PartHashes hashes_;
};

}  // namespace

Result<std::vector<TokenSplit>> SplitsOfTokens(const std::vector<MergeableToken>& tokens, size_t limit) {
  return Splitter(tokens).Run(limit);
}

}  // namespace millrace::text
