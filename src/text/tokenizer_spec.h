// What a model file says about turning text into tokens and back, in no file's format. The model layer fills it from tokenizer.json or from
// GGUF metadata; Vocabulary (what each id stands for) and Tokenizer (text to ids and back) check it and compile it.
//
// The steps are those of the Python package `tokenizers`, which is the reference for what each of them does:
//   text -> normalizers -> pre-tokenizers -> model -> post-processing (prefix, suffix) -> ids;   ids -> decoders -> text
// Added tokens are taken out of the text around the normalizers.
//
// "File text" of a token is its spelling in the model file: bytes in the GPT-2 alphabet ("Ġthe"), SentencePiece's "▁the", "##ing".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/types.h"

namespace millrace::text {

enum class TokenType : uint8_t {
  kNormal,       // made by the model from text
  kUnknown,      // stands for text that has no token; handled like kControl
  kControl,      // "<|im_start|>": steers the model, is not text
  kUserDefined,  // matched in the text as it stands, and is text
  kUnused,       // padding of the table; never encoded
  kByte,         // file text "<0xHH>": one byte
};

// A text to look for, or a regular expression (Oniguruma's syntax as far as text/pattern.h knows it).
struct Pattern {
  std::string text;
  bool is_regex = false;
};

// ---- Normalizers: text to text.
struct UnicodeForm {
  enum class Form : uint8_t { kNfc, kNfd, kNfkc, kNfkd };
  Form form = Form::kNfc;
};
struct Lowercase {};
struct StripAccents {};  // removes nonspacing marks (Mn)
struct StripSpace {
  bool left = true;
  bool right = true;
};
struct ReplaceText {
  Pattern pattern;
  std::string content;
};
struct PrependText {  // not to empty text
  std::string content;
};
struct BertNormalizer {
  bool clean_text = true;             // controls away, white space to ' '
  bool handle_chinese_chars = true;   // spaces around ideographs
  std::optional<bool> strip_accents;  // nothing: as `lowercase`
  bool lowercase = true;
};
struct NmtNormalizer {};  // controls away, odd spaces to ' '
// SentencePiece's compiled rules ("precompiled_charsmap"): uint32 size of a double-array trie, the trie, then NUL-terminated replacements.
struct CompiledRules {
  std::string rules;
  // True: whole grapheme clusters of less than six bytes first, then code points (`tokenizers`). False: longest prefix (SentencePiece).
  bool by_grapheme = false;
};
// SentencePiece's own white-space rules: `remove_extra`: runs of spaces become one, none at either end.
struct SentencePieceSpaces {
  bool remove_extra = false;
};
using NormalizerStep = std::variant<UnicodeForm, Lowercase, StripAccents, StripSpace, ReplaceText, PrependText, BertNormalizer,
                                    NmtNormalizer, CompiledRules, SentencePieceSpaces>;

// ---- Pre-tokenizers: text to pieces, within which the model works. Each step cuts every piece of the step before.
enum class PrependScheme : uint8_t { kNever, kFirst, kAlways };  // kFirst: only where the text begins, not after an added token
enum class SplitBehavior : uint8_t { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
struct ByteLevelSplit {
  bool add_prefix_space = false;
  bool use_regex = true;  // cut by the pattern of GPT-2
};
struct WhitespaceSplit {};  // at white space, which is dropped
struct WordSplit {};        // "Whitespace" of `tokenizers`: matches of \w+|[^\w\s]+
struct MetaspaceSplit {     // ' ' to `replacement`, one put in front by `scheme`; cut in front of each where `split`
  std::string replacement = "▁";
  PrependScheme scheme = PrependScheme::kAlways;
  bool split = true;
};
struct PatternSplit {
  Pattern pattern;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;
};
struct DigitsSplit {
  bool individual = false;
};
struct PunctuationSplit {
  SplitBehavior behavior = SplitBehavior::kIsolated;
};
struct DelimiterSplit {  // one code point, dropped
  std::string delimiter;
};
struct BertSplit {};  // white space dropped, punctuation isolated
using PreTokenizerStep = std::variant<ByteLevelSplit, WhitespaceSplit, WordSplit, MetaspaceSplit, PatternSplit, DigitsSplit,
                                      PunctuationSplit, DelimiterSplit, BertSplit>;

// ---- Models: a piece to ids.
struct Merge {
  std::string both;         // file texts of left and right, one after the other
  uint32_t left_bytes = 0;  // where the right one begins
};
// Merges by rank. A merge makes the token whose file text is left + right, without `continuing_prefix` at the start of right.
struct BpeModel {
  std::vector<Merge> merges;      // best first
  bool byte_level = false;        // symbols are bytes in the GPT-2 alphabet; else code points
  bool ignore_merges = false;     // a piece that is a token is taken whole
  bool byte_fallback = false;     // a code point without a token becomes its "<0xHH>" tokens
  bool fuse_unknown = false;      // neighbouring unknown code points become one unknown token
  std::string continuing_prefix;  // "##": in front of every symbol of a piece but the first
  std::string end_suffix;         // "</w>": after the last symbol of a piece
};
// SentencePiece's BPE: two neighbours whose joined text is a token merge, the highest score first, leftmost of equals. Unused tokens take part
// and are taken apart again at the end. Unknown code points become bytes where the vocabulary has them, else the unknown token.
struct ScoredBpeModel {
  std::vector<float> scores;  // by id
};
// The most probable cut (Viterbi over the sum of scores). Unknown code points cost the lowest score - 10; neighbouring ones are one token.
struct UnigramModel {
  std::vector<double> scores;  // by id; those of tokens that are not the model's count for nothing
  bool byte_fallback = false;
};
// Longest prefix first; a piece with a part that is no token, or of more than `max_characters` code points, is the unknown token.
struct WordPieceModel {
  std::string continuing_prefix = "##";
  size_t max_characters = 100;
};
struct WordLevelModel {};  // a piece is a token or unknown
using ModelSpec = std::variant<BpeModel, ScoredBpeModel, UnigramModel, WordPieceModel, WordLevelModel>;

// ---- Decoders: what a token's file text stands for. Steps before `Fuse` see one token, those after it the whole text.
struct ByteLevelDecoder {};
struct ReplaceDecoder {
  std::string from;
  std::string to;
};
struct ByteFallbackDecoder {};
struct FuseDecoder {};
struct StripDecoder {  // of each token, after Fuse of the text: up to `start` and `stop` times `content` at its ends
  std::string content = " ";
  size_t start = 0;
  size_t stop = 0;
};
struct MetaspaceDecoder {  // `replacement` to ' '; the first token loses one in front unless `scheme` is kNever
  std::string replacement = "▁";
  PrependScheme scheme = PrependScheme::kAlways;
};
struct WordPieceDecoder {  // tokens without `prefix` get a space in front, but for the first
  std::string prefix = "##";
  bool clean_up = true;  // " ." to "." and the like, within a token
};
struct SuffixDecoder {  // "</w>" to ' ', at the last token to nothing
  std::string suffix = "</w>";
};
using DecoderStep = std::variant<ByteLevelDecoder, ReplaceDecoder, ByteFallbackDecoder, FuseDecoder, StripDecoder,
                                 MetaspaceDecoder, WordPieceDecoder, SuffixDecoder>;

// How an added token (type kControl, kUnknown or kUserDefined) is found in text. Tokens of those types that are not listed have the defaults.
struct AddedToken {
  TokenId id = kNoToken;
  bool single_word = false;  // not next to a word character
  bool lstrip = false;       // takes the white space on its left along
  bool rstrip = false;       // and on its right
  bool normalized = false;   // looked for in normalized text, by its own normalized text
  bool in_model = false;     // the model's own vocabulary has it too: text that reaches the model may become it
};

struct TokenizerSpec {
  std::vector<std::string> tokens;     // file text by id
  std::vector<TokenType> token_types;  // one for each token, or empty: all kNormal
  std::vector<AddedToken> added;
  std::vector<NormalizerStep> normalizers;
  std::vector<PreTokenizerStep> pre_tokenizers;
  ModelSpec model;
  std::vector<DecoderStep> decoders;
  std::vector<TokenId> prefix;   // put in front of a text (beginning of sequence, [CLS]) where special tokens are asked for
  std::vector<TokenId> suffix;   // and after it ([SEP], end of sequence of encoder models)
  bool clean_up_spaces = false;  // decoded text loses the spaces of " ." " ," " n't" and the like (clean_up_tokenization_spaces)
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  std::optional<TokenId> unk;
  std::optional<TokenId> pad;
  std::vector<TokenId> end_of_sequence;  // every id that ends an answer; `eos` is added when it is not among them
};

}  // namespace millrace::text
