// The parts that the models are made of: merging, its queue and tables, the trie, ways to make a token of two.
#include "text/symbol_merger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

#include "text/token_splits.h"
#include "text/token_trie.h"
#include "text/whole_pieces.h"

namespace millrace::text {
namespace {

// The definition, step by step.
std::vector<TokenId> MergeByDefinition(const PairTable& pairs, std::vector<TokenId> symbols) {
  for (;;) {
    PairTable::Merged best;
    size_t at = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const PairTable::Merged merged = pairs.Find(symbols[i], symbols[i + 1]);
      if (merged.rank < best.rank) {
        best = merged;
        at = i;
      }
    }
    if (best.rank == PairTable::kNoRank) return symbols;
    symbols[at] = best.token;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

// Pairs of few symbols in any order, also such as no training gives: ranks are shared, a token has many ways, two pairs make each other.
TEST(SymbolMergerTest, FollowsTheDefinition) {
  std::mt19937 random(7);
  size_t merged = 0;
  for (int round = 0; round < 100; ++round) {
    const auto letters = static_cast<TokenId>(1 + random() % 4);
    const auto tokens = static_cast<TokenId>(letters + 1 + random() % 30);
    const auto ranks = static_cast<uint32_t>(1 + random() % 40);
    PairTable pairs;
    pairs.Reset(60);
    const auto any = [&](TokenId below) { return static_cast<TokenId>(random() % static_cast<unsigned>(below)); };
    for (int i = 0; i < 60; ++i) {
      const TokenId result = letters + any(tokens - letters);
      pairs.Add(any(result), any(result), {static_cast<uint32_t>(random() % ranks), result});
    }
    SymbolMerger merger(pairs);
    for (const size_t size : {0, 1, 2, 3, 10, 40, 47, 48, 49, 50, 100, 400}) {
      std::vector<TokenId> symbols;
      while (symbols.size() < size)
        symbols.insert(symbols.end(), std::min(size - symbols.size(), 1 + random() % 4), any(letters));
      const std::vector<TokenId> expected = MergeByDefinition(pairs, symbols);
      merger.Merge(symbols);
      ASSERT_EQ(symbols, expected) << "round " << round << " size " << size;
      merged += size - symbols.size();
    }
  }
  EXPECT_GT(merged, 20'000U);
}

TEST(SymbolMergerTest, RemembersTheLastSplitOfTheTokensAskedFor) {
  PairTable pairs;
  pairs.Reset(3);
  pairs.Add(0, 1, {5, 3});
  pairs.Add(2, 1, {4, 3});
  pairs.Add(0, 0, {3, 4});
  const std::vector<bool> kept = {false, false, false, true, false};
  LastSplits splits = {kept, {}};
  SymbolMerger merger(pairs, &splits);
  std::vector<TokenId> symbols = {2, 1, 0, 1, 0, 0};
  merger.Merge(symbols);
  EXPECT_EQ(symbols, (std::vector<TokenId>{3, 3, 4}));
  EXPECT_EQ(splits.found, (decltype(splits.found){{3, {0, 1}}}));
}

TEST(PairTableTest, OfEqualPairsTheLastCounts) {
  PairTable pairs;
  EXPECT_EQ(pairs.Find(1, 2).rank, PairTable::kNoRank);
  pairs.Reset(2);
  pairs.Add(1, 2, {0, 7});
  pairs.Add(1, 2, {3, 8});
  EXPECT_EQ(pairs.Find(1, 2).rank, 3U);
  EXPECT_EQ(pairs.Find(1, 2).token, 8);
  EXPECT_EQ(pairs.Find(2, 1).rank, PairTable::kNoRank);
  EXPECT_EQ(pairs.ranks(), 4U);
}

TEST(RankQueueTest, GivesTheLowestRankThenTheLeftmostPlace) {
  std::mt19937 random(21);
  RankQueue queue;
  queue.Reserve(8);
  std::multiset<std::pair<uint32_t, uint32_t>> expected;
  for (int step = 0; step < 20'000; ++step) {
    if (random() % 100 < (step % 1000 < 600 ? 60 : 40)) {
      const RankQueue::Entry entry = {static_cast<uint32_t>(random() % 8), static_cast<uint32_t>(random() % 1000)};
      queue.Push(entry);
      expected.insert({entry.rank, entry.place});
    } else if (const auto entry = queue.Pop()) {
      ASSERT_FALSE(expected.empty());
      ASSERT_EQ(std::make_pair(entry->rank, entry->place), *expected.begin());
      expected.erase(expected.begin());
    } else {
      ASSERT_TRUE(expected.empty());
    }
  }
}

TEST(TokenTrieTest, FindsWhatWasPutIn) {
  EXPECT_EQ(TokenTrie().Step(TokenTrie::kRoot, 'a'), TokenTrie::kNowhere);
  std::mt19937 random(4);
  for (const unsigned bytes : {2U, 256U}) {
    std::map<std::string, TokenId> texts;
    while (texts.size() < 300) {
      std::string text;
      for (size_t size = 1 + random() % 9; size > 0; --size) text.push_back(static_cast<char>(255 - random() % bytes));
      texts.emplace(text, static_cast<TokenId>(texts.size()));
    }
    const TokenTrie trie = *TokenTrie::Create({texts.begin(), texts.end()});
    for (const auto& [text, id] : texts) {
      const TokenTrie::Node node = trie.Walk(TokenTrie::kRoot, text);
      ASSERT_NE(node, TokenTrie::kNowhere);
      EXPECT_EQ(trie.token(node), id);
      for (int byte = 0; byte < 256; ++byte) {
        const std::string longer = text + static_cast<char>(byte);
        const TokenTrie::Node next = trie.Step(node, static_cast<char>(byte));
        const auto found = texts.find(longer);
        EXPECT_EQ(next == TokenTrie::kNowhere ? kNoToken : trie.token(next), found == texts.end() ? kNoToken : found->second);
        const auto begins = texts.lower_bound(longer);
        EXPECT_EQ(next != TokenTrie::kNowhere, begins != texts.end() && begins->first.starts_with(longer));
      }
    }
  }
}

TEST(TokenSplitsTest, CutsEveryTokenIntoTokensAndCodePoints) {
  const std::vector<MergeableToken> tokens = {{"a", 0, true},   {"aé", 1, true}, {"éb", 2, true},
                                              {"aéb", 3, true}, {"b", 4, false}, {"aéxb", 5, true}};
  const auto splits = SplitsOfTokens(tokens, 6);
  ASSERT_TRUE(splits.ok());
  std::vector<std::vector<TokenId>> found;
  for (const TokenSplit& split : *splits) found.push_back({split.left, split.right, split.token});
  const TokenId b = CodePointSymbol('b');
  const TokenId e = CodePointSymbol(0xE9);
  EXPECT_EQ(found, (std::vector<std::vector<TokenId>>{{0, e, 1}, {e, b, 2}, {0, 2, 3}, {1, b, 3}}));
  EXPECT_EQ(CodePointOfSymbol(e), 0xE9U);
  EXPECT_EQ(SplitsOfTokens(tokens, 3).status().message(), "more than 3 ways to make a token of two");
}

TEST(WholePiecesTest, FindsPiecesAndRemembersAnswers) {
  WholePieces pieces;
  EXPECT_EQ(pieces.Find("a"), kNoToken);
  pieces.Reset(4, 10);
  pieces.Add("a", 7);
  pieces.Add("a longer piece of text", 8);
  pieces.Add("a", 9);
  EXPECT_EQ(pieces.Find("a"), 7);
  EXPECT_EQ(pieces.Find("a longer piece of text"), 8);
  EXPECT_EQ(pieces.Find("a longer piece of tex"), kNoToken);
  EXPECT_EQ(pieces.Find("a longer piece of text, longer than any"), kNoToken);
  EXPECT_EQ(pieces.Find(""), kNoToken);
  EXPECT_EQ(pieces.answer(7), WholePieces::Answer::kNotAsked);
  pieces.Remember(7, WholePieces::Answer::kOneToken);
  EXPECT_EQ(pieces.answer(7), WholePieces::Answer::kOneToken);
}

}  // namespace
}  // namespace millrace::text
