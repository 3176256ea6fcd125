#include "jinja/parser.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "jinja/checks.h"
#include "jinja/expr_parser.h"
#include "jinja/scopes.h"

namespace millrace::jinja {
namespace {

constexpr std::array<std::string_view, 7> kRefusedTags = {"include", "import", "from", "extends", "block", "autoescape", "trans"};

class TemplateParser {
 public:
  TemplateParser(std::vector<Token> tokens, const TemplateLimits& limits)
      : limits_(limits), tokens_(std::move(tokens)), exprs_(tokens_, names_, limits.max_depth) {}

  Result<std::shared_ptr<const Program>> Run() {
    auto program = std::make_shared<Program>();
    program->limits = limits_;
    RETURN_IF_ERROR(Statements({}, program->body));
    program->names = names_.Take();
    RETURN_IF_ERROR(CheckNames(program->body));
    MarkHiddenNames(*program);
    return std::shared_ptr<const Program>(std::move(program));
  }

 private:
  using Ends = std::vector<std::string_view>;

  // --- blocks ---

  // Up to a tag whose name is in `ends`, which stays current; up to the end of the template when there are none.
  Status Statements(const Ends& ends, Block& out) {
    const Nesting nesting(exprs_.depth());
    RETURN_IF_ERROR(exprs_.CheckDepth());
    while (!tokens_.AtKind(TokenKind::kEnd)) {
      const Position position = tokens_.position();
      if (tokens_.AtKind(TokenKind::kText)) {
        out.push_back({.kind = StmtKind::kText, .position = position, .text = tokens_.current().text});
        tokens_.Skip();
      } else if (tokens_.AtKind(TokenKind::kOutputBegin)) {
        RETURN_IF_ERROR(OutputTag(out));
      } else {
        tokens_.Skip();  // {%
        const bool ended = std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return tokens_.AtName(end); });
        if (ended) return Status();
        RETURN_IF_ERROR(Statement(ends, out));
        RETURN_IF_ERROR(tokens_.ExpectKind(TokenKind::kBlockEnd, "'%}'"));
      }
    }
    return ends.empty() ? Status() : Unclosed(ends);
  }

  static std::string Listed(const Ends& ends) {
    std::string list;
    for (const std::string_view end : ends) list += fmt::format("{}'{}'", list.empty() ? "" : " or ", end);
    return list;
  }

  Status Unclosed(const Ends& ends) { return tokens_.Expected(Listed(ends)); }

  Status OutputTag(Block& out) {
    Stmt stmt{.kind = StmtKind::kOutput, .position = tokens_.position()};
    tokens_.Skip();
    ASSIGN_OR_RETURN(ExprPtr value, exprs_.TupleOrExpression());
    stmt.exprs.push_back(std::move(value));
    RETURN_IF_ERROR(tokens_.ExpectKind(TokenKind::kOutputEnd, "'}}'"));
    out.push_back(std::move(stmt));
    return Status();
  }

  // The rest of an opening tag and the statements; answers which of `ends` ended them.
  Result<size_t> Body(const Ends& ends, Stmt& stmt) {
    tokens_.TakeOperator(":");
    RETURN_IF_ERROR(tokens_.ExpectKind(TokenKind::kBlockEnd, "'%}'"));
    auto block = std::make_unique<Block>();
    RETURN_IF_ERROR(Statements(ends, *block));
    stmt.blocks.push_back(std::move(block));
    const auto end = std::find_if(ends.begin(), ends.end(), [&](std::string_view name) { return tokens_.AtName(name); });
    tokens_.Skip();
    return static_cast<size_t>(end - ends.begin());
  }

  // --- statements; the current token is the name of the tag ---

  Status Statement(const Ends& ends, Block& out) {
    if (!tokens_.AtKind(TokenKind::kName)) return tokens_.Expected("the name of a tag");
    const std::string name = tokens_.current().text;
    Stmt stmt{.kind = StmtKind::kText, .position = tokens_.position()};
    using Parse = Status (TemplateParser::*)(Stmt&);
    constexpr std::pair<std::string_view, Parse> kTags[] = {
        {"if", &TemplateParser::If},       {"for", &TemplateParser::For},          {"set", &TemplateParser::Set},
        {"macro", &TemplateParser::Macro}, {"call", &TemplateParser::CallTag},     {"filter", &TemplateParser::FilterTag},
        {"with", &TemplateParser::With},   {"print", &TemplateParser::Print},      {"generation", &TemplateParser::Generation},
        {"break", &TemplateParser::Break}, {"continue", &TemplateParser::Continue}};
    for (const auto& [tag, parse] : kTags) {
      if (name != tag) continue;
      tokens_.Skip();
      RETURN_IF_ERROR((this->*parse)(stmt));
      out.push_back(std::move(stmt));
      return Status();
    }
    if (std::find(kRefusedTags.begin(), kRefusedTags.end(), name) != kRefusedTags.end()) {
      return ErrorAt(Code::kUnsupported, stmt.position, fmt::format("the tag '{}' is not supported", name));
    }
    if (!ends.empty()) return Unclosed(ends);
    return ErrorAt(Code::kInvalidArgument, stmt.position, fmt::format("unknown tag '{}'", name));
  }

  Status If(Stmt& stmt) {
    stmt.kind = StmtKind::kIf;
    while (true) {
      ASSIGN_OR_RETURN(ExprPtr condition, exprs_.TupleOrExpression(false));
      stmt.exprs.push_back(std::move(condition));
      ASSIGN_OR_RETURN(const size_t end, Body({"elif", "else", "endif"}, stmt));
      if (end == 0) continue;
      if (end == 1) RETURN_IF_ERROR(Body({"endif"}, stmt));
      return Status();
    }
  }

  Status For(Stmt& stmt) {
    stmt.kind = StmtKind::kFor;
    ASSIGN_OR_RETURN(Target target, exprs_.AssignTarget(false));
    RETURN_IF_ERROR(CheckNoLoop(target));
    stmt.targets.push_back(std::move(target));
    if (!tokens_.TakeName("in")) return tokens_.Expected("'in'");
    ASSIGN_OR_RETURN(ExprPtr iterable, exprs_.TupleOrExpression(false));
    stmt.exprs.push_back(std::move(iterable));
    if (tokens_.TakeName("if")) {
      ASSIGN_OR_RETURN(ExprPtr condition, exprs_.Expression());
      stmt.exprs.push_back(std::move(condition));
    }
    stmt.recursive = tokens_.TakeName("recursive");
    ++loops_;
    const auto body = Body({"endfor", "else"}, stmt);
    --loops_;
    RETURN_IF_ERROR(body);
    if (*body == 1) RETURN_IF_ERROR(Body({"endfor"}, stmt));
    return Status();
  }

  static Status CheckNoLoop(const Target& target) {
    if (target.kind == Target::Kind::kName && target.name == kLoopName) {
      return ErrorAt(Code::kInvalidArgument, target.position, "'loop' cannot be the variable of a loop");
    }
    for (const Target& item : target.items) RETURN_IF_ERROR(CheckNoLoop(item));
    return Status();
  }

  Status Set(Stmt& stmt) {
    ASSIGN_OR_RETURN(Target target, exprs_.AssignTarget(true));
    stmt.targets.push_back(std::move(target));
    if (tokens_.TakeOperator("=")) {
      stmt.kind = StmtKind::kSet;
      ASSIGN_OR_RETURN(ExprPtr value, exprs_.TupleOrExpression());
      stmt.exprs.push_back(std::move(value));
      return Status();
    }
    stmt.kind = StmtKind::kSetBlock;
    ASSIGN_OR_RETURN(stmt.filters, exprs_.Filters(false));
    return ToStatus(Body({"endset"}, stmt));
  }

  Status FilterTag(Stmt& stmt) {
    stmt.kind = StmtKind::kFilterBlock;
    ASSIGN_OR_RETURN(stmt.filters, exprs_.Filters(true));
    return ToStatus(Body({"endfilter"}, stmt));
  }

  Status With(Stmt& stmt) {
    stmt.kind = StmtKind::kWith;
    while (!tokens_.AtKind(TokenKind::kBlockEnd)) {
      if (!stmt.targets.empty()) RETURN_IF_ERROR(tokens_.ExpectOperator(","));
      ASSIGN_OR_RETURN(Target target, exprs_.AssignTarget(false));
      RETURN_IF_ERROR(tokens_.ExpectOperator("="));
      ASSIGN_OR_RETURN(ExprPtr value, exprs_.Expression());
      stmt.targets.push_back(std::move(target));
      stmt.exprs.push_back(std::move(value));
    }
    return ToStatus(Body({"endwith"}, stmt));
  }

  Status Print(Stmt& stmt) {
    stmt.kind = StmtKind::kOutput;
    while (!tokens_.AtKind(TokenKind::kBlockEnd)) {
      if (!stmt.exprs.empty()) RETURN_IF_ERROR(tokens_.ExpectOperator(","));
      ASSIGN_OR_RETURN(ExprPtr value, exprs_.Expression());
      stmt.exprs.push_back(std::move(value));
    }
    return Status();
  }

  // What trainers mark as the assistant's words; rendering passes it through, with variables of its own.
  Status Generation(Stmt& stmt) {
    stmt.kind = StmtKind::kScope;
    const uint32_t outer = std::exchange(loops_, 0);
    const auto body = Body({"endgeneration"}, stmt);
    loops_ = outer;
    return ToStatus(body);
  }

  Status Break(Stmt& stmt) {
    stmt.kind = StmtKind::kBreak;
    return loops_ > 0 ? Status() : ErrorAt(Code::kInvalidArgument, stmt.position, "'break' outside of a loop");
  }

  Status Continue(Stmt& stmt) {
    stmt.kind = StmtKind::kContinue;
    return loops_ > 0 ? Status() : ErrorAt(Code::kInvalidArgument, stmt.position, "'continue' outside of a loop");
  }

  // --- macros ---

  Status Signature(MacroDefinition& macro) {
    RETURN_IF_ERROR(tokens_.ExpectOperator("("));
    while (!tokens_.AtOperator(")")) {
      if (!macro.parameters.empty()) RETURN_IF_ERROR(tokens_.ExpectOperator(","));
      const Token parameter = tokens_.current();
      ASSIGN_OR_RETURN(const NameId name, exprs_.TargetName());
      if (name < kReservedNames && name != kLoopName) {
        return ErrorAt(Code::kUnsupported, parameter.position, fmt::format("'{}' cannot be a parameter", parameter.text));
      }
      if (std::find(macro.parameters.begin(), macro.parameters.end(), name) != macro.parameters.end()) {
        return ErrorAt(Code::kInvalidArgument, parameter.position,
                       fmt::format("the parameter '{}' occurs twice", parameter.text));
      }
      macro.parameters.push_back(name);
      macro.parameter_names.push_back(parameter.text);
      if (macro.parameters.size() > 255) return ErrorAt(Code::kResourceExhausted, parameter.position, "more than 255 parameters");
      if (tokens_.TakeOperator("=")) {
        ASSIGN_OR_RETURN(ExprPtr value, exprs_.Expression());
        macro.defaults.push_back(std::move(value));
      } else if (!macro.defaults.empty()) {
        return ErrorAt(Code::kInvalidArgument, parameter.position, "a parameter without default follows one with default");
      }
    }
    tokens_.Skip();
    return Status();
  }

  // Macros nested in the body have varargs, kwargs and caller of their own, but mentioning them there counts here too, as in Jinja.
  Status MacroBody(std::string_view end, Stmt& stmt) {
    const uint32_t outer_loops = std::exchange(loops_, 0);
    bool outer[kReservedNames];
    std::copy(std::begin(exprs_.mentioned), std::end(exprs_.mentioned), outer);
    std::fill(std::begin(exprs_.mentioned), std::end(exprs_.mentioned), false);
    const auto body = Body({end}, stmt);
    MacroDefinition& macro = *stmt.macro;
    macro.takes_varargs = exprs_.mentioned[kVarargsName];
    macro.takes_kwargs = exprs_.mentioned[kKwargsName];
    macro.takes_caller = exprs_.mentioned[kCallerName];
    for (size_t i = 0; i < kReservedNames; ++i) exprs_.mentioned[i] |= outer[i];
    loops_ = outer_loops;
    RETURN_IF_ERROR(body);
    return Status();
  }

  Status Macro(Stmt& stmt) {
    stmt.kind = StmtKind::kMacro;
    stmt.macro = std::make_unique<MacroDefinition>();
    stmt.macro->position = stmt.position;
    Target target{.position = tokens_.position()};
    stmt.macro->name = tokens_.current().text;
    ASSIGN_OR_RETURN(target.name, exprs_.TargetName());
    stmt.targets.push_back(std::move(target));
    RETURN_IF_ERROR(Signature(*stmt.macro));
    return MacroBody("endmacro", stmt);
  }

  Status CallTag(Stmt& stmt) {
    stmt.kind = StmtKind::kCall;
    stmt.macro = std::make_unique<MacroDefinition>();
    stmt.macro->position = stmt.position;
    stmt.macro->name = "caller";
    if (tokens_.AtOperator("(")) RETURN_IF_ERROR(Signature(*stmt.macro));
    ASSIGN_OR_RETURN(ExprPtr call, exprs_.Expression());
    if (call->kind != ExprKind::kPostfix || call->chain.back().kind != Postfix::Kind::kCall) {
      return ErrorAt(Code::kInvalidArgument, call->position, "expected a call behind 'call'");
    }
    stmt.exprs.push_back(std::move(call));
    return MacroBody("endcall", stmt);
  }

  TemplateLimits limits_;
  TokenStream tokens_;
  NameTable names_;
  ExprParser exprs_;
  uint32_t loops_ = 0;  // loops around, within the macro
};

}  // namespace

Result<std::shared_ptr<const Program>> ParseTemplate(std::string_view source, const TemplateLimits& limits) {
  if (source.size() > limits.max_source_bytes) {
    return Error(Code::kResourceExhausted, "a template of {} bytes: at most {} are accepted", source.size(),
                 limits.max_source_bytes);
  }
  if (!Utf8IsValid(source)) return Error(Code::kInvalidArgument, "the template is not UTF-8");
  ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  return TemplateParser(std::move(tokens), limits).Run();
}

}  // namespace millrace::jinja
