#include "text/pattern_program.h"

#include <algorithm>
#include <map>
#include <utility>

namespace millrace::text {
namespace {

using Kind = PatternNode::Kind;
using Mode = PatternNode::Mode;
using Op = PatternInstruction::Op;

constexpr size_t kMaxInstructions = 20000;

class Builder {
 public:
  Builder(const PatternSyntax& syntax, PatternProgram& program) : syntax_(syntax), program_(program) {}

  Status Build() {
    RETURN_IF_ERROR(Emit(static_cast<uint32_t>(syntax_.nodes.size() - 1)));
    Append({.op = Op::kAccept});
    if (program_.code.size() > kMaxInstructions) return TooLarge();
    return Status();
  }

 private:
  static Status TooLarge() {
    return Error(Code::kUnsupported, "pattern: its repeats written out are more than {} instructions", kMaxInstructions);
  }
  uint32_t Here() const { return static_cast<uint32_t>(program_.code.size()); }
  uint32_t Append(PatternInstruction instruction) {
    instruction.in_look = in_look_;
    instruction.next = Here() + 1;
    const bool chooses = instruction.op == Op::kStar || instruction.op == Op::kSplit || instruction.op == Op::kAtomic;
    if (chooses) instruction.state = program_.states++;
    program_.code.push_back(instruction);
    return Here() - 1;
  }
  PatternInstruction& At(uint32_t index) { return program_.code[index]; }

  // Nests as deep as the tree, whose depth the parser bounds.
  Status Emit(uint32_t index) {
    if (program_.code.size() > kMaxInstructions) return TooLarge();
    const PatternNode& node = syntax_.nodes[index];
    switch (node.kind) {
      case Kind::kSet:
        Append({.op = Op::kSet, .set = node.set});
        return Status();
      case Kind::kSequence:
        for (const uint32_t child : node.children) RETURN_IF_ERROR(Emit(child));
        return Status();
      case Kind::kAlternatives:
        return EmitAlternatives(node);
      case Kind::kRepeat:
        return EmitRepeat(node);
      case Kind::kAtomic:
        return EmitAtomicGroup(node);
      case Kind::kLook:
        return EmitLook(node);
      case Kind::kAssert:
        Append({.op = Op::kAssert, .assertion = node.assertion});
        return Status();
    }
    return Status();
  }

  Status EmitAlternatives(const PatternNode& node) {
    std::vector<uint32_t> jumps;
    for (size_t i = 0; i < node.children.size(); ++i) {
      const bool last = i + 1 == node.children.size();
      const uint32_t split = last ? 0 : Append({.op = Op::kSplit});
      RETURN_IF_ERROR(Emit(node.children[i]));
      if (last) break;
      jumps.push_back(Append({.op = Op::kJump}));
      At(split).other = Here();
    }
    for (const uint32_t jump : jumps) At(jump).next = Here();
    return Status();
  }

  // (?>x+) of one class is x++, which is the cheaper one.
  Status EmitAtomicGroup(const PatternNode& node) {
    const PatternNode& body = syntax_.nodes[node.children.front()];
    if (body.children.size() == 1 && syntax_.nodes[body.children.front()].kind == Kind::kRepeat) {
      PatternNode repeat = syntax_.nodes[body.children.front()];
      if (repeat.mode == Mode::kGreedy) {
        repeat.mode = Mode::kPossessive;
        return EmitRepeat(repeat);
      }
    }
    return EmitAtomic([&] { return Emit(node.children.front()); });
  }

  template <typename Body>
  Status EmitAtomic(Body body) {
    const uint32_t atomic = Append({.op = Op::kAtomic});
    const bool outer = std::exchange(in_look_, false);
    At(atomic).other = Here();
    RETURN_IF_ERROR(body());
    Append({.op = Op::kAccept});
    in_look_ = outer;
    At(atomic).next = Here();
    return Status();
  }

  Status EmitRepeat(const PatternNode& node) {
    const bool single = syntax_.nodes[node.children.front()].kind == Kind::kSet;
    const bool star_only = single && node.max == kUnbounded;
    if (node.mode == Mode::kPossessive && !star_only) {
      PatternNode greedy = node;
      greedy.mode = Mode::kGreedy;
      return EmitAtomic([&] { return EmitRepeat(greedy); });
    }
    for (uint32_t i = 0; i < node.min; ++i) RETURN_IF_ERROR(Emit(node.children.front()));
    if (star_only) {
      Append({.op = Op::kStar, .mode = node.mode, .set = syntax_.nodes[node.children.front()].set});
      return Status();
    }
    return node.max == kUnbounded ? EmitLoop(node) : EmitOptional(node);
  }

  // A split chooses between going on into the body and leaving; a lazy one leaves first.
  void Aim(uint32_t split, Mode mode, uint32_t body, uint32_t leave) {
    At(split).next = mode == Mode::kLazy ? leave : body;
    At(split).other = mode == Mode::kLazy ? body : leave;
  }

  Status EmitLoop(const PatternNode& node) {
    const uint32_t split = Append({.op = Op::kSplit});
    RETURN_IF_ERROR(Emit(node.children.front()));
    const uint32_t jump = Append({.op = Op::kJump});
    At(jump).next = split;
    Aim(split, node.mode, split + 1, Here());
    return Status();
  }

  Status EmitOptional(const PatternNode& node) {
    std::vector<uint32_t> splits;
    for (uint32_t i = node.min; i < node.max; ++i) {
      splits.push_back(Append({.op = Op::kSplit}));
      RETURN_IF_ERROR(Emit(node.children.front()));
    }
    for (const uint32_t split : splits) Aim(split, node.mode, split + 1, Here());
    return Status();
  }

  // A look-behind is one look for each of its alternatives, each of which has one length.
  Status EmitLook(const PatternNode& node) {
    const PatternNode& body = syntax_.nodes[node.children.front()];
    if (!node.behind) return EmitOneLook(node, node.children.front(), 0);
    if (node.negative) {
      for (const uint32_t child : body.children) RETURN_IF_ERROR(EmitOneLook(node, child, syntax_.nodes[child].longest));
      return Status();
    }
    std::vector<uint32_t> jumps;
    for (size_t i = 0; i < body.children.size(); ++i) {
      const bool last = i + 1 == body.children.size();
      const uint32_t split = last ? 0 : Append({.op = Op::kSplit});
      RETURN_IF_ERROR(EmitOneLook(node, body.children[i], syntax_.nodes[body.children[i]].longest));
      if (last) break;
      jumps.push_back(Append({.op = Op::kJump}));
      At(split).other = Here();
    }
    for (const uint32_t jump : jumps) At(jump).next = Here();
    return Status();
  }

  Status EmitOneLook(const PatternNode& node, uint32_t body, uint32_t behind) {
    const uint32_t look = Append({.op = Op::kLook, .negative = node.negative, .behind = behind});
    const bool outer = std::exchange(in_look_, true);
    At(look).other = Here();
    RETURN_IF_ERROR(Emit(body));
    Append({.op = Op::kAccept});
    in_look_ = outer;
    At(look).next = Here();
    return Status();
  }

  const PatternSyntax& syntax_;
  PatternProgram& program_;
  bool in_look_ = false;
};

// Fills in the classes and each set's share of them.
Status BuildClasses(const std::vector<CodePointSet>& sets, PatternProgram& program) {
  std::vector<uint32_t> borders = {0, kLastCodePoint + 1};
  for (const CodePointSet& set : sets) {
    for (const CodePointRange& range : set.ranges()) {
      borders.push_back(range.first);
      borders.push_back(range.last + 1);
    }
  }
  std::ranges::sort(borders);
  borders.erase(std::unique(borders.begin(), borders.end()), borders.end());

  std::vector<uint8_t> class_of(kLastCodePoint + 1);
  std::map<std::vector<bool>, size_t> class_of_membership;
  program.sets.resize(sets.size());
  for (size_t i = 0; i + 1 < borders.size(); ++i) {
    std::vector<bool> membership(sets.size());
    for (size_t s = 0; s < sets.size(); ++s) membership[s] = sets[s].Contains(borders[i]);
    const size_t next = class_of_membership.size();
    const size_t found = class_of_membership.try_emplace(membership, next).first->second;
    if (found == ClassBits().size())
      return Error(Code::kUnsupported, "pattern: it tells more than 256 kinds of characters apart");
    for (size_t s = 0; s < sets.size(); ++s) program.sets[s][found] = membership[s];
    std::fill(class_of.begin() + borders[i], class_of.begin() + borders[i + 1], static_cast<uint8_t>(found));
  }
  program.classes = CodePointTable(class_of);
  return Status();
}

// What follows an instruction in the program, assertions and looks taken to hold. An atomic group may end anywhere.
PatternFirst FirstOf(const PatternProgram& program, const PatternInstruction& instruction) {
  switch (instruction.op) {
    case Op::kAccept:
      return {.classes = {}, .any = true};
    case Op::kSet:
      return {.classes = program.sets[instruction.set]};
    case Op::kAtomic:
      return program.firsts[instruction.other];
    case Op::kStar:
    case Op::kSplit:
    case Op::kJump:
    case Op::kAssert:
    case Op::kLook:
      break;
  }
  PatternFirst out = program.firsts[instruction.next];
  if (instruction.op == Op::kStar) out.classes |= program.sets[instruction.set];
  if (instruction.op == Op::kSplit) {
    out.classes |= program.firsts[instruction.other].classes;
    out.any = out.any || program.firsts[instruction.other].any;
  }
  return out;
}

// Backwards, again as long as loops bring something new.
void FindFirsts(PatternProgram& program) {
  program.firsts.resize(program.code.size());
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = program.code.size(); i-- > 0;) {
      PatternFirst first = FirstOf(program, program.code[i]);
      if (first == program.firsts[i]) continue;
      program.firsts[i] = first;
      changed = true;
    }
  }
}

}  // namespace

Result<PatternProgram> BuildProgram(PatternSyntax syntax) {
  PatternProgram program;
  Builder builder(syntax, program);
  RETURN_IF_ERROR(builder.Build());
  // Borders of words and lines tell these apart too.
  syntax.sets.emplace_back(kWordRanges);
  syntax.sets.emplace_back('\n', '\n');
  RETURN_IF_ERROR(BuildClasses(syntax.sets, program));
  program.word = program.sets[program.sets.size() - 2];
  FindFirsts(program);
  return program;
}

}  // namespace millrace::text
