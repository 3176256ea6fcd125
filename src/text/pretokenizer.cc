#include "text/pretokenizer.h"

#include <algorithm>
#include <optional>

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/code_point_table.h"
#include "text/known_patterns.h"
#include "text/pretokenizer_pass.h"
#include "text/text_search.h"

namespace millrace::text {
namespace {

using Pass = PreTokenizerPass;
using Piece = PreTokenizerPiece;

// What the steps without a pattern ask of a character.
constexpr uint8_t kDigit = 1;
constexpr uint8_t kPunctuation = 2;
constexpr uint8_t kSpace = 4;
constexpr uint8_t kWord = 8;  // of WordSplit

const CodePointTable& StepTable() {
  static const CodePointTable table = [] {
    std::vector<uint8_t> bytes(kLastCodePoint + 1);
    const auto mark = [&](std::span<const CodePointRange> ranges, uint8_t bit) {
      for (const CodePointRange& range : ranges) {
        for (uint32_t code = range.first; code <= range.last; ++code) bytes[code] |= bit;
      }
    };
    mark(kDigitsStepRanges, kDigit);
    mark(kPunctuationStepRanges, kPunctuation);
    mark(kWhiteSpaceRanges, kSpace);
    mark(kWhitespaceStepWordRanges, kWord);
    return CodePointTable(bytes);
  }();
  return table;
}

struct Kind {
  uint8_t bits;
  uint32_t length;
};
Kind KindAt(const CodePointTable& table, std::string_view text, size_t at) {
  const auto byte = static_cast<uint8_t>(text[at]);
  if (byte < 0x80) return {table.OfAscii(byte), 1};
  const DecodedCodePoint code = DecodeAt(text, at);
  return {table.Of(code.value), code.length};
}

// Every character of one kind is a match.
class CharacterStep : public PreTokenizer::Step {
 public:
  CharacterStep(uint8_t mask, SplitBehavior behavior) : mask_(mask), behavior_(behavior) {}

  bool Cut(Pass& pass, size_t index, const Piece& piece) const override {
    const CodePointTable& table = StepTable();
    PieceAssembler parts(pass, index + 1, piece, behavior_);
    size_t done = 0;
    for (size_t at = 0; at < piece.text.size();) {
      const Kind kind = KindAt(table, piece.text, at);
      const size_t end = at + kind.length;
      if ((kind.bits & mask_) != 0) {
        if (done < at && !parts.Add(done, at, false)) return false;
        if (!parts.Add(at, end, true)) return false;
        done = end;
      }
      at = end;
    }
    return (done == piece.text.size() || parts.Add(done, piece.text.size(), false)) && parts.Finish();
  }

 private:
  const uint8_t mask_;
  const SplitBehavior behavior_;
};

// \w+|[^\w\s]+, the rest dropped.
class WordStep final : public PreTokenizer::Step {
 public:
  bool Cut(Pass& pass, size_t index, const Piece& piece) const override {
    const CodePointTable& table = StepTable();
    size_t begin = 0;
    uint8_t before = 0;  // kWord, kSpace or neither
    for (size_t at = 0; at < piece.text.size();) {
      const Kind kind = KindAt(table, piece.text, at);
      const uint8_t now = kind.bits & (kWord | kSpace);
      if (at > begin && now != before) {
        if (before != kSpace && !pass.HandPart(index + 1, piece, begin, at)) return false;
        begin = at;
      }
      before = now;
      at += kind.length;
    }
    return before == kSpace || pass.HandPart(index + 1, piece, begin, piece.text.size());
  }
};

// Fixed text is a match; so is each place between characters when that text is empty, which PatternStep does.
class TextStep final : public PreTokenizer::Step {
 public:
  TextStep(std::string text, SplitBehavior behavior, bool invert)
      : search_(std::move(text)), behavior_(behavior), invert_(invert) {}

  bool Cut(Pass& pass, size_t index, const Piece& piece) const override {
    PieceAssembler parts(pass, index + 1, piece, behavior_);
    size_t done = 0;
    for (size_t at = search_.Find(piece.text, 0); at != std::string_view::npos; at = search_.Find(piece.text, done)) {
      if (done < at && !parts.Add(done, at, invert_)) return false;
      done = at + search_.size();
      if (!parts.Add(at, done, !invert_)) return false;
    }
    return (done == piece.text.size() || parts.Add(done, piece.text.size(), invert_)) && parts.Finish();
  }

 private:
  const TextSearch search_;
  const SplitBehavior behavior_;
  const bool invert_;
};

class ScannerStep final : public PreTokenizer::Step {
 public:
  ScannerStep(PatternScanner scan, SplitBehavior behavior, bool invert) : scan_(scan), behavior_(behavior), invert_(invert) {}

  bool Cut(Pass& pass, size_t index, const Piece& piece) const override {
    PieceAssembler parts(pass, index + 1, piece, behavior_);
    size_t done = 0;
    while (done < piece.text.size()) {
      const PatternSpan match = scan_(piece.text, done);
      if (match.end <= match.begin) break;
      if (done < match.begin && !parts.Add(done, match.begin, invert_)) return false;
      if (!parts.Add(match.begin, match.end, !invert_)) return false;
      done = match.end;
    }
    return (done == piece.text.size() || parts.Add(done, piece.text.size(), invert_)) && parts.Finish();
  }

 private:
  const PatternScanner scan_;
  const SplitBehavior behavior_;
  const bool invert_;
};

class PatternStep final : public PreTokenizer::Step {
 public:
  PatternStep(std::unique_ptr<const CompiledPattern> pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  bool Cut(Pass& pass, size_t index, const Piece& piece) const override {
    std::unique_ptr<CompiledPattern::Search>& search = pass.ScratchOf(index).search;
    if (search == nullptr) {
      search = pattern_->NewSearch(piece.text);
    } else {
      search->Reset(piece.text);
    }
    PieceAssembler parts(pass, index + 1, piece, behavior_);
    size_t done = 0;
    while (true) {
      auto match = search->Next(done);
      if (!match.ok()) return pass.Fail(match.status());
      if (!match->has_value()) break;
      const auto [begin, end] = **match;
      if (done < begin && !parts.Add(done, begin, invert_)) return false;
      if (!parts.Add(begin, end, !invert_)) return false;
      done = end;
    }
    return (done == piece.text.size() || parts.Add(done, piece.text.size(), invert_)) && parts.Finish();
  }

 private:
  const std::unique_ptr<const CompiledPattern> pattern_;
  const SplitBehavior behavior_;
  const bool invert_;
};

// A space in front, where there is none.
class PrefixSpaceStep final : public PreTokenizer::Step {
 public:
  bool Cut(Pass& pass, size_t index, const Piece& piece) const override {
    if (piece.text.front() == ' ') return pass.Hand(index + 1, piece);
    std::string& scratch = pass.ScratchOf(index).text;
    scratch.assign(1, ' ');
    scratch += piece.text;
    return pass.Hand(index + 1, {scratch, piece.first_bytes == 0 ? 0 : piece.first_bytes + 1});
  }
};

class MetaspaceStep final : public PreTokenizer::Step {
 public:
  explicit MetaspaceStep(MetaspaceSplit step) : step_(std::move(step)) {}

  bool Cut(Pass& pass, size_t index, const Piece& piece) const override {
    const std::string& mark = step_.replacement;
    std::string& scratch = pass.ScratchOf(index).text;
    scratch.clear();
    const bool wanted =
        step_.scheme == PrependScheme::kAlways || (step_.scheme == PrependScheme::kFirst && piece.first_bytes > 0);
    if (wanted && piece.text.front() != ' ' && !piece.text.starts_with(mark)) scratch = mark;
    AppendMarked(piece.text.substr(0, piece.first_bytes), scratch);
    const size_t first_bytes = piece.first_bytes == 0 ? 0 : scratch.size();
    AppendMarked(piece.text.substr(std::min(piece.first_bytes, piece.text.size())), scratch);
    const Piece marked{scratch, first_bytes};
    return step_.split ? CutBeforeMarks(pass, index, marked) : pass.Hand(index + 1, marked);
  }

 private:
  void AppendMarked(std::string_view text, std::string& out) const {
    for (size_t at = 0; at < text.size();) {
      const size_t space = std::min(text.find(' ', at), text.size());
      out += text.substr(at, space - at);
      if (space < text.size()) out += step_.replacement;
      at = space + 1;
    }
  }

  bool CutBeforeMarks(Pass& pass, size_t index, const Piece& piece) const {
    const std::string& mark = step_.replacement;
    const std::string_view text = piece.text;
    for (size_t begin = 0; begin < text.size();) {
      const size_t after = text.substr(begin).starts_with(mark) ? begin + mark.size() : begin;
      const size_t end = std::min(text.find(mark, after), text.size());
      if (!pass.HandPart(index + 1, piece, begin, end)) return false;
      begin = end;
    }
    return true;
  }

  const MetaspaceSplit step_;
};

// Steps after a byte-level one see its alphabet, in which a byte of "٣" may be a digit of its own; they cut what AlphabetStep makes, and BytesStep
// gives the bytes back, which need not be whole characters then.
class AlphabetStep final : public PreTokenizer::Step {
 public:
  bool Cut(Pass& pass, size_t index, const Piece& piece) const override {
    std::string& scratch = pass.ScratchOf(index).text;
    scratch = AlphabetFromBytes(piece.text);
    return pass.Hand(index + 1, {scratch, 0});  // nothing after this asks for the first character
  }
};

class BytesStep final : public PreTokenizer::Step {
 public:
  bool Cut(Pass& pass, size_t index, const Piece& piece) const override {
    std::optional<std::string> bytes = BytesFromAlphabet(piece.text);
    if (!bytes) return pass.Fail(Error(Code::kInternal, "pre-tokenizer: '{}' is not in the alphabet of bytes", piece.text));
    std::string& scratch = pass.ScratchOf(index).text;
    scratch = *std::move(bytes);
    return pass.Hand(index + 1, {scratch, 0});
  }
};

using Steps = std::vector<std::unique_ptr<const PreTokenizer::Step>>;

// Adds the compiled form of one step.
struct Compiler {
  Steps& steps;

  Status operator()(const ByteLevelSplit& step) const {
    if (step.add_prefix_space) steps.push_back(std::make_unique<PrefixSpaceStep>());
    if (step.use_regex)
      steps.push_back(std::make_unique<ScannerStep>(FindScanner(kGpt2Pattern), SplitBehavior::kIsolated, false));
    return Status();
  }
  Status operator()(const WhitespaceSplit&) const {
    steps.push_back(std::make_unique<CharacterStep>(kSpace, SplitBehavior::kRemoved));
    return Status();
  }
  Status operator()(const WordSplit&) const {
    steps.push_back(std::make_unique<WordStep>());
    return Status();
  }
  Status operator()(const MetaspaceSplit& step) const {
    RETURN_IF_ERROR(ExpectOneCharacter(step.replacement, "Metaspace: replacement"));
    steps.push_back(std::make_unique<MetaspaceStep>(step));
    return Status();
  }
  Status operator()(const PatternSplit& step) const {
    const std::string& text = step.pattern.text;
    if (text.size() > kMaxPatternBytes) {
      return Error(Code::kUnsupported, "Split: a pattern of {} bytes, at most {} are taken", text.size(), kMaxPatternBytes);
    }
    if (!step.pattern.is_regex && !text.empty()) {
      steps.push_back(std::make_unique<TextStep>(text, step.behavior, step.invert));
    } else if (const PatternScanner scan = FindScanner(text)) {
      steps.push_back(std::make_unique<ScannerStep>(scan, step.behavior, step.invert));
    } else {
      auto pattern = CompiledPattern::Compile(text);
      if (!pattern.ok()) return pattern.status().Within("Split");
      steps.push_back(std::make_unique<PatternStep>(std::move(*pattern), step.behavior, step.invert));
    }
    return Status();
  }
  Status operator()(const DigitsSplit& step) const {
    steps.push_back(
        std::make_unique<CharacterStep>(kDigit, step.individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous));
    return Status();
  }
  Status operator()(const PunctuationSplit& step) const {
    steps.push_back(std::make_unique<CharacterStep>(kPunctuation, step.behavior));
    return Status();
  }
  Status operator()(const DelimiterSplit& step) const {
    RETURN_IF_ERROR(ExpectOneCharacter(step.delimiter, "CharDelimiterSplit: delimiter"));
    steps.push_back(std::make_unique<TextStep>(step.delimiter, SplitBehavior::kRemoved, false));
    return Status();
  }
  Status operator()(const BertSplit&) const {
    steps.push_back(std::make_unique<CharacterStep>(kSpace, SplitBehavior::kRemoved));
    steps.push_back(std::make_unique<CharacterStep>(kPunctuation, SplitBehavior::kIsolated));
    return Status();
  }

  static Status ExpectOneCharacter(std::string_view text, std::string_view what) {
    const std::optional<CodePoint> code = Utf8Decode(text);
    if (code && code->length == text.size()) return Status();
    return Error(Code::kInvalidArgument, "{} '{}', expected one character", what, Utf8Sanitize(text));
  }
};

}  // namespace

PreTokenizer::PreTokenizer() = default;
PreTokenizer::~PreTokenizer() = default;

Result<std::unique_ptr<const PreTokenizer>> PreTokenizer::Create(std::span<const PreTokenizerStep> steps) {
  if (steps.size() > kMaxPreTokenizerSteps) {
    return Error(Code::kUnsupported, "{} pre-tokenizer steps, at most {} are taken", steps.size(), kMaxPreTokenizerSteps);
  }
  std::unique_ptr<PreTokenizer> out(new PreTokenizer);
  bool in_alphabet = false;
  for (size_t i = 0; i < steps.size(); ++i) {
    const bool byte_level = std::holds_alternative<ByteLevelSplit>(steps[i]);
    if (in_alphabet && (byte_level || std::holds_alternative<MetaspaceSplit>(steps[i]))) {
      return Error(Code::kUnsupported, "pre-tokenizer step {}: {} after ByteLevel", i + 1,
                   byte_level ? "ByteLevel" : "Metaspace");
    }
    const Status status = std::visit(Compiler{out->steps_}, steps[i]);
    if (!status.ok()) return status.Within(fmt::format("pre-tokenizer step {}", i + 1));
    if (!byte_level || i + 1 == steps.size()) continue;
    in_alphabet = true;
    out->steps_.push_back(std::make_unique<AlphabetStep>());
  }
  if (in_alphabet) out->steps_.push_back(std::make_unique<BytesStep>());
  return std::unique_ptr<const PreTokenizer>(std::move(out));
}

Status PreTokenizer::SplitWith(std::string_view text, bool at_start, Take take, void* context) const {
  if (text.empty()) return Status();
  PreTokenizerPass pass(steps_, take, context);
  pass.Hand(0, {text, at_start ? DecodeAt(text, 0).length : 0});
  return pass.status();
}

}  // namespace millrace::text
