#include "text/known_patterns.h"

#include <algorithm>

#include "text/code_point_table.h"

namespace millrace::text {
namespace {

// What a scanner asks of a character.
constexpr uint8_t kL = 1;
constexpr uint8_t kM = 2;
constexpr uint8_t kN = 4;
constexpr uint8_t kSpace = 8;     // \s
constexpr uint8_t kNewline = 16;  // \r \n
constexpr uint8_t kUpper = 32;    // Lu Lt Lm Lo M: what may begin a word of mixed case
constexpr uint8_t kLower = 64;    // Ll Lm Lo M: what may go on with it
constexpr uint8_t kSign = 128;    // P S

void Mark(std::vector<uint8_t>& bytes, std::string_view name, uint8_t bits) {
  const auto* found = std::ranges::find(kNamedRanges, name, &NamedRanges::name);
  for (const CodePointRange& range : found->ranges) {
    for (uint32_t code = range.first; code <= range.last; ++code) bytes[code] |= bits;
  }
}

const CodePointTable& Table() {
  static const CodePointTable table = [] {
    std::vector<uint8_t> bytes(kLastCodePoint + 1);
    for (const char* name : {"Lu", "Lt", "Lm", "Lo", "M"}) Mark(bytes, name, kUpper);
    for (const char* name : {"Ll", "Lm", "Lo", "M"}) Mark(bytes, name, kLower);
    Mark(bytes, "L", kL);
    Mark(bytes, "M", kM);
    Mark(bytes, "N", kN);
    Mark(bytes, "P", kSign);
    Mark(bytes, "S", kSign);
    for (const CodePointRange& range : kWhiteSpaceRanges) {
      for (uint32_t code = range.first; code <= range.last; ++code) bytes[code] |= kSpace;
    }
    bytes['\r'] |= kNewline;
    bytes['\n'] |= kNewline;
    return CodePointTable(bytes);
  }();
  return table;
}

struct Seen {
  uint8_t bits = 0;
  uint8_t length = 0;  // 0 at the end of the text
  bool Is(uint8_t mask) const { return (bits & mask) != 0; }
  bool IsOther(uint8_t mask) const { return length != 0 && (bits & mask) == 0; }
};

// The text under a scanner.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text), table_(Table()) {}

  char ByteAt(size_t at) const { return at < text_.size() ? text_[at] : '\0'; }
  bool HasByte(size_t at, char byte) const { return at < text_.size() && text_[at] == byte; }

  Seen At(size_t at) const {
    if (at >= text_.size()) return {};
    const auto byte = static_cast<uint8_t>(text_[at]);
    if (byte < 0x80) return {table_.OfAscii(byte), 1};
    const DecodedCodePoint code = DecodeAt(text_, at);
    return {table_.Of(code.value), static_cast<uint8_t>(code.length)};
  }

  // The end of the run of characters with any of `mask`, and of those with none of it.
  size_t SkipAll(size_t at, uint8_t mask) const {
    for (Seen seen = At(at); seen.Is(mask); seen = At(at)) at += seen.length;
    return at;
  }
  size_t SkipOther(size_t at, uint8_t mask) const {
    for (Seen seen = At(at); seen.IsOther(mask); seen = At(at)) at += seen.length;
    return at;
  }
  // The same for at most `most` characters.
  size_t SkipSome(size_t at, uint8_t mask, size_t most) const {
    for (Seen seen = At(at); most > 0 && seen.Is(mask); seen = At(at), --most) at += seen.length;
    return at;
  }

  size_t SkipNewlines(size_t at, bool slashes) const {
    while (at < text_.size() && (text_[at] == '\r' || text_[at] == '\n' || (slashes && text_[at] == '/'))) ++at;
    return at;
  }

  // 's|'t|'re|'ve|'m|'ll|'d at a "'": its end, or `at`. Folded: in either case (and 's as the long s, the one other character that folds to a letter here).
  size_t Contraction(size_t at, bool folded) const {
    if (!HasByte(at, '\'')) return at;
    const char first = Letter(at + 1, folded);
    const char second = Letter(at + 2, folded);
    switch (first) {
      case 's':
      case 't':
      case 'm':
      case 'd':
        return at + 2;
      case 'r':
      case 'v':
        return second == 'e' ? at + 3 : at;
      case 'l':
        return second == 'l' ? at + 3 : at;
      default:
        return folded && HasByte(at + 1, '\xC5') && HasByte(at + 2, '\xBF') ? at + 3 : at;
    }
  }

  // \s*[\r\n]+ if `by_newline`, \s+(?!\S), \s+ at white space.
  size_t WhiteSpace(size_t at, bool by_newline) const {
    size_t after_newline = at;
    size_t last = at;  // where the last character begins
    size_t end = at;
    for (Seen seen = At(end); seen.Is(kSpace); seen = At(end)) {
      last = end;
      end += seen.length;
      if (seen.Is(kNewline)) after_newline = end;
    }
    if (by_newline && after_newline > at) return after_newline;
    return end == text_.size() || last == at ? end : last;
  }

 private:
  char Letter(size_t at, bool folded) const {
    const char byte = ByteAt(at);
    return folded && byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte | 0x20) : byte;
  }

  std::string_view text_;
  const CodePointTable& table_;
};

enum class Contractions : uint8_t { kNone, kExact, kFolded };
// What a pattern of the family of GPT-2 is made of, in the order of its alternatives.
struct Shape {
  Contractions before = Contractions::kNone;  // as words of their own
  uint8_t word = kL;                          // the characters of a word
  bool any_prefix = true;                     // [^\r\n\p{L}\p{N}]? before a word, else ' '?
  bool cased = false;                         // words end where upper case follows lower case (kUpper, kLower)
  bool contraction_after = false;             // folded, at the end of a cased word
  bool spaced_numbers = false;                // ' '? before a number
  size_t digits = SIZE_MAX;                   // of a number, at most
  bool newlines_after = true;                 // [\r\n]* after what is no word
  bool slashes_after = false;                 // [\r\n/]*
  bool by_newline = true;                     // \s*[\r\n]+
};

// [kUpper]*[kLower]+ at `at`: its end, or `at`.
size_t CasedWord(const Reader& reader, size_t at) {
  size_t after_both = at;  // after the last character that is of both kinds
  size_t end = at;
  for (Seen seen = reader.At(end); seen.Is(kUpper); seen = reader.At(end)) {
    end += seen.length;
    if (seen.Is(kLower)) after_both = end;
  }
  const size_t lower = reader.SkipAll(end, kLower);
  return lower > end ? lower : after_both;
}

// The end of a word of mixed case at `at`, or `at`.
size_t MixedWord(const Reader& reader, size_t at, Seen first, bool contraction_after) {
  const bool prefix = first.IsOther(kL | kN | kNewline);
  const size_t after = at + first.length;
  size_t begin = prefix ? after : at;
  size_t end = CasedWord(reader, begin);
  if (end == begin && prefix) {
    begin = at;
    end = CasedWord(reader, begin);
  }
  if (end == begin && prefix) {
    begin = after;
    end = reader.SkipAll(begin, kUpper);
  }
  if (end == begin) {
    begin = at;
    end = reader.SkipAll(begin, kUpper);
  }
  if (end == begin) return at;
  return contraction_after ? reader.Contraction(end, true) : end;
}

template <Shape kShape>
size_t MatchEnd(const Reader& reader, size_t at, Seen first) {
  if constexpr (kShape.before != Contractions::kNone) {
    const size_t end = reader.Contraction(at, kShape.before == Contractions::kFolded);
    if (end > at) return end;
  }
  const size_t after = at + first.length;
  const bool space = reader.ByteAt(at) == ' ';
  if constexpr (kShape.cased) {
    const size_t end = MixedWord(reader, at, first, kShape.contraction_after);
    if (end > at) return end;
  } else {
    if (first.Is(kShape.word)) return reader.SkipAll(after, kShape.word);
    const bool prefix = kShape.any_prefix ? !first.Is(kL | kN | kNewline) : space;
    if (prefix && reader.At(after).Is(kShape.word)) return reader.SkipAll(after, kShape.word);
  }
  if (first.Is(kN)) return reader.SkipSome(at, kN, kShape.digits);
  if (kShape.spaced_numbers && space && reader.At(after).Is(kN)) return reader.SkipAll(after, kN);
  constexpr uint8_t kNoSign = kSpace | kL | kN | (kShape.word & kM);
  const size_t signs = space ? after : at;
  if (reader.At(signs).IsOther(kNoSign)) {
    const size_t end = reader.SkipOther(signs, kNoSign);
    return kShape.newlines_after ? reader.SkipNewlines(end, kShape.slashes_after) : end;
  }
  return reader.WhiteSpace(at, kShape.by_newline);
}

// Every character belongs to a match of these patterns.
template <Shape kShape>
PatternSpan Scan(std::string_view text, size_t from) {
  const Reader reader(text);
  const Seen first = reader.At(from);
  return {from, first.length == 0 ? from : MatchEnd<kShape>(reader, from, first)};
}

bool IsAsciiLetterByte(char byte) { return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z'); }

// The last of DeepSeek's three patterns. Digits alone and controls belong to no match.
PatternSpan ScanDeepSeek(std::string_view text, size_t from) {
  const Reader reader(text);
  size_t at = from;
  for (Seen first = reader.At(at); first.length != 0; at += first.length, first = reader.At(at)) {
    const size_t after = at + first.length;
    if (first.Is(kSign) && first.length == 1 && IsAsciiLetterByte(reader.ByteAt(after))) {
      size_t end = after;
      while (IsAsciiLetterByte(reader.ByteAt(end))) ++end;
      return {at, end};
    }
    const bool prefix = !first.Is(kL | kSign | kNewline);
    if (first.Is(kL | kM) || (prefix && reader.At(after).Is(kL | kM))) return {at, reader.SkipAll(after, kL | kM)};
    const size_t signs = reader.ByteAt(at) == ' ' ? after : at;
    if (reader.At(signs).Is(kSign)) return {at, reader.SkipNewlines(reader.SkipAll(signs, kSign), false)};
    if (first.Is(kSpace)) return {at, reader.WhiteSpace(at, true)};
  }
  return {at, at};
}

template <size_t kMost>
PatternSpan ScanNumber(std::string_view text, size_t from) {
  const Reader reader(text);
  const size_t begin = reader.SkipOther(from, kN);
  return {begin, reader.SkipSome(begin, kN, kMost)};
}

// [一-龥぀-ゟ゠-ヿ]+: ideographs and kana, three bytes each.
PatternSpan ScanCjk(std::string_view text, size_t from) {
  const auto is_cjk = [&](size_t at) {
    const auto lead = static_cast<uint8_t>(text[at]);
    if (lead < 0xE3 || lead > 0xE9) return false;
    const uint32_t code = DecodeAt(text, at).value;
    return (code >= 0x3040 && code <= 0x30FF) || (code >= 0x4E00 && code <= 0x9FA5);
  };
  size_t begin = from;
  while (begin < text.size() && !is_cjk(begin)) ++begin;
  size_t end = begin;
  while (end < text.size() && is_cjk(end)) end += 3;
  return {begin, std::min(end, text.size())};
}

constexpr Shape kGpt2Shape = {
    .before = Contractions::kExact, .any_prefix = false, .spaced_numbers = true, .newlines_after = false, .by_newline = false};
constexpr Shape kLlama3Shape = {.before = Contractions::kFolded, .digits = 3};
constexpr Shape kQwen2Shape = {.before = Contractions::kFolded, .digits = 1};
constexpr Shape kQwen35Shape = {.before = Contractions::kFolded, .word = kL | kM, .digits = 1};
constexpr Shape kMiniCpmShape = {.before = Contractions::kFolded};
constexpr Shape kBareShape = {.digits = 1};
constexpr Shape kO200kShape = {.cased = true, .contraction_after = true, .digits = 3, .slashes_after = true};
constexpr Shape kTekkenShape = {.cased = true, .digits = 1, .slashes_after = true};

#define MILLRACE_SUFFIX R"((?i:'s|'t|'re|'ve|'m|'ll|'d))"
#define MILLRACE_WORD R"([^\r\n\p{L}\p{N}]?\p{L}+)"
#define MILLRACE_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define MILLRACE_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define MILLRACE_REST R"(\s*[\r\n]+|\s+(?!\S)|\s+)"
#define MILLRACE_SIGNS R"( ?[^\s\p{L}\p{N}]+[\r\n]*|)" MILLRACE_REST

constexpr KnownPattern kKnownPatterns[] = {
    {kGpt2Pattern, Scan<kGpt2Shape>},
    {MILLRACE_SUFFIX "|" MILLRACE_WORD R"(|\p{N}{1,3}|)" MILLRACE_SIGNS, Scan<kLlama3Shape>},
    {MILLRACE_SUFFIX "|" MILLRACE_WORD R"(|\p{N}|)" MILLRACE_SIGNS, Scan<kQwen2Shape>},
    {MILLRACE_SUFFIX R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" MILLRACE_REST,
     Scan<kQwen35Shape>},
    {MILLRACE_SUFFIX "|" MILLRACE_WORD R"(|\p{N}+|)" MILLRACE_SIGNS, Scan<kMiniCpmShape>},
    {MILLRACE_WORD R"(|\p{N}|)" MILLRACE_SIGNS, Scan<kBareShape>},
    {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
     Scan<kLlama3Shape>},
    {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
     Scan<kQwen2Shape>},
    {R"([^\r\n\p{L}\p{N}]?)" MILLRACE_UPPER "*" MILLRACE_LOWER "+" MILLRACE_SUFFIX R"(?|[^\r\n\p{L}\p{N}]?)" MILLRACE_UPPER
     "+" MILLRACE_LOWER "*" MILLRACE_SUFFIX R"(?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" MILLRACE_REST,
     Scan<kO200kShape>},
    {R"([^\r\n\p{L}\p{N}]?)" MILLRACE_UPPER "*" MILLRACE_LOWER R"(+|[^\r\n\p{L}\p{N}]?)" MILLRACE_UPPER "+" MILLRACE_LOWER
     R"(*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" MILLRACE_REST,
     Scan<kTekkenShape>},
    {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^)"
     "\r\n"
     R"(\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[)"
     "\r\n"
     R"(]*|\s*[)"
     "\r\n"
     R"(]+|\s+(?!\S)|\s+)",
     ScanDeepSeek},
    {R"(\p{N})", ScanNumber<1>},
    {R"(\p{N}{1,3})", ScanNumber<3>},
    {R"(\p{N}+)", ScanNumber<SIZE_MAX>},
    {"[一-龥぀-ゟ゠-ヿ]+", ScanCjk},
};

#undef MILLRACE_SUFFIX
#undef MILLRACE_WORD
#undef MILLRACE_UPPER
#undef MILLRACE_LOWER
#undef MILLRACE_REST
#undef MILLRACE_SIGNS

}  // namespace

std::span<const KnownPattern> KnownPatterns() { return kKnownPatterns; }

PatternScanner FindScanner(std::string_view pattern) {
  const auto* found = std::ranges::find(kKnownPatterns, pattern, &KnownPattern::pattern);
  return found == std::end(kKnownPatterns) ? nullptr : found->scan;
}

}  // namespace millrace::text
