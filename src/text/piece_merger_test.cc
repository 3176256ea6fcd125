#include "text/piece_merger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "text/rank_queue.h"
#include "text/test_vocabulary.h"
#include "text/word_table.h"

namespace millrace::text {
namespace {

struct Parts {
  std::shared_ptr<const Vocabulary> vocabulary;
  ByteMerges merges;
};

Parts Build(const TokenizerSpec& spec) {
  auto vocabulary = Vocabulary::Build(spec);
  EXPECT_TRUE(vocabulary.ok()) << vocabulary.status().ToString();
  auto merges = ByteMerges::Build(std::get<BpeModel>(spec.model), **vocabulary);
  EXPECT_TRUE(merges.ok()) << merges.status().ToString();
  return {*std::move(vocabulary), *std::move(merges)};
}

// The definition, step by step.
std::vector<TokenId> MergeByDefinition(const ByteMerges& merges, std::string_view piece) {
  std::vector<TokenId> out;
  for (const char byte : piece) {
    const TokenId token = merges.byte_tokens[static_cast<uint8_t>(byte)];
    if (token != kNoToken) out.push_back(token);
  }
  for (;;) {
    uint32_t best = MergeTable::kNoRank;
    size_t at = 0;
    for (size_t i = 0; i + 1 < out.size(); ++i) {
      const uint32_t rank = merges.table.Rank(out[i], out[i + 1]);
      if (rank < best) {
        best = rank;
        at = i;
      }
    }
    if (best == MergeTable::kNoRank) return out;
    out[at] = merges.table.Merged(best);
    out.erase(out.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

// Merges over a few letters in random order: also orders that no training would give, where a later merge opens an earlier one.
Parts RandomVocabulary(std::mt19937& random, int letters, size_t merges) {
  std::vector<std::string> texts;
  for (int i = 0; i < letters; ++i) texts.emplace_back(1, static_cast<char>('a' + i));
  std::set<std::pair<std::string, std::string>> pairs;
  for (size_t tries = 0; pairs.size() < merges && tries < 10 * merges; ++tries) {
    const std::string left = texts[random() % texts.size()];
    const std::string right = texts[random() % texts.size()];
    if (left.size() + right.size() > 24 || !pairs.insert({left, right}).second) continue;
    texts.push_back(left + right);
  }
  // Tokens must exist before SmallVocabulary names them, in any order of merges.
  std::vector<std::pair<std::string, std::string>> shuffled(pairs.begin(), pairs.end());
  std::shuffle(shuffled.begin(), shuffled.end(), random);
  const std::vector<std::pair<std::string_view, std::string_view>> views(shuffled.begin(), shuffled.end());
  return Build(SmallVocabulary(views));
}

std::string RandomText(std::mt19937& random, int letters, size_t size) {
  std::string out;
  while (out.size() < size) out.append(1 + random() % 4, static_cast<char>('a' + random() % static_cast<unsigned>(letters)));
  return out;
}

TEST(PieceMergerTest, FollowsTheDefinition) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    const int letters = 1 + static_cast<int>(random() % 4);
    const Parts parts = RandomVocabulary(random, letters, 1 + random() % 40);
    PieceMerger merger(parts.merges);
    for (const size_t size : {0, 1, 2, 3, 10, 40, 47, 48, 49, 50, 100, 400}) {
      const std::string text = size == 0 ? "" : RandomText(random, letters, size);
      std::vector<TokenId> merged;
      merger.Append(text, merged);
      ASSERT_EQ(merged, MergeByDefinition(parts.merges, text)) << "round " << round << " text " << text;
    }
  }
}

TEST(PieceMergerTest, BytesWithoutTokenAreLeftOutAndTheirNeighboursMerge) {
  TokenizerSpec spec = SmallVocabulary({{"a", "b"}});
  spec.token_types['x'] = TokenType::kUnused;
  spec.unk = 0;
  const Parts parts = Build(spec);
  std::vector<TokenId> merged;
  PieceMerger(parts.merges).Append("axb", merged);
  EXPECT_EQ(merged, std::vector<TokenId>{256});
  merged.clear();
  PieceMerger(parts.merges).Append("xxx", merged);
  EXPECT_EQ(merged, std::vector<TokenId>{});
}

// Counted, not timed: steps stay within a small multiple of n, where a quadratic merge would need n * n / 2.
TEST(PieceMergerTest, StepsAreLinearInHostileText) {
  const Parts parts = Build(SmallVocabulary({{"a", "a"},
                                             {"aa", "aa"},
                                             {"aaaa", "aaaa"},
                                             {"a", "b"},
                                             {"ab", "ab"},
                                             {"b", "a"},
                                             {"ba", "ba"},
                                             {"aa", "a"},
                                             {"a", "aa"}}));
  for (const char* unit : {"a", "ab", "aab", "aba", "b"}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    PieceMerger merger(parts.merges);
    std::vector<TokenId> merged;
    merger.Append(text, merged);
    EXPECT_LT(merger.steps(), 5 * text.size()) << unit;
    std::string back;
    for (const TokenId token : merged) back += parts.vocabulary->Text(token);
    EXPECT_EQ(back, text);
  }
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

TEST(WordTableTest, HoldsOnlyTokensThatTheirMergesReach) {
  // "abc" is reached by none of its merges: "bc" merges first and "a" + "bc" is no merge.
  const Parts parts = Build(SmallVocabulary({{"b", "c"}, {"a", "b"}, {"ab", "c"}}));
  const TokenId abc = *parts.vocabulary->Find("abc");
  const WordTable exact(*parts.vocabulary, parts.merges, false);
  EXPECT_EQ(exact.Find("abc"), kNoToken);
  EXPECT_EQ(exact.Find("ab"), *parts.vocabulary->Find("ab"));
  EXPECT_EQ(exact.Find("a"), 'a');
  EXPECT_EQ(exact.Find("xyz"), kNoToken);
  EXPECT_EQ(exact.Find("a longer text than any token"), kNoToken);
  const WordTable all(*parts.vocabulary, parts.merges, true);
  EXPECT_EQ(all.Find("abc"), abc);
}

}  // namespace
}  // namespace millrace::text
