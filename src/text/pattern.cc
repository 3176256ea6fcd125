#include "text/pattern.h"

#include <utility>
#include <vector>

#include "text/pattern_program.h"

namespace millrace::text {

struct CompiledPattern::Code {
  PatternProgram program;
};

namespace {

using Op = PatternInstruction::Op;
using Mode = PatternNode::Mode;

// Steps for each byte of all its texts after which a search begins to remember failures, and after which it gives up; with some for short texts.
constexpr size_t kFreeSteps = 16;
constexpr size_t kMostSteps = 512;
constexpr size_t kShortText = 1024;
constexpr size_t kMaxMemoryBits = size_t{1} << 30;  // of each of two
constexpr size_t kMaxChoices = size_t{1} << 24;     // 256 MB
constexpr size_t kMaxTextBytes = UINT32_MAX;

class ProgramSearch final : public CompiledPattern::Search {
 public:
  explicit ProgramSearch(const PatternProgram& program) : program_(program) {}

  void Reset(std::string_view text) override {
    earlier_bytes_ += text_.size();
    text_ = text;
    remembers_ = false;
    last_end_ = kNowhere;
  }

  Result<std::optional<CompiledPattern::Match>> Next(size_t from) override {
    if (text_.size() > kMaxTextBytes) return Exhausted(from);
    for (size_t at = from;;) {
      if (MayBegin(0, at)) {
        if (!remembers_) allowed_steps_ = kFreeSteps * (earlier_bytes_ + at + kShortText);
        size_t end = 0;
        const Outcome outcome = Run(0, at, end);
        if (outcome == Outcome::kExhausted) return Exhausted(at);
        const bool again = end == at && at == last_end_;
        if (outcome == Outcome::kMatch && !again) {
          last_end_ = end;
          return std::optional(CompiledPattern::Match{.begin = at, .end = end});
        }
      }
      if (at >= text_.size()) return std::optional<CompiledPattern::Match>();
      at += ClassAt(at).length;
    }
  }

 private:
  static constexpr size_t kNowhere = SIZE_MAX;
  enum class Outcome : uint8_t { kFail, kMatch, kExhausted };

  // What to do when the way that was taken fails.
  struct Choice {
    enum class Kind : uint8_t {
      kTry,     // go on at `pc`, `at`
      kShrink,  // a run that may end at every character from `least` to `at`: go on at `pc` with each, the longest first
      kGrow,    // a run of the kStar before `pc` that may take one character more
      kFailed,  // nothing: the state `pc` has failed at `at`
    };
    Choice(Kind choice_kind, uint32_t where, size_t place, size_t end_of_run = 0)
        : kind(choice_kind), pc(where), at(static_cast<uint32_t>(place)), least(static_cast<uint32_t>(end_of_run)) {}
    Kind kind;
    uint32_t pc;
    uint32_t at;
    uint32_t least;
  };

  static Status Exhausted(size_t at) {
    return Error(Code::kResourceExhausted, "pattern: more work than its text allows, at byte {}", at);
  }

  // The class of the character at `at` (in the text) as `value`.
  DecodedCodePoint ClassAt(size_t at) const {
    const auto byte = static_cast<uint8_t>(text_[at]);
    if (byte < 0x80) return {program_.classes.OfAscii(byte), 1};
    const DecodedCodePoint code = DecodeAt(text_, at);
    return {program_.classes.Of(code.value), code.length};
  }
  bool Consume(const ClassBits& set, size_t& at) const {
    if (at >= text_.size()) return false;
    const DecodedCodePoint found = ClassAt(at);
    if (!set[found.value]) return false;
    at += found.length;
    return true;
  }

  // A search that works more than its text warrants begins to remember; one that still does is stopped.
  bool MayGoOn() {
    if (remembers_ || choices_.size() > kMaxChoices) return false;
    const size_t width = text_.size() + 1;
    if (program_.states > 0 && width > kMaxMemoryBits / program_.states) return false;
    failed_.assign(width * program_.states, false);
    succeeded_.assign(failed_.size(), false);
    remembers_ = true;
    allowed_steps_ = kMostSteps * (earlier_bytes_ + text_.size() + kShortText);
    return true;
  }
  size_t BitOf(uint32_t state, size_t at) const { return state * (text_.size() + 1) + at; }

  Outcome Run(uint32_t pc, size_t at, size_t& end) {
    const size_t base = choices_.size();
    const Outcome outcome = RunAbove(base, pc, at, end);
    choices_.erase(choices_.begin() + static_cast<std::ptrdiff_t>(base), choices_.end());
    return outcome;
  }

  Outcome RunAbove(size_t base, uint32_t pc, size_t at, size_t& end) {
    for (;;) {
      const PatternInstruction& instruction = program_.code[pc];
      if ((++steps_ > allowed_steps_ || choices_.size() > kMaxChoices) && !MayGoOn()) return Outcome::kExhausted;
      bool ok = true;
      switch (instruction.op) {
        case Op::kSet:
          ok = Consume(program_.sets[instruction.set], at);
          pc = instruction.next;
          break;
        case Op::kJump:
          pc = instruction.next;
          break;
        case Op::kAssert:
          ok = Holds(instruction.assertion, at);
          pc = instruction.next;
          break;
        case Op::kAccept:
          end = at;
          if (instruction.in_look) RememberSuccess(base);
          return Outcome::kMatch;
        case Op::kStar:
        case Op::kSplit:
        case Op::kAtomic: {
          const Outcome entered = Enter(instruction, at);
          if (entered == Outcome::kMatch) {
            RememberSuccess(base);
            return Outcome::kMatch;
          }
          ok = entered == Outcome::kExhausted;  // neither is known
          if (ok && instruction.op == Op::kAtomic) {
            const Outcome inner = Run(instruction.other, at, at);
            if (inner == Outcome::kExhausted) return inner;
            ok = inner == Outcome::kMatch;
            pc = instruction.next;
          } else if (ok) {
            pc = Choose(instruction, pc, at);
          }
          break;
        }
        case Op::kLook: {
          const Outcome found = Look(instruction, at);
          if (found == Outcome::kExhausted) return found;
          ok = (found == Outcome::kMatch) != instruction.negative;
          pc = instruction.next;
          break;
        }
      }
      if (!ok && !Backtrack(base, pc, at)) return Outcome::kFail;
    }
  }

  // What is known of a state here (kExhausted: nothing yet); from now on its failure will be.
  Outcome Enter(const PatternInstruction& instruction, size_t at) {
    if (!remembers_) return Outcome::kExhausted;
    const size_t bit = BitOf(instruction.state, at);
    if (failed_[bit]) return Outcome::kFail;
    if (instruction.in_look && succeeded_[bit]) return Outcome::kMatch;
    choices_.emplace_back(Choice::Kind::kFailed, instruction.state, at);
    return Outcome::kExhausted;
  }

  // The states on the way to the success of a look-around succeed wherever it looks from.
  void RememberSuccess(size_t base) {
    if (!remembers_) return;
    for (size_t i = base; i < choices_.size(); ++i) {
      if (choices_[i].kind == Choice::Kind::kFailed) succeeded_[BitOf(choices_[i].pc, choices_[i].at)] = true;
    }
  }

  // False where the next character already rules out what begins at `pc`.
  bool MayBegin(uint32_t pc, size_t at) const {
    const PatternFirst& first = program_.firsts[pc];
    return first.any || (at < text_.size() && first.classes[ClassAt(at).value]);
  }

  // kSplit and kStar: where to go on.
  uint32_t Choose(const PatternInstruction& instruction, uint32_t pc, size_t& at) {
    if (instruction.op == Op::kSplit) {
      const bool first = MayBegin(instruction.next, at);
      if (first && MayBegin(instruction.other, at)) choices_.emplace_back(Choice::Kind::kTry, instruction.other, at);
      return first ? instruction.next : instruction.other;
    }
    const ClassBits& set = program_.sets[instruction.set];
    const size_t begin = at;
    if (remembers_) {  // one character at a time, each a state of its own
      if (!Consume(set, at)) return instruction.next;
      if (instruction.mode == Mode::kPossessive) return pc;
      if (instruction.mode == Mode::kGreedy) {
        choices_.emplace_back(Choice::Kind::kTry, instruction.next, begin);
        return pc;
      }
      choices_.emplace_back(Choice::Kind::kTry, pc, std::exchange(at, begin));
      return instruction.next;
    }
    if (instruction.mode == Mode::kLazy) {
      choices_.emplace_back(Choice::Kind::kGrow, instruction.next, at);
      return instruction.next;
    }
    while (Consume(set, at)) {
    }
    steps_ += at - begin;
    if (instruction.mode == Mode::kGreedy && at > begin) {
      choices_.emplace_back(Choice::Kind::kShrink, instruction.next, at, begin);
    }
    return instruction.next;
  }

  bool Backtrack(size_t base, uint32_t& pc, size_t& at) {
    while (choices_.size() > base) {
      Choice& choice = choices_.back();
      pc = choice.pc;
      at = choice.at;
      switch (choice.kind) {
        case Choice::Kind::kTry:
          choices_.pop_back();
          return true;
        case Choice::Kind::kShrink:
          at = BeginBefore(text_, at);
          choice.at = static_cast<uint32_t>(at);
          if (at <= choice.least) choices_.pop_back();
          return true;
        case Choice::Kind::kGrow:
          if (Consume(program_.sets[program_.code[pc - 1].set], at)) {
            choice.at = static_cast<uint32_t>(at);
            return true;
          }
          break;
        case Choice::Kind::kFailed:
          failed_[BitOf(pc, at)] = true;
          break;
      }
      choices_.pop_back();
    }
    return false;
  }

  Outcome Look(const PatternInstruction& instruction, size_t at) {
    for (uint32_t i = 0; i < instruction.behind; ++i) {
      if (at == 0) return Outcome::kFail;
      at = BeginBefore(text_, at);
    }
    steps_ += instruction.behind;
    return Run(instruction.other, at, at);
  }

  bool IsWordAt(size_t at) const { return program_.word[ClassAt(at).value]; }
  bool Holds(PatternAssert assertion, size_t at) const {
    const bool at_end = at == text_.size();
    switch (assertion) {
      case PatternAssert::kTextBegin:
        return at == 0;
      case PatternAssert::kTextEnd:
        return at_end;
      case PatternAssert::kTextEndOrLastNewline:
        return at_end || (at + 1 == text_.size() && text_[at] == '\n');
      case PatternAssert::kLineBegin:
        return at == 0 || (!at_end && text_[at - 1] == '\n');
      case PatternAssert::kLineEnd:
        return at_end || text_[at] == '\n';
      case PatternAssert::kWordBorder:
      case PatternAssert::kNoWordBorder: {
        const bool border = (at > 0 && IsWordAt(BeginBefore(text_, at))) != (!at_end && IsWordAt(at));
        return border == (assertion == PatternAssert::kWordBorder);
      }
    }
    return false;
  }

  const PatternProgram& program_;
  std::string_view text_;
  size_t earlier_bytes_ = 0;  // of the texts before
  size_t steps_ = 0;          // in all texts
  size_t allowed_steps_ = 0;
  size_t last_end_ = kNowhere;
  std::vector<Choice> choices_;
  bool remembers_ = false;
  std::vector<bool> failed_;  // by state and place, while remembering
  std::vector<bool> succeeded_;
};

}  // namespace

CompiledPattern::CompiledPattern() = default;
CompiledPattern::~CompiledPattern() = default;

Result<std::unique_ptr<const CompiledPattern>> CompiledPattern::Compile(std::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes) {
    return Error(millrace::Code::kUnsupported, "pattern of {} bytes, at most {} are taken", pattern.size(), kMaxPatternBytes);
  }
  ASSIGN_OR_RETURN(PatternSyntax syntax, ParsePattern(pattern));
  ASSIGN_OR_RETURN(PatternProgram program, BuildProgram(std::move(syntax)));
  std::unique_ptr<CompiledPattern> out(new CompiledPattern);
  out->code_ = std::make_unique<const Code>(Code{std::move(program)});
  return std::unique_ptr<const CompiledPattern>(std::move(out));
}

std::unique_ptr<CompiledPattern::Search> CompiledPattern::NewSearch(std::string_view text) const {
  auto out = std::make_unique<ProgramSearch>(code_->program);
  out->Reset(text);
  return out;
}

}  // namespace millrace::text
