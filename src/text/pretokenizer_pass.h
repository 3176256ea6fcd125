// One walk of PreTokenizer through one text, and the seam between it and its steps.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/pattern.h"
#include "text/pretokenizer.h"

namespace millrace::text {

struct PreTokenizerPiece {
  std::string_view text;
  size_t first_bytes = 0;  // how many of its bytes stand for the first character of the whole text, or were put before it
};

// What a step keeps during a pass, between pieces.
struct PreTokenizerScratch {
  std::string text;  // the piece as the step has changed it
  std::unique_ptr<CompiledPattern::Search> search;
};

class PreTokenizerPass {
 public:
  PreTokenizerPass(std::span<const std::unique_ptr<const PreTokenizer::Step>> steps, PreTokenizer::Take take, void* context)
      : steps_(steps), take_(take), context_(context), scratch_(steps.size()) {}

  // Gives a piece to step `index`, or to the caller after the last one. False: stop.
  bool Hand(size_t index, const PreTokenizerPiece& piece);
  // Gives the part [begin, end) of `piece`.
  bool HandPart(size_t index, const PreTokenizerPiece& piece, size_t begin, size_t end) {
    const size_t first = piece.first_bytes > begin ? piece.first_bytes - begin : 0;
    return Hand(index, {piece.text.substr(begin, end - begin), first});
  }
  bool Fail(Status status) {
    status_ = std::move(status);
    return false;
  }

  PreTokenizerScratch& ScratchOf(size_t index) { return scratch_[index]; }
  const Status& status() const { return status_; }

 private:
  std::span<const std::unique_ptr<const PreTokenizer::Step>> steps_;
  PreTokenizer::Take take_;
  void* context_;
  std::vector<PreTokenizerScratch> scratch_;
  Status status_;
};

class PreTokenizer::Step {
 public:
  virtual ~Step() = default;
  // Cuts `piece` (not empty) and hands the parts to step `index` + 1. False: stop.
  virtual bool Cut(PreTokenizerPass& pass, size_t index, const PreTokenizerPiece& piece) const = 0;
};

inline bool PreTokenizerPass::Hand(size_t index, const PreTokenizerPiece& piece) {
  if (piece.text.empty()) return true;
  return index == steps_.size() ? take_(context_, piece.text) : steps_[index]->Cut(*this, index, piece);
}

// Puts the matches in a piece and what lies between them together by a SplitBehavior, and hands out what comes of it.
class PieceAssembler {
 public:
  PieceAssembler(PreTokenizerPass& pass, size_t index, const PreTokenizerPiece& piece, SplitBehavior behavior)
      : pass_(pass), index_(index), piece_(piece), behavior_(behavior) {}

  // The next part, which begins where the one before ended; a match may be empty. False: stop.
  bool Add(size_t begin, size_t end, bool match) {
    switch (behavior_) {
      case SplitBehavior::kIsolated:
        return pass_.HandPart(index_, piece_, begin, end);
      case SplitBehavior::kRemoved:
        return match || pass_.HandPart(index_, piece_, begin, end);
      case SplitBehavior::kContiguous:
        return Join(begin, end, match, match == held_match_);
      case SplitBehavior::kMergedWithPrevious:
        return Join(begin, end, match, match && !held_match_);
      case SplitBehavior::kMergedWithNext:
        return Join(begin, end, match, held_match_ && !match);
    }
    return false;
  }
  bool Finish() { return !held_ || pass_.HandPart(index_, piece_, held_begin_, held_end_); }

 private:
  // Joins a part to the one held back, or hands that out and holds this one back.
  bool Join(size_t begin, size_t end, bool match, bool joins) {
    if (held_ && !joins && !pass_.HandPart(index_, piece_, held_begin_, held_end_)) return false;
    if (!held_ || !joins) held_begin_ = begin;
    held_ = true;
    held_end_ = end;
    held_match_ = match;
    return true;
  }

  PreTokenizerPass& pass_;
  const size_t index_;
  const PreTokenizerPiece& piece_;
  const SplitBehavior behavior_;
  bool held_ = false;
  bool held_match_ = false;
  size_t held_begin_ = 0;
  size_t held_end_ = 0;
};

}  // namespace millrace::text
