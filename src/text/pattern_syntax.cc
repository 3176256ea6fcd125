#include "text/pattern_syntax.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/utf8.h"

namespace millrace::text {
namespace {

using Kind = PatternNode::Kind;
using Mode = PatternNode::Mode;

constexpr int kMaxDepth = 32;     // groups and classes within each other
constexpr size_t kMaxSets = 400;  // different sets of one pattern
constexpr uint32_t kMaxRepeat = 1000;
constexpr char32_t kEnd = 0xFFFFFFFF;

bool IsAsciiLetter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDecimalDigit(char32_t c) { return c >= '0' && c <= '9'; }

std::optional<uint32_t> HexValue(char32_t c) {
  if (IsDecimalDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

uint32_t SaturatingAdd(uint32_t a, uint32_t b) { return a > kUnbounded - b ? kUnbounded : a + b; }
uint32_t SaturatingMultiply(uint32_t a, uint32_t b) {
  if (a == 0 || b == 0) return 0;
  return a > kUnbounded / b ? kUnbounded : a * b;
}

CodePointSet NotNewline() {
  CodePointSet out('\n', '\n');
  out.Complement();
  return out;
}

// The class of \d, \s, \w, \h. Oniguruma's \w holds a few more characters where it stands alone.
std::optional<CodePointSet> ShorthandClass(char32_t lower, bool in_brackets) {
  switch (lower) {
    case 'd':
      return CodePointSet(kNdRanges);
    case 's':
      return CodePointSet(kWhiteSpaceRanges);
    case 'w':
      return in_brackets ? CodePointSet(kClassWordRanges) : CodePointSet(kWordRanges);
    case 'h': {
      static constexpr CodePointRange kHexDigits[] = {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};
      return CodePointSet(kHexDigits);
    }
    default:
      return std::nullopt;
  }
}

// The character that an escape of a letter stands for.
std::optional<char32_t> ControlEscape(char32_t c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    case 'f':
      return '\f';
    case 'a':
      return '\a';
    case 'e':
      return 0x1B;
    default:
      return std::nullopt;
  }
}

// An escape or a plain character: one code point or a set of them.
struct Item {
  std::optional<char32_t> single;
  CodePointSet set;
};

class Parser {
 public:
  Parser(std::string_view pattern, std::vector<char32_t> characters) : pattern_(pattern), characters_(std::move(characters)) {}

  Result<PatternSyntax> Parse() {
    ASSIGN_OR_RETURN(const uint32_t root, ParseAlternatives());
    (void)root;  // made last
    if (at_ < characters_.size()) return Fail("')' without '('");
    return std::move(out_);
  }

 private:
  char32_t Peek(size_t ahead = 0) const { return at_ + ahead < characters_.size() ? characters_[at_ + ahead] : kEnd; }
  bool Take(char32_t c) {
    if (Peek() != c) return false;
    ++at_;
    return true;
  }
  bool TakeAll(std::u32string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (Peek(i) != text[i]) return false;
    }
    at_ += text.size();
    return true;
  }

  Status FailAt(size_t at, std::string_view what) const {
    return Error(Code::kUnsupported, "pattern '{}', character {}: {}", pattern_, at + 1, what);
  }
  Status Fail(std::string_view what) const { return FailAt(at_, what); }

  uint32_t Add(PatternNode node) {
    out_.nodes.push_back(std::move(node));
    return static_cast<uint32_t>(out_.nodes.size() - 1);
  }
  const PatternNode& NodeAt(uint32_t index) const { return out_.nodes[index]; }

  Result<uint32_t> AddSet(CodePointSet set) {
    if (set.empty()) return Fail("a class without any character");
    const auto found = std::ranges::find(out_.sets, set);
    const auto index = static_cast<uint32_t>(found - out_.sets.begin());
    if (found == out_.sets.end()) {
      if (out_.sets.size() == kMaxSets) return Fail("more than 400 different classes");
      out_.sets.push_back(std::move(set));
    }
    return Add({.kind = Kind::kSet, .set = index, .children = {}, .shortest = 1, .longest = 1});
  }

  uint32_t AddSequence(std::vector<uint32_t> items) {
    if (items.size() == 1) return items.front();
    PatternNode node{.kind = Kind::kSequence, .children = std::move(items)};
    for (const uint32_t child : node.children) {
      node.shortest = SaturatingAdd(node.shortest, NodeAt(child).shortest);
      node.longest = SaturatingAdd(node.longest, NodeAt(child).longest);
    }
    return Add(std::move(node));
  }

  // The parser nests as deep as groups do, and no deeper than kMaxDepth.
  Result<uint32_t> ParseAlternatives() {
    if (depth_ == kMaxDepth) return Fail("groups nested more than 32 deep");
    ++depth_;
    PatternNode node{.kind = Kind::kAlternatives, .children = {}};
    do {
      ASSIGN_OR_RETURN(const uint32_t sequence, ParseSequence());
      node.children.push_back(sequence);
    } while (Take('|'));
    --depth_;
    node.shortest = kUnbounded;
    for (const uint32_t child : node.children) {
      node.shortest = std::min(node.shortest, NodeAt(child).shortest);
      node.longest = std::max(node.longest, NodeAt(child).longest);
    }
    return Add(std::move(node));
  }

  Result<uint32_t> ParseSequence() {
    std::vector<uint32_t> items;
    char32_t before = kEnd;  // the letter before, where case does not count
    while (Peek() != kEnd && Peek() != '|' && Peek() != ')') {
      if (fold_) {
        RETURN_IF_ERROR(RefuseFoldedPair(before, Peek()));
        before = IsAsciiLetter(Peek()) ? Peek() : kEnd;
      }
      const bool on = Peek() == '(' && Peek(1) == '?' && Peek(2) == 'i' && Peek(3) == ')';
      if (on) {  // to the end of the group, its further alternatives included
        at_ += 4;
        const bool outer = std::exchange(fold_, true);
        ASSIGN_OR_RETURN(const uint32_t rest, ParseAlternatives());
        fold_ = outer;
        items.push_back(rest);
        break;
      }
      ASSIGN_OR_RETURN(const uint32_t item, ParseRepeat());
      items.push_back(item);
    }
    return AddSequence(std::move(items));
  }

  // "ss" matches U+00DF where case does not count, and so on: two characters for one, which nothing here can do.
  Status RefuseFoldedPair(char32_t first, char32_t second) const {
    if (first == kEnd || !IsAsciiLetter(second)) return Status();
    const char pair[] = {static_cast<char>(first | 0x20), static_cast<char>(second | 0x20)};
    static constexpr std::string_view kPairs[] = {"ss", "st", "ff", "fi", "fl"};
    if (std::ranges::find(kPairs, std::string_view(pair, 2)) == std::end(kPairs)) return Status();
    return Fail("letters that fold to one character under (?i)");
  }

  Result<uint32_t> ParseRepeat() {
    const size_t begin = at_;
    ASSIGN_OR_RETURN(uint32_t item, ParseAtom());
    PatternNode node{.kind = Kind::kRepeat, .children = {item}};
    bool interval = false;
    ASSIGN_OR_RETURN(const bool repeats, ParseBounds(node, interval));
    if (!repeats) return item;
    const bool fixed = node.min == node.max;
    if (interval && fixed && Peek() == '?') return Fail("'{n}?', whose meaning differs between engines");
    if (Take('?')) node.mode = Mode::kLazy;
    const bool again = interval && node.mode == Mode::kGreedy && Take('+');
    if (!interval && node.mode == Mode::kGreedy && Take('+')) node.mode = Mode::kPossessive;
    if (Peek() == '*' || Peek() == '+' || Peek() == '?' || Peek() == '{') return Fail("a repeat of a repeat");
    ASSIGN_OR_RETURN(item, AddRepeat(begin, std::move(node)));
    if (!again) return item;
    // In this syntax x{1,3}+ is (?:x{1,3})+, not a possessive one.
    return AddRepeat(begin, {.kind = Kind::kRepeat, .children = {item}, .min = 1});
  }

  Result<uint32_t> AddRepeat(size_t begin, PatternNode node) {
    const PatternNode& body = NodeAt(node.children.front());
    if (body.kind == Kind::kLook || body.kind == Kind::kAssert) return FailAt(begin, "a repeat of what matches no character");
    if (body.shortest == 0 && node.max > 1) return FailAt(begin, "a repeat of what may be empty");
    node.shortest = SaturatingMultiply(body.shortest, node.min);
    node.longest = SaturatingMultiply(body.longest, node.max);
    return Add(std::move(node));
  }

  // True when a repeat begins here.
  Result<bool> ParseBounds(PatternNode& node, bool& interval) {
    if (Take('*')) return true;
    if (Take('+')) {
      node.min = 1;
      return true;
    }
    if (Take('?')) {
      node.max = 1;
      return true;
    }
    if (Peek() != '{') return false;
    const size_t begin = at_++;
    interval = true;
    const bool has_min = IsDecimalDigit(Peek());
    ASSIGN_OR_RETURN(node.min, ParseNumber());
    node.max = node.min;
    bool has_max = has_min;
    if (Take(',')) {
      has_max = IsDecimalDigit(Peek());
      ASSIGN_OR_RETURN(node.max, ParseNumber());
      if (!has_max) node.max = kUnbounded;
    }
    if (!Take('}') || (!has_min && !has_max)) return FailAt(begin, "expected {n}, {n,}, {n,m} or {,m}");
    if (node.max < node.min) return FailAt(begin, "a repeat whose most is below its least");
    return true;
  }

  Result<uint32_t> ParseNumber() {
    uint32_t value = 0;
    while (IsDecimalDigit(Peek())) {
      value = value * 10 + (Peek() - '0');
      if (value > kMaxRepeat) return Fail("a repeat of more than 1000");
      ++at_;
    }
    return value;
  }

  Result<uint32_t> ParseAtom() {
    switch (Peek()) {
      case '(':
        return ParseGroup();
      case '[': {
        ++at_;
        ASSIGN_OR_RETURN(CodePointSet set, ParseClass());
        return AddSet(std::move(set));
      }
      case '.':
        ++at_;
        return AddSet(NotNewline());
      case '^':
        ++at_;
        return AddAssert(PatternAssert::kLineBegin);
      case '$':
        ++at_;
        return AddAssert(PatternAssert::kLineEnd);
      case '*':
      case '+':
      case '?':
        return Fail("nothing to repeat");
      case '{':
        return Fail("'{' that is no repeat; write '\\{'");
      case '\\':
        if (const auto assertion = AssertOf(Peek(1))) {
          at_ += 2;
          return AddAssert(*assertion);
        }
        break;
      default:
        break;
    }
    const size_t begin = at_;
    ASSIGN_OR_RETURN(Item item, ParseItem(false));
    CodePointSet set = item.single ? CodePointSet(*item.single, *item.single) : std::move(item.set);
    RETURN_IF_ERROR(Fold(begin, set));
    return AddSet(std::move(set));
  }

  static std::optional<PatternAssert> AssertOf(char32_t escape) {
    switch (escape) {
      case 'A':
        return PatternAssert::kTextBegin;
      case 'z':
        return PatternAssert::kTextEnd;
      case 'Z':
        return PatternAssert::kTextEndOrLastNewline;
      case 'b':
        return PatternAssert::kWordBorder;
      case 'B':
        return PatternAssert::kNoWordBorder;
      default:
        return std::nullopt;
    }
  }
  uint32_t AddAssert(PatternAssert assertion) { return Add({.kind = Kind::kAssert, .children = {}, .assertion = assertion}); }

  Result<uint32_t> ParseGroup() {
    const size_t begin = at_++;
    PatternNode node{.kind = Kind::kSequence, .children = {}};
    const bool outer = fold_;
    if (Peek() == '?') {
      if (TakeAll(U"?=") || TakeAll(U"?!")) {
        node.kind = Kind::kLook;
      } else if (TakeAll(U"?<=") || TakeAll(U"?<!")) {
        node.kind = Kind::kLook;
        node.behind = true;
      } else if (TakeAll(U"?>")) {
        node.kind = Kind::kAtomic;
      } else if (TakeAll(U"?i:")) {
        fold_ = true;
      } else if (TakeAll(U"?-i:")) {
        fold_ = false;
      } else if (!TakeAll(U"?:")) {
        return FailAt(begin, "expected a group '(', '(?:', '(?i:', '(?-i:', '(?>', '(?=', '(?!', '(?<=' or '(?<!'");
      }
      node.negative = characters_[at_ - 1] == '!';
    }
    ASSIGN_OR_RETURN(const uint32_t body, ParseAlternatives());
    fold_ = outer;
    if (!Take(')')) return FailAt(begin, "'(' without ')'");
    if (node.kind == Kind::kSequence) return body;
    if (node.behind) RETURN_IF_ERROR(CheckBehind(begin, NodeAt(body)));
    if (node.kind == Kind::kAtomic) {
      node.shortest = NodeAt(body).shortest;
      node.longest = NodeAt(body).longest;
    }
    node.children = {body};
    return Add(std::move(node));
  }

  Status CheckBehind(size_t begin, const PatternNode& body) const {
    for (const uint32_t alternative : body.children) {
      if (NodeAt(alternative).shortest != NodeAt(alternative).longest) return FailAt(begin, "a look-behind of no fixed length");
    }
    return Status();
  }

  // After '['. Classes nest as deep as kMaxDepth.
  Result<CodePointSet> ParseClass() {
    const size_t begin = at_ - 1;
    if (depth_ == kMaxDepth) return Fail("classes nested more than 32 deep");
    ++depth_;
    const bool negative = Take('^');
    std::optional<CodePointSet> all;  // what stands before &&
    CodePointSet part;
    bool part_empty = true;
    for (; !Take(']'); part_empty = false) {
      if (Peek() == kEnd) return FailAt(begin, "'[' without ']'");
      if (Peek() == '&' && Peek(1) == '&') {
        if (part_empty) return Fail("expected a class before '&&'");
        at_ += 2;
        if (all) part.KeepOnly(*all);
        all = std::exchange(part, {});
        if (Peek() == ']' || Peek() == '&') return Fail("expected a class after '&&'");
        continue;
      }
      RETURN_IF_ERROR(ParseClassPart(part_empty && !all, part));
    }
    if (part_empty) return FailAt(begin, "an empty class");
    if (all) part.KeepOnly(*all);
    --depth_;
    if (negative) part.Complement();
    return part;
  }

  Status ParseClassPart(bool first, CodePointSet& part) {
    if (Take('[')) {
      if (Peek() == ':') return Fail("a POSIX bracket");
      ASSIGN_OR_RETURN(const CodePointSet inner, ParseClass());
      part.Add(inner);
      return Status();
    }
    const size_t begin = at_;
    const bool dash = Peek() == '-';
    if (dash && !(first && Peek(1) != '-') && Peek(1) != ']') return Fail("'-' that is no range; write '\\-'");
    ASSIGN_OR_RETURN(Item item, ParseItem(true));
    const bool range = Peek() == '-' && Peek(1) != ']' && Peek(1) != kEnd;
    if (!range) {
      CodePointSet set = item.single ? CodePointSet(*item.single, *item.single) : std::move(item.set);
      RETURN_IF_ERROR(Fold(begin, set));
      part.Add(set);
      return Status();
    }
    if (!item.single || dash) return FailAt(begin, "a range that begins with a class");
    ++at_;
    if (Peek() == '[' || (Peek() == '&' && Peek(1) == '&')) return Fail("expected the end of a range");
    ASSIGN_OR_RETURN(const Item last, ParseItem(true));
    if (!last.single) return FailAt(begin, "a range that ends with a class");
    if (*last.single < *item.single) return FailAt(begin, "a range that ends before it begins");
    CodePointSet set(*item.single, *last.single);
    RETURN_IF_ERROR(Fold(begin, set));
    part.Add(set);
    return Status();
  }

  Result<Item> ParseItem(bool in_brackets) {
    if (Peek() != '\\') return Item{.single = characters_[at_++], .set = {}};
    const size_t begin = at_++;
    const char32_t c = Peek();
    if (c == kEnd) return FailAt(begin, "'\\' at the end");
    ++at_;
    if (c < 0x80 && !IsAsciiLetter(c) && !IsDecimalDigit(c) && c >= ' ') return Item{.single = c, .set = {}};
    if (const auto control = ControlEscape(c)) return Item{.single = *control, .set = {}};
    if (c == 'p' || c == 'P') return ParseProperty(begin, c == 'P');
    if (c == 'x' || c == 'u') return ParseHex(begin, c);
    if (c < 0x80) {
      if (auto shorthand = ShorthandClass(c | 0x20, in_brackets)) {
        if ((c & 0x20) == 0) shorthand->Complement();
        return Item{.single = std::nullopt, .set = *std::move(shorthand)};
      }
    }
    return FailAt(begin, "an escape that is not understood");
  }

  // \xHH below 80, \x{H..}, \uHHHH.
  Result<Item> ParseHex(size_t begin, char32_t kind) {
    const bool braces = kind == 'x' && Take('{');
    const size_t most = braces ? 6 : kind == 'x' ? 2 : 4;
    uint32_t value = 0;
    size_t digits = 0;
    for (; digits < most && HexValue(Peek()); ++digits, ++at_) value = value * 16 + *HexValue(Peek());
    const bool surrogate = value >= 0xD800 && value < 0xE000;
    const bool complete = digits > 0 && (kind == 'x' || digits == 4) && (!braces || Take('}'));
    if (!complete || surrogate || value > kLastCodePoint)
      return FailAt(begin, "expected \\xHH, \\x{H..} or \\uHHHH of a code point");
    if (kind == 'x' && !braces && value >= 0x80) return FailAt(begin, "a byte that is no character");
    return Item{.single = value, .set = {}};
  }

  Result<Item> ParseProperty(size_t begin, bool negative) {
    if (!Take('{')) return FailAt(begin, "expected \\p{..}");
    if (Take('^')) negative = !negative;
    std::string name;
    for (; Peek() != '}'; ++at_) {
      if (Peek() >= 0x80) return FailAt(begin, "expected the name of a property");
      const char c = static_cast<char>(Peek());
      if (c != ' ' && c != '_' && c != '-') name += static_cast<char>(IsAsciiLetter(Peek()) ? c | 0x20 : c);
    }
    ++at_;
    const auto found = std::ranges::find_if(kNamedRanges, [&](const NamedRanges& entry) {
      return std::ranges::equal(entry.name, name, [](char a, char b) { return (a | 0x20) == b; });
    });
    if (found == std::end(kNamedRanges))
      return FailAt(begin, fmt::format("the property '{}', which this build does not know", name));
    Item out{.single = std::nullopt, .set = CodePointSet(found->ranges)};
    if (negative) out.set.Complement();
    return out;
  }

  // Adds the other case of ASCII letters where case does not count; beyond ASCII only what has no case is taken.
  Status Fold(size_t begin, CodePointSet& set) const {
    if (!fold_) return Status();
    CodePointSet caseless(0, 0x7F);
    caseless.Add(CodePointSet(kPRanges));
    caseless.Add(CodePointSet(kZRanges));
    CodePointSet kept = set;
    kept.KeepOnly(caseless);
    if (!(kept == set)) return FailAt(begin, "a class or a letter beyond ASCII under (?i)");
    for (char32_t c = 'a'; c <= 'z'; ++c) {
      const char32_t upper = c - 0x20;
      if (!set.Contains(c) && !set.Contains(upper)) continue;
      set.Add(CodePointSet(c, c));
      set.Add(CodePointSet(upper, upper));
      if (c == 's') set.Add(CodePointSet(0x17F, 0x17F));    // long s
      if (c == 'k') set.Add(CodePointSet(0x212A, 0x212A));  // kelvin sign
    }
    return Status();
  }

  const std::string_view pattern_;
  const std::vector<char32_t> characters_;
  size_t at_ = 0;
  int depth_ = 0;
  bool fold_ = false;
  PatternSyntax out_;
};

}  // namespace

Result<PatternSyntax> ParsePattern(std::string_view pattern) {
  std::vector<char32_t> characters;
  for (size_t at = 0; at < pattern.size();) {
    const std::optional<CodePoint> code = Utf8Decode(pattern.substr(at));
    if (!code) return Error(Code::kInvalidArgument, "pattern '{}': ill-formed UTF-8 at byte {}", Utf8Sanitize(pattern), at);
    characters.push_back(code->value);
    at += code->length;
  }
  Parser parser(pattern, std::move(characters));
  return parser.Parse();
}

}  // namespace millrace::text
