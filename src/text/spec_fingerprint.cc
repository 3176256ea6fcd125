#include "text/spec_fingerprint.h"

#include <bit>
#include <string_view>
#include <type_traits>

#include "base/hash.h"

namespace millrace::text {
namespace {

// Chains FNV-1a over fields; every text and list goes in with its length, so that fields cannot run into each other.
class Hasher {
 public:
  template <typename... Fields>
  void All(const Fields&... fields) {
    (Add(fields), ...);
  }

  template <typename T>
    requires std::is_integral_v<T> || std::is_enum_v<T>
  void Add(T number) {
    char bytes[8];
    const auto wide = static_cast<uint64_t>(number);
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(wide >> (8 * i));
    hash_ = Fnv1a(std::string_view(bytes, sizeof(bytes)), hash_);
  }
  void Add(float number) { Add(std::bit_cast<uint32_t>(number)); }
  void Add(double number) { Add(std::bit_cast<uint64_t>(number)); }
  void Add(const std::string& text) {
    Add(text.size());
    hash_ = Fnv1a(std::string_view(text), hash_);
  }
  template <typename T>
  void Add(const std::vector<T>& list) {
    Add(list.size());
    for (const T& item : list) Add(item);
  }
  template <typename T>
  void Add(const std::optional<T>& item) {
    Add(item.has_value());
    if (item) Add(*item);
  }
  template <typename... T>
  void Add(const std::variant<T...>& step) {
    Add(step.index());
    std::visit([this](const auto& chosen) { this->Add(chosen); }, step);
  }

  void Add(const Pattern& p) { All(p.text, p.is_regex); }
  void Add(const UnicodeForm& s) { Add(s.form); }
  void Add(const Lowercase&) {}
  void Add(const StripAccents&) {}
  void Add(const StripSpace& s) { All(s.left, s.right); }
  void Add(const ReplaceText& s) { All(s.pattern, s.content); }
  void Add(const PrependText& s) { Add(s.content); }
  void Add(const BertNormalizer& s) { All(s.clean_text, s.handle_chinese_chars, s.strip_accents, s.lowercase); }
  void Add(const NmtNormalizer&) {}
  void Add(const CompiledRules& s) { All(s.rules, s.by_grapheme); }
  void Add(const SentencePieceSpaces& s) { Add(s.remove_extra); }

  void Add(const ByteLevelSplit& s) { All(s.add_prefix_space, s.use_regex); }
  void Add(const WhitespaceSplit&) {}
  void Add(const WordSplit&) {}
  void Add(const MetaspaceSplit& s) { All(s.replacement, s.scheme, s.split); }
  void Add(const PatternSplit& s) { All(s.pattern, s.behavior, s.invert); }
  void Add(const DigitsSplit& s) { Add(s.individual); }
  void Add(const PunctuationSplit& s) { Add(s.behavior); }
  void Add(const DelimiterSplit& s) { Add(s.delimiter); }
  void Add(const BertSplit&) {}

  void Add(const Merge& m) { All(m.both, m.left_bytes); }
  void Add(const BpeModel& m) {
    All(m.merges, m.byte_level, m.ignore_merges, m.byte_fallback, m.fuse_unknown, m.continuing_prefix, m.end_suffix);
  }
  void Add(const ScoredBpeModel& m) { Add(m.scores); }
  void Add(const UnigramModel& m) { All(m.scores, m.byte_fallback); }
  void Add(const WordPieceModel& m) { All(m.continuing_prefix, m.max_characters); }
  void Add(const WordLevelModel&) {}

  void Add(const ByteLevelDecoder&) {}
  void Add(const ReplaceDecoder& s) { All(s.from, s.to); }
  void Add(const ByteFallbackDecoder&) {}
  void Add(const FuseDecoder&) {}
  void Add(const StripDecoder& s) { All(s.content, s.start, s.stop); }
  void Add(const MetaspaceDecoder& s) { All(s.replacement, s.scheme); }
  void Add(const WordPieceDecoder& s) { All(s.prefix, s.clean_up); }
  void Add(const SuffixDecoder& s) { Add(s.suffix); }

  void Add(const AddedToken& t) { All(t.id, t.single_word, t.lstrip, t.rstrip, t.normalized, t.in_model); }

  uint64_t hash() const { return hash_; }

 private:
  uint64_t hash_ = kFnvSeed;
};

}  // namespace

uint64_t SpecFingerprint(const TokenizerSpec& spec, const std::vector<TokenId>& end_of_sequence) {
  Hasher hasher;
  hasher.Add(spec.tokens);
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    hasher.Add(spec.token_types.empty() ? TokenType::kNormal : spec.token_types[id]);
  }
  hasher.All(spec.added, spec.normalizers, spec.pre_tokenizers, spec.model, spec.decoders, spec.prefix, spec.suffix,
             spec.clean_up_spaces, spec.bos, spec.eos, spec.unk, spec.pad, end_of_sequence);
  return hasher.hash();
}

}  // namespace millrace::text
