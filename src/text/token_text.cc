#include "text/token_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "text/byte_alphabet.h"

namespace millrace::text {
namespace {

constexpr std::array<Replacement, 11> kWordPieceCleanUp = {{{" .", "."},
                                                            {" ?", "?"},
                                                            {" !", "!"},
                                                            {" ,", ","},
                                                            {" ' ", "'"},
                                                            {" n't", "n't"},
                                                            {" 'm", "'m"},
                                                            {" do not", " don't"},
                                                            {" 's", "'s"},
                                                            {" 've", "'ve"},
                                                            {" 're", "'re"}}};
constexpr std::array<Replacement, 10> kSpaceCleanUp = {{{" .", "."},
                                                        {" ?", "?"},
                                                        {" !", "!"},
                                                        {" ,", ","},
                                                        {" ' ", "'"},
                                                        {" n't", "n't"},
                                                        {" 'm", "'m"},
                                                        {" 's", "'s"},
                                                        {" 've", "'ve"},
                                                        {" 're", "'re"}}};

std::optional<uint8_t> HexDigit(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
  if (c >= 'A' && c <= 'F') return static_cast<uint8_t>(c - 'A' + 10);
  if (c >= 'a' && c <= 'f') return static_cast<uint8_t>(c - 'a' + 10);
  return std::nullopt;
}

// Applies step after step to the text of a token that has others on both sides.
class Middle {
 public:
  explicit Middle(std::string_view text) : text_(text) {}

  void operator()(const ByteLevelDecoder&) {
    if (auto bytes = BytesFromAlphabet(text_)) text_ = *std::move(bytes);
    fused_ = true;
  }
  void operator()(const ReplaceDecoder& step) { text_ = ReplaceAll(text_, step.from, step.to); }
  void operator()(const ByteFallbackDecoder&) {
    if (const auto byte = ByteOfToken(text_)) text_.assign(1, static_cast<char>(*byte));
  }
  void operator()(const FuseDecoder&) { fused_ = true; }
  void operator()(const StripDecoder& step) {
    if (fused_ || step.content.empty()) return;
    std::string_view rest = text_;
    for (size_t i = 0; i < step.start && rest.starts_with(step.content); ++i) rest.remove_prefix(step.content.size());
    for (size_t i = 0; i < step.stop && rest.ends_with(step.content); ++i) rest.remove_suffix(step.content.size());
    text_ = std::string(rest);
  }
  void operator()(const MetaspaceDecoder& step) {
    text_ = ReplaceAll(text_, step.replacement, fused_ && step.scheme != PrependScheme::kNever ? "" : " ");
  }
  void operator()(const WordPieceDecoder& step) {
    if (!fused_) text_ = text_.starts_with(step.prefix) ? text_.substr(step.prefix.size()) : std::string(1, ' ').append(text_);
    if (!step.clean_up) return;
    for (const auto& [from, to] : WordPieceCleanUp()) text_ = ReplaceAll(text_, from, to);
  }
  void operator()(const SuffixDecoder& step) { text_ = ReplaceAll(text_, step.suffix, fused_ ? "" : " "); }

  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
  bool fused_ = false;  // `text_` is a part of the one text that later steps see
};

// Checks step after step.
class Checker {
 public:
  Status operator()(const ByteLevelDecoder&) { return Join("ByteLevel"); }
  Status operator()(const ReplaceDecoder& step) {
    RETURN_IF_ERROR(Text("Replace", step.from));
    if (step.to.size() > kMaxDecoderText) return TooLong("Replace", step.to);
    growth_ *= std::max<size_t>(1, (step.to.size() + step.from.size() - 1) / step.from.size());
    if (growth_ <= kMaxDecoderGrowth) return {};
    return Error(Code::kUnsupported, "Replace: the text may grow more than {} times", kMaxDecoderGrowth);
  }
  Status operator()(const ByteFallbackDecoder&) {
    if (shape_ != Shape::kTokens) return Late("ByteFallback");
    shape_ = Shape::kRuns;
    return {};
  }
  Status operator()(const FuseDecoder&) {
    shape_ = Shape::kFused;
    return {};
  }
  Status operator()(const StripDecoder& step) {
    RETURN_IF_ERROR(Text("Strip", step.content));
    if (step.stop <= kMaxDecoderText) return {};
    return Error(Code::kUnsupported, "Strip: {} characters at the end, expected at most {}", step.stop, kMaxDecoderText);
  }
  Status operator()(const MetaspaceDecoder& step) { return Text("Metaspace", step.replacement); }
  Status operator()(const WordPieceDecoder& step) {
    if (step.prefix.size() > kMaxDecoderText) return TooLong("WordPiece", step.prefix);
    return shape_ == Shape::kRuns ? Late("WordPiece") : Status();
  }
  Status operator()(const SuffixDecoder& step) {
    RETURN_IF_ERROR(Text("BPEDecoder", step.suffix));
    return shape_ == Shape::kRuns ? Late("BPEDecoder") : Status();
  }

 private:
  enum class Shape : uint8_t { kTokens, kRuns, kFused };  // kRuns: tokens, of which some were put together from bytes

  Status Join(std::string_view name) {
    if (shape_ != Shape::kTokens) return Late(name);
    shape_ = Shape::kFused;
    return {};
  }
  static Status Late(std::string_view name) {
    return Error(Code::kUnsupported, "{} after a step that joins tokens, which would need the whole text first", name);
  }
  static Status TooLong(std::string_view name, std::string_view text) {
    return Error(Code::kUnsupported, "{}: a text of {} bytes, expected at most {}", name, text.size(), kMaxDecoderText);
  }
  static Status Text(std::string_view name, std::string_view text) {
    if (text.empty()) return Error(Code::kInvalidArgument, "{}: nothing to look for", name);
    return text.size() <= kMaxDecoderText ? Status() : TooLong(name, text);
  }

  Shape shape_ = Shape::kTokens;
  size_t growth_ = 1;
};

}  // namespace

Status CheckDecoders(std::span<const DecoderStep> steps) {
  if (steps.size() > kMaxDecoderSteps) {
    return Error(Code::kUnsupported, "{} decoder steps, expected at most {}", steps.size(), kMaxDecoderSteps);
  }
  Checker checker;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (Status status = std::visit(checker, steps[i]); !status.ok()) return status.Within(fmt::format("decoder step {}", i));
  }
  return {};
}

std::string TokenText(std::span<const DecoderStep> steps, std::string_view file_text) {
  if (steps.empty()) return std::string(1, ' ').append(file_text);
  Middle middle(file_text);
  for (const DecoderStep& step : steps) std::visit(middle, step);
  return middle.Take();
}

std::optional<uint8_t> ByteOfToken(std::string_view file_text) {
  if (file_text.size() != 6 || !file_text.starts_with("<0x") || file_text[5] != '>') return std::nullopt;
  const std::optional<uint8_t> high = HexDigit(file_text[3]);
  const std::optional<uint8_t> low = HexDigit(file_text[4]);
  if (!high || !low) return std::nullopt;
  return static_cast<uint8_t>(*high << 4 | *low);
}

std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  size_t done = 0;
  if (!from.empty()) {
    for (size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, done)) {
      out.append(text.substr(done, at - done)).append(to);
      done = at + from.size();
    }
  }
  return out.append(text.substr(done));
}

std::span<const Replacement> WordPieceCleanUp() { return kWordPieceCleanUp; }
std::span<const Replacement> SpaceCleanUp() { return kSpaceCleanUp; }

}  // namespace millrace::text
