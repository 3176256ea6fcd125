#include "model/gguf_pretokenizers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <string>

namespace millrace::model {
namespace {

using text::BertSplit;
using text::ByteLevelSplit;
using text::DigitsSplit;
using text::NormalizerStep;
using text::PatternSplit;
using text::PreTokenizerStep;
using text::PunctuationSplit;
using text::SplitBehavior;

using Steps = std::vector<PreTokenizerStep>;

// Parts of patterns that many share, each spelled as in the files.
#define SUFFIX R"((?i:'s|'t|'re|'ve|'m|'ll|'d))"
#define PREFIX R"([^\r\n\p{L}\p{N}]?)"
#define UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define UPPER_NOT_HAN R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]])"
#define LOWER_NOT_HAN R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]])"
#define SPACES R"(\s+(?!\S)|\s+)"
#define REST R"(\s*[\r\n]+|)" SPACES
#define SIGNS R"( ?[^\s\p{L}\p{N}]+[\r\n]*|)"

constexpr char kGpt2[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|)" SPACES;
constexpr char kLlama3[] = SUFFIX "|" PREFIX R"(\p{L}+|\p{N}{1,3}|)" SIGNS REST;
constexpr char kQwen2[] = SUFFIX "|" PREFIX R"(\p{L}+|\p{N}|)" SIGNS REST;
constexpr char kQwen35[] = SUFFIX "|" PREFIX R"([\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" REST;
constexpr char kMiniCpm5[] = SUFFIX "|" PREFIX R"(\p{L}+|\p{N}+|)" SIGNS REST;
constexpr char kUfakzeka[] = PREFIX R"(\p{L}+|\p{N}|)" SIGNS REST;
constexpr char kO200k[] =
    PREFIX UPPER "*" LOWER "+" SUFFIX "?|" PREFIX UPPER "+" LOWER "*" SUFFIX R"(?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" REST;
constexpr char kYoutu[] =
    PREFIX UPPER "*" LOWER "+" SUFFIX "?|" PREFIX UPPER "+" LOWER "*" SUFFIX R"(?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" REST;
constexpr char kTekken[] = PREFIX UPPER "*" LOWER "+|" PREFIX UPPER "+" LOWER R"(*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" REST;
constexpr char kKimi[] = R"([\p{Han}]+|)" PREFIX UPPER_NOT_HAN "*" LOWER_NOT_HAN "+" SUFFIX "?|" PREFIX UPPER_NOT_HAN
                         "+" LOWER_NOT_HAN "*" SUFFIX R"(?|\p{N}{1,3}|)" SIGNS REST;
constexpr char kBailing[] =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|)" SPACES;
constexpr char kSeedCoder[] = SUFFIX "|" PREFIX R"(\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N})"
                                     "\r\n"
                                     R"(]+|\s*[)"
                                     "\r\n"
                                     R"(]+|)" SPACES;
constexpr char kJais2[] = SUFFIX
    "|" PREFIX R"(\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|)"
    R"(\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})";
constexpr char kExaoneMoe[] =
    SUFFIX "|" PREFIX R"((?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|)" SPACES;
constexpr char kBloom[] = R"( ?[^(\s|[.,!?…。，、।۔،])]+)";
constexpr char kDeepSeek3[] = R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^)"
                              "\r\n"
                              R"(\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[)"
                              "\r\n"
                              R"(]*|\s*[)"
                              "\r\n"
                              R"(]+|)" SPACES;
constexpr char kSpark[] = R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^)"
                          "\r\n"
                          R"(\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[)"
                          "\r\n"
                          R"(]|)" SPACES;
constexpr char kCjk[] = "[一-龥぀-ゟ゠-ヿ]+";
constexpr char kCjkAndHangul[] = "[一-龥ࠀ-一가-퟿]+";
// Letters of scripts with two cases, as DeepSeek's first models list them.
constexpr char kCasedScripts[] =
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-)"
    R"(\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-)"
    R"(\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA})"
    R"(\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-)"
    R"(\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-)"
    R"(\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-)"
    R"(\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128})"
    R"(\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-)"
    R"(\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F})"
    R"(\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-)"
    R"(\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0})"
    R"(-\x{118DF}\x{1E900}-\x{1E943}]+)";

#undef SUFFIX
#undef PREFIX
#undef UPPER
#undef LOWER
#undef UPPER_NOT_HAN
#undef LOWER_NOT_HAN
#undef SPACES
#undef REST
#undef SIGNS

PatternSplit Isolated(std::string_view pattern) { return {.pattern = {.text = std::string(pattern), .is_regex = true}}; }

// Each pattern cuts in turn; the bytes follow.
Steps Patterns(std::initializer_list<std::string_view> patterns) {
  Steps out;
  for (const std::string_view pattern : patterns) out.emplace_back(Isolated(pattern));
  out.emplace_back(ByteLevelSplit{.use_regex = false});
  return out;
}

Steps Gpt2() { return {ByteLevelSplit{}}; }
Steps DigitsThenGpt2() { return {DigitsSplit{.individual = true}, ByteLevelSplit{}}; }
Steps Llama3() { return Patterns({kLlama3}); }
Steps Qwen2() { return Patterns({kQwen2}); }
Steps Qwen35() { return Patterns({kQwen35}); }
Steps O200k() { return Patterns({kO200k}); }
Steps Bloom() { return Patterns({kBloom}); }
Steps Bailing() { return Patterns({kBailing}); }
Steps DeepSeek3() { return Patterns({R"(\p{N}{1,3})", kCjk, kDeepSeek3}); }

Steps Default() { return Patterns({R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}); }

Steps Falcon() {
  return {PunctuationSplit{.behavior = SplitBehavior::kContiguous}, ByteLevelSplit{}, DigitsSplit{}, Isolated("[0-9][0-9][0-9]")};
}

Steps DeepSeekLlm() {
  return {
      Isolated("[\r\n]"),      Isolated(kCasedScripts),         Isolated("\\s?[!-/:-~！-／：-～‘-‟　-。]+"), Isolated("\\s+$"),
      Isolated(kCjkAndHangul), DigitsSplit{.individual = true}, ByteLevelSplit{.use_regex = false}};
}

Steps DeepSeekCoder() {
  return {Isolated("[\r\n]"),      Isolated("\\s?\\p{L}+"),         Isolated("\\s?\\p{P}+"),
          Isolated(kCjkAndHangul), DigitsSplit{.individual = true}, ByteLevelSplit{.use_regex = false}};
}

Steps Chameleon() {
  return {Isolated("<sentinel:[0-9]+>"),
          Isolated("(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"),
          Isolated(R"(([\t\n]|    |  ))"),
          DigitsSplit{.individual = true},
          PunctuationSplit{},
          ByteLevelSplit{}};
}

// Spaces are "▁" by then, so that this cuts nothing; the file says so all the same.
Steps Gemma() { return {PatternSplit{.pattern = {.text = " "}, .behavior = SplitBehavior::kMergedWithPrevious}}; }

enum class Normal : uint8_t { kNone, kNfc, kSpaceMarks };
enum class Whole : uint8_t { kNo, kYes };

struct Entry {
  Steps (*steps)();
  Normal normal;
  Whole ignore_merges;
  std::vector<std::string_view> names;
};

const std::vector<Entry>& Entries() {
  static const std::vector<Entry> entries = {
      {Default, Normal::kNone, Whole::kNo, {"default"}},
      {Gpt2,
       Normal::kNone,
       Whole::kNo,
       {"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "jina-v1-en", "jina-v2-code", "roberta-bpe",
        "gigachat", "a.x-4.0", "mellum", "exaone4", "jais", "trillion", "granite-docling"}},
      {Gpt2, Normal::kNfc, Whole::kNo, {"mpt", "olmo", "modern-bert"}},
      {DigitsThenGpt2,
       Normal::kNone,
       Whole::kNo,
       {"starcoder", "refact", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"}},
      {DigitsThenGpt2, Normal::kNfc, Whole::kNo, {"command-r"}},
      {Llama3,
       Normal::kNone,
       Whole::kYes,
       {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano", "glm4",
        "glm5"}},
      {Llama3, Normal::kNone, Whole::kNo, {"dbrx", "smaug-bpe", "chatglm-bpe"}},
      {Qwen2, Normal::kNfc, Whole::kNo, {"qwen2", "deepseek-r1-qwen"}},
      {Qwen2, Normal::kNone, Whole::kNo, {"stablelm2", "kormo", "f2llmv2", "megrez", "hunyuan", "solar-open", "grok-2"}},
      {Qwen35, Normal::kNfc, Whole::kNo, {"qwen35"}},
      {[] { return Patterns({kUfakzeka}); }, Normal::kNone, Whole::kNo, {"ufakzeka"}},
      {[] { return Patterns({R"(\p{N}{1,3})", kMiniCpm5}); }, Normal::kNone, Whole::kYes, {"minicpm5"}},
      {[] { return Patterns({"[^\\n]+|[\\n]+", kQwen2}); }, Normal::kNone, Whole::kNo, {"laguna"}},
      {O200k, Normal::kNone, Whole::kNo, {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}},
      {O200k, Normal::kNone, Whole::kYes, {"granite-embed-multi-97m"}},
      {[] { return Patterns({R"(\d{1,3}(?=(?:\d{3})*\b))", kO200k}); }, Normal::kNone, Whole::kNo, {"tiny_aya", "cohere2moe"}},
      {[] {
         return Patterns(
             {"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+", kYoutu});
       },
       Normal::kNone,
       Whole::kYes,
       {"youtu"}},
      {[] { return Patterns({kTekken}); }, Normal::kNone, Whole::kYes, {"tekken"}},
      {[] { return Patterns({kKimi}); }, Normal::kNone, Whole::kYes, {"kimi-k2"}},
      {DeepSeekLlm, Normal::kNone, Whole::kNo, {"deepseek-llm"}},
      {DeepSeekCoder, Normal::kNone, Whole::kNo, {"deepseek-coder"}},
      {DeepSeek3, Normal::kNone, Whole::kNo, {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"}},
      {[] { return Patterns({R"(\p{N}{1,3})", kCjk, kSpark, R"(\p{N})"}); }, Normal::kNone, Whole::kNo, {"spark2_5"}},
      {Falcon, Normal::kNone, Whole::kNo, {"falcon"}},
      {Bloom, Normal::kNone, Whole::kNo, {"bloom", "poro-chat", "gpt3-finnish"}},
      {[] { return Patterns({kBloom, R"(\p{N})"}); }, Normal::kNone, Whole::kNo, {"viking"}},
      {Bailing, Normal::kNone, Whole::kNo, {"bailingmoe", "bailingmoe2", "llada-moe"}},
      {[] { return Patterns({kSeedCoder}); }, Normal::kNone, Whole::kNo, {"seed-coder"}},
      {[] { return Patterns({kJais2}); }, Normal::kNone, Whole::kNo, {"jais-2"}},
      {[] { return Patterns({kExaoneMoe}); }, Normal::kNone, Whole::kNo, {"exaone-moe"}},
      {[] { return Patterns({R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}); }, Normal::kNone, Whole::kNo, {"superbpe"}},
      {Chameleon, Normal::kNone, Whole::kNo, {"chameleon"}},
      {Gemma, Normal::kSpaceMarks, Whole::kNo, {"gemma4", "granite-embed-multi-311m", "sarvam-moe"}},
  };
  return entries;
}

std::vector<NormalizerStep> NormalizersOf(Normal normal) {
  switch (normal) {
    case Normal::kNone:
      return {};
    case Normal::kNfc:
      return {text::UnicodeForm{text::UnicodeForm::Form::kNfc}};
    case Normal::kSpaceMarks:
      return {text::ReplaceText{.pattern = {.text = " "}, .content = "▁"}};
  }
  return {};
}

}  // namespace

Result<GgufTextSteps> TextStepsOfGguf(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Entry& entry : Entries()) {
    if (std::ranges::find(entry.names, name) != entry.names.end()) {
      return GgufTextSteps{.normalizers = NormalizersOf(entry.normal),
                           .pre_tokenizers = entry.steps(),
                           .byte_level = entry.normal != Normal::kSpaceMarks,
                           .ignore_merges = entry.ignore_merges == Whole::kYes};
    }
    names.insert(names.end(), entry.names.begin(), entry.names.end());
  }
  std::ranges::sort(names);
  return Error(Code::kUnsupported, "pre-tokenizer '{}': expected one of {}", name, fmt::join(names, ", "));
}

}  // namespace millrace::model
