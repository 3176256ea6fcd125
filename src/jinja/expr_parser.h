// Expressions of the template language, by recursive descent over Jinja's own order of precedence:
// if/else, or, and, not, comparisons, + -, ~, * / // %, **, signs, then names and literals with their chains.
#pragma once

#include "jinja/token_stream.h"

namespace millrace::jinja {

class ExprParser {
 public:
  ExprParser(TokenStream& tokens, NameTable& names, uint32_t max_depth) : tokens_(tokens), names_(names), max_depth_(max_depth) {}

  Result<ExprPtr> Expression(bool with_conditional = true);
  // One expression, or several with commas as a tuple.
  Result<ExprPtr> TupleOrExpression(bool with_conditional = true);
  // "|filter|filter(args)"; the current token is the first name, or a bar when `after_bar` is false.
  Result<std::vector<Postfix>> Filters(bool after_bar);

  // What a target list "a, (b, c)" or "ns.x" assigns to.
  Result<Target> AssignTarget(bool with_attribute);
  Result<NameId> TargetName();

  uint32_t& depth() { return depth_; }
  Status CheckDepth() const;
  // Names read since the flags were last cleared; indexed by ReservedName.
  bool mentioned[kReservedNames] = {};

 private:
  Result<ExprPtr> Conditional();
  Result<ExprPtr> Or();
  Result<ExprPtr> And();
  Result<ExprPtr> Not();
  Result<ExprPtr> Comparisons();
  Result<ExprPtr> Sum();
  Result<ExprPtr> Concat();
  Result<ExprPtr> Product();
  Result<ExprPtr> Power();
  Result<ExprPtr> Unary(bool with_filters);
  Result<ExprPtr> Primary();
  Result<ExprPtr> NameOrConstant();
  Result<ExprPtr> Literal();
  Result<ExprPtr> ListLiteral();
  Result<ExprPtr> DictLiteral();

  Status PostfixChain(Expr& owner);
  Status FilterChain(Expr& owner);
  Result<ExprPtr> WithChain(ExprPtr base, bool with_filters);
  Result<Postfix> Attribute();
  Result<Postfix> Subscript();
  Status Subscribed(Postfix& out);
  Result<ExprPtr> SliceBound();
  Result<Postfix> Call();
  Result<Postfix> Filter();
  Result<Postfix> Test();
  Status TestArguments(Postfix& test);
  Result<Arguments> CallArguments();
  Status OneArgument(Arguments& out);
  Status KeywordArgument(Arguments& out);
  bool AtTupleEnd() const;
  Result<Target> TargetPart(bool with_attribute);

  using Rule = Result<ExprPtr> (ExprParser::*)();
  Result<ExprPtr> ArithmeticChain(Rule operand, std::initializer_list<std::pair<std::string_view, Operator>> symbols);
  Result<ExprPtr> LogicChain(Rule operand, std::string_view word, ExprKind kind);

  TokenStream& tokens_;
  NameTable& names_;
  uint32_t max_depth_;
  uint32_t depth_ = 0;
};

ExprPtr MakeExpr(ExprKind kind, Position position);

}  // namespace millrace::jinja
