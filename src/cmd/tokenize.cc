#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <iterator>

#include "base/json.h"
#include "cmd/commands.h"
#include "cmd/exit_code.h"
#include "cmd/opened_model.h"

namespace millrace::cmd {

namespace {

struct Options {
  std::string model;
  std::string text;
  bool has_text = false;
  bool special = false;
  bool json = false;
};

Status Tokenize(const Options& options) {
  ASSIGN_OR_RETURN(const OpenedModel model, OpenModel(options.model));
  ASSIGN_OR_RETURN(const auto tokenizer, OpenTokenizer(model));
  const std::string text =
      options.has_text ? options.text : std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  text::EncodeOptions encode;
  encode.add_prefix = true;
  encode.parse_special = options.special;
  ASSIGN_OR_RETURN(const auto ids, tokenizer->Encode(text, encode));
  Json::Array list;
  for (const TokenId id : ids) {
    if (options.json) {
      list.push_back(Json(int64_t{id}));
      continue;
    }
    std::string piece;
    AppendJsonString(tokenizer->vocabulary().Text(id), piece);
    std::printf("%7d  %s\n", id, piece.c_str());
  }
  if (options.json) {
    std::printf("%s\n",
                Json(Json::Object{{"count", Json(uint64_t{ids.size()})}, {"tokens", Json(std::move(list))}}).Write().c_str());
  } else {
    std::fprintf(stderr, "%zu tokens\n", ids.size());
  }
  return {};
}

}  // namespace

void AddTokenize(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("tokenize", "Show the tokens that a model sees for a text (argument or standard input)");
  command->add_option("MODEL", options->model, "Name of the store, .gguf file or directory")->required();
  CLI::Option* text = command->add_option("TEXT", options->text, "The text; standard input when absent");
  command->add_flag("--special", options->special, "Read the names of control tokens in the text as those tokens");
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([options, text, &exit_code] {
    options->has_text = text->count() > 0;
    const Status status = Tokenize(*options);
    exit_code = status.ok() ? kExitOk : Fail(status);
  });
}

}  // namespace millrace::cmd
