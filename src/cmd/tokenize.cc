#include <stdio.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>
#include <span>

#include "base/json.h"
#include "base/utf8.h"
#include "cmd/commands.h"
#include "cmd/exit_code.h"
#include "cmd/opened_model.h"
#include "cmd/standard_input.h"

namespace millrace::cmd {

namespace {

constexpr size_t kMaxLineBytes = 64ULL << 20;
constexpr size_t kMaxTextBytes = size_t{1} << 30;

struct Options {
  std::string model;
  std::string text;
  bool has_text = false;
  bool special = false;
  bool bare = false;
  bool decode = false;
  bool lines = false;
  bool pieces = false;
  bool json = false;
};

// One text or one list of ids, and how to read it.
struct Item {
  std::string text;
  std::vector<TokenId> ids;
  bool parse_special = false;
  bool add_special = true;
};

const char* KindOf(text::TokenType type) {
  switch (type) {
    case text::TokenType::kUnknown:
      return "unknown";
    case text::TokenType::kControl:
      return "special";
    case text::TokenType::kUserDefined:
      return "added";
    case text::TokenType::kUnused:
      return "unused";
    case text::TokenType::kByte:
      return "byte";
    case text::TokenType::kNormal:
      break;
  }
  return "";
}

Result<TokenId> CheckedId(int64_t id, const text::Vocabulary& vocabulary) {
  const bool fits = id >= 0 && static_cast<uint64_t>(id) < vocabulary.size();
  if (!fits || !vocabulary.Contains(static_cast<TokenId>(id))) {
    return Error(Code::kInvalidArgument, "token {} is not in the vocabulary, which has ids below {}", id, vocabulary.size());
  }
  return static_cast<TokenId>(id);
}

Result<std::vector<TokenId>> IdsOf(const Json& list, const text::Vocabulary& vocabulary) {
  std::vector<TokenId> ids;
  for (size_t i = 0; i < list.items().size(); ++i) {
    const Json& value = list.items()[i];
    const auto id = value.is_number() ? value.as_int64() : Result<int64_t>(Error(Code::kInvalidArgument, "no number"));
    if (!id.ok()) return Error(Code::kInvalidArgument, "[{}]: expected a token id, found {}", i, value.type_name());
    auto checked = CheckedId(*id, vocabulary);
    if (!checked.ok()) return checked.status().Within(fmt::format("[{}]", i));
    ids.push_back(*checked);
  }
  return ids;
}

// Numbers with blanks, commas or brackets between them: "1 2,3".
Result<std::vector<TokenId>> IdsOf(std::string_view text, const text::Vocabulary& vocabulary) {
  std::vector<TokenId> ids;
  constexpr std::string_view kBetween = " ,\t\r\n[]";
  for (size_t at = text.find_first_not_of(kBetween); at != text.npos; at = text.find_first_not_of(kBetween, at)) {
    const std::string_view word = text.substr(at, text.find_first_of(kBetween, at) - at);
    int64_t id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size())
      return Error(Code::kInvalidArgument, "'{}' is no token id", word);
    ASSIGN_OR_RETURN(const TokenId checked, CheckedId(id, vocabulary));
    ids.push_back(checked);
    at += word.size();
  }
  return ids;
}

Status TakeMember(const Json::Member& member, Item& item) {
  const auto& [key, value] = member;
  if (key == "content" && value.is_string()) {
    item.text = value.as_string();
  } else if (key == "parse_special" && value.is_bool()) {
    item.parse_special = value.as_bool();
  } else if (key == "add_special" && value.is_bool()) {
    item.add_special = value.as_bool();
  } else {
    return Error(Code::kInvalidArgument,
                 "expected 'content' (text), 'parse_special' or 'add_special' (true or false), got '{}': {}", key,
                 value.type_name());
  }
  return {};
}

// `raw` is an argument, a line, or all of the standard input.
Result<Item> ReadItem(std::string_view raw, const Options& options, const text::Vocabulary& vocabulary) {
  Item item{.text = {}, .ids = {}, .parse_special = options.special, .add_special = !options.bare};
  if (!options.lines || !options.json) {
    if (!options.decode) {
      item.text = raw;
      return item;
    }
    ASSIGN_OR_RETURN(item.ids, IdsOf(raw, vocabulary));
    return item;
  }
  ASSIGN_OR_RETURN(const Json json, Json::Parse(raw, {.max_bytes = kMaxLineBytes}));
  if (options.decode) {
    if (!json.is_array()) return Error(Code::kInvalidArgument, "expected a list of token ids, got a JSON {}", json.type_name());
    ASSIGN_OR_RETURN(item.ids, IdsOf(json, vocabulary));
  } else if (json.is_string()) {
    item.text = json.as_string();
  } else if (json.is_object()) {
    for (const Json::Member& member : json.members()) RETURN_IF_ERROR(TakeMember(member, item));
  } else {
    return Error(Code::kInvalidArgument, "expected a JSON string or object, got a JSON {}", json.type_name());
  }
  return item;
}

// Bytes that are no UTF-8, as part of a code point is, are a list of numbers.
void AppendPiece(std::string_view piece, std::string& out) {
  if (Utf8IsValid(piece)) return AppendJsonString(piece, out);
  out += '[';
  for (const char byte : piece) {
    if (out.back() != '[') out += ',';
    out += std::to_string(static_cast<uint8_t>(byte));
  }
  out += ']';
}

void PrintIds(std::span<const TokenId> ids, const Options& options, const text::Vocabulary& vocabulary) {
  std::string out = options.json ? "{\"count\":" + std::to_string(ids.size()) + ",\"tokens\":[" : "";
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += options.json ? "," : " ";
    out += std::to_string(ids[i]);
  }
  if (options.json && options.pieces) {
    out += "],\"pieces\":[";
    for (size_t i = 0; i < ids.size(); ++i) {
      if (i > 0) out += ',';
      AppendPiece(vocabulary.Text(ids[i]), out);
    }
  }
  if (options.json) out += "]}";
  out += '\n';
  std::fwrite(out.data(), 1, out.size(), stdout);
}

void PrintTable(std::span<const TokenId> ids, const text::Vocabulary& vocabulary) {
  for (const TokenId id : ids) {
    std::string piece;
    AppendPiece(vocabulary.Text(id), piece);
    const char* kind = KindOf(vocabulary.Type(id));
    std::printf("%7d  %s%s%s\n", id, piece.c_str(), *kind != 0 ? "  " : "", kind);
  }
  std::fprintf(stderr, "%zu token%s\n", ids.size(), ids.size() == 1 ? "" : "s");
}

Status Answer(const Item& item, const Options& options, const text::Tokenizer& tokenizer) {
  if (options.decode) {
    const std::string text = tokenizer.Decode(item.ids, options.special);
    std::string out;
    if (options.json) {
      out = "{\"text\":";
      AppendJsonString(text, out);
      out += '}';
    } else {
      out = text;
    }
    out += '\n';
    std::fwrite(out.data(), 1, out.size(), stdout);
    return {};
  }
  if (!Utf8IsValid(item.text)) {
    std::fprintf(stderr, "note: the text is not all UTF-8; each ill-formed part is read as U+FFFD\n");
  }
  ASSIGN_OR_RETURN(const auto ids, tokenizer.Encode(item.text, {.add_prefix = item.add_special,
                                                                .add_suffix = item.add_special,
                                                                .parse_special = item.parse_special}));
  if (options.json || options.lines) {
    PrintIds(ids, options, tokenizer.vocabulary());
  } else {
    PrintTable(ids, tokenizer.vocabulary());
  }
  return {};
}

Status AnswerOne(std::string_view raw, const Options& options, const text::Tokenizer& tokenizer) {
  ASSIGN_OR_RETURN(const Item item, ReadItem(raw, options, tokenizer.vocabulary()));
  return Answer(item, options, tokenizer);
}

Status AnswerLines(const Options& options, const text::Tokenizer& tokenizer) {
  char* line = nullptr;
  size_t room = 0;
  Status status;
  for (size_t number = 1; status.ok(); ++number) {
    const ssize_t length = getline(&line, &room, stdin);
    if (length < 0) break;
    std::string_view raw(line, static_cast<size_t>(length));
    if (raw.ends_with('\n')) raw.remove_suffix(1);
    status = AnswerOne(raw, options, tokenizer);
    if (!status.ok()) status = status.Within("line " + std::to_string(number));
  }
  std::free(line);
  return status;
}

Status Tokenize(const Options& options) {
  if (options.lines && options.has_text) return Error(Code::kInvalidArgument, "--lines reads standard input; leave TEXT out");
  if (options.pieces && (!options.json || options.decode)) {
    return Error(Code::kInvalidArgument, "--pieces needs --json, and tokens to show: leave --decode out");
  }
  ASSIGN_OR_RETURN(const auto tokenizer, OpenTokenizerOf(options.model));
  if (options.lines) return AnswerLines(options, *tokenizer);
  if (options.has_text) return AnswerOne(options.text, options, *tokenizer);
  ASSIGN_OR_RETURN(const std::string piped, ReadStandardInput(kMaxTextBytes));
  return AnswerOne(piped, options, *tokenizer);
}

}  // namespace

void AddTokenize(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("tokenize", "Show the tokens that a model sees for a text (argument or standard input)");
  command->add_option("MODEL", options->model, "Name of the store, .gguf file, tokenizer.json, or directory with one")
      ->required();
  CLI::Option* text = command->add_option("TEXT", options->text, "The text; standard input when absent");
  command->add_flag("--special", options->special,
                    "Read the names of control tokens in the text as those tokens; show them when decoding");
  command->add_flag("--bare", options->bare,
                    "Without the tokens that the model expects around a text (beginning of sequence, [CLS], [SEP])");
  command->add_flag("--decode", options->decode, "The other way: TEXT is a list of token ids");
  command->add_flag(
      "--lines", options->lines,
      "Each line of standard input is one text, one line of ids answers it. With --json each line is a JSON string, or an object "
      "with content, parse_special, add_special; or with --decode a list");
  command->add_flag("--pieces", options->pieces, "With --json: the texts of the tokens too");
  command->add_flag("--json", options->json, "JSON, one object for each text");
  command->callback([options, text, &exit_code] {
    options->has_text = text->count() > 0;
    const Status status = Tokenize(*options);
    exit_code = status.ok() ? kExitOk : Fail(status);
  });
}

}  // namespace millrace::cmd
