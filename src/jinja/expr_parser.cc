#include "jinja/expr_parser.h"

#include <algorithm>
#include <array>
#include <optional>

#include "jinja/filters.h"
#include "jinja/tests.h"

namespace millrace::jinja {
namespace {

constexpr std::array<std::string_view, 6> kConstants = {"true", "false", "none", "True", "False", "None"};

bool IsConstantName(std::string_view name) { return std::find(kConstants.begin(), kConstants.end(), name) != kConstants.end(); }

std::optional<Comparison> ComparisonOf(const Token& token) {
  constexpr std::pair<std::string_view, Comparison> kSymbols[] = {{"==", Comparison::kEqual},  {"!=", Comparison::kNotEqual},
                                                                  {"<", Comparison::kLess},    {"<=", Comparison::kLessEqual},
                                                                  {">", Comparison::kGreater}, {">=", Comparison::kGreaterEqual}};
  if (token.kind != TokenKind::kOperator) return std::nullopt;
  for (const auto& [symbol, comparison] : kSymbols) {
    if (token.text == symbol) return comparison;
  }
  return std::nullopt;
}

}  // namespace

ExprPtr MakeExpr(ExprKind kind, Position position) {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->position = position;
  return expr;
}

Status ExprParser::CheckDepth() const {
  if (depth_ <= max_depth_) return Status();
  return ErrorAt(Code::kResourceExhausted, tokens_.position(), fmt::format("nested more than {} levels deep", max_depth_));
}

// Every cycle of the grammar's recursion passes through here, Not, Unary or TargetPart; each counts a level.
Result<ExprPtr> ExprParser::Expression(bool with_conditional) {
  const Nesting nesting(depth_);
  RETURN_IF_ERROR(CheckDepth());
  return with_conditional ? Conditional() : Or();
}

bool ExprParser::AtTupleEnd() const {
  return tokens_.AtKind(TokenKind::kOutputEnd) || tokens_.AtKind(TokenKind::kBlockEnd) || tokens_.AtOperator(")");
}

Result<ExprPtr> ExprParser::TupleOrExpression(bool with_conditional) {
  const Position position = tokens_.position();
  ASSIGN_OR_RETURN(ExprPtr first, Expression(with_conditional));
  if (!tokens_.AtOperator(",")) return first;
  ExprPtr tuple = MakeExpr(ExprKind::kTuple, position);
  tuple->operands.push_back(std::move(first));
  while (tokens_.TakeOperator(",")) {
    if (AtTupleEnd()) break;
    ASSIGN_OR_RETURN(ExprPtr item, Expression(with_conditional));
    tuple->operands.push_back(std::move(item));
  }
  return tuple;
}

Result<ExprPtr> ExprParser::Conditional() {
  ASSIGN_OR_RETURN(ExprPtr value, Or());
  uint32_t nested = 0;  // "a if b if c": each stands inside the next
  for (; tokens_.AtName("if"); ++depth_, ++nested) {
    RETURN_IF_ERROR(CheckDepth());
    ExprPtr choice = MakeExpr(ExprKind::kConditional, tokens_.position());
    tokens_.Skip();
    ASSIGN_OR_RETURN(ExprPtr condition, Or());
    choice->operands.push_back(std::move(condition));
    choice->operands.push_back(std::move(value));
    if (tokens_.TakeName("else")) {
      ASSIGN_OR_RETURN(ExprPtr otherwise, Expression());
      choice->operands.push_back(std::move(otherwise));
    }
    value = std::move(choice);
  }
  depth_ -= nested;
  return value;
}

Result<ExprPtr> ExprParser::LogicChain(Rule operand, std::string_view word, ExprKind kind) {
  const Position position = tokens_.position();
  ASSIGN_OR_RETURN(ExprPtr first, (this->*operand)());
  if (!tokens_.AtName(word)) return first;
  ExprPtr chain = MakeExpr(kind, position);
  chain->operands.push_back(std::move(first));
  while (tokens_.TakeName(word)) {
    ASSIGN_OR_RETURN(ExprPtr next, (this->*operand)());
    chain->operands.push_back(std::move(next));
  }
  return chain;
}

Result<ExprPtr> ExprParser::Or() { return LogicChain(&ExprParser::And, "or", ExprKind::kOr); }
Result<ExprPtr> ExprParser::And() { return LogicChain(&ExprParser::Not, "and", ExprKind::kAnd); }

Result<ExprPtr> ExprParser::Not() {
  if (!tokens_.AtName("not")) return Comparisons();
  const Nesting nesting(depth_);
  RETURN_IF_ERROR(CheckDepth());
  ExprPtr expr = MakeExpr(ExprKind::kNot, tokens_.position());
  tokens_.Skip();
  ASSIGN_OR_RETURN(ExprPtr operand, Not());
  expr->operands.push_back(std::move(operand));
  return expr;
}

Result<ExprPtr> ExprParser::Comparisons() {
  ASSIGN_OR_RETURN(ExprPtr first, Sum());
  ExprPtr chain;
  while (true) {
    auto comparison = ComparisonOf(tokens_.current());
    const Position position = tokens_.position();
    const bool not_in = tokens_.AtName("not") && tokens_.ahead().kind == TokenKind::kName && tokens_.ahead().text == "in";
    if (tokens_.AtName("in")) comparison = Comparison::kIn;
    if (not_in) {
      comparison = Comparison::kNotIn;
      tokens_.Skip();
    }
    if (!comparison) return chain ? std::move(chain) : std::move(first);
    tokens_.Skip();
    if (!chain) {
      chain = MakeExpr(ExprKind::kCompare, position);
      chain->operands.push_back(std::move(first));
    }
    ASSIGN_OR_RETURN(ExprPtr operand, Sum());
    chain->operands.push_back(std::move(operand));
    chain->comparisons.push_back(*comparison);
  }
}

Result<ExprPtr> ExprParser::ArithmeticChain(Rule operand, std::initializer_list<std::pair<std::string_view, Operator>> symbols) {
  ASSIGN_OR_RETURN(ExprPtr first, (this->*operand)());
  ExprPtr chain;
  while (true) {
    const auto found = std::find_if(symbols.begin(), symbols.end(), [&](const auto& s) { return tokens_.AtOperator(s.first); });
    if (found == symbols.end()) return chain ? std::move(chain) : std::move(first);
    if (!chain) {
      chain = MakeExpr(ExprKind::kArithmetic, tokens_.position());
      chain->operands.push_back(std::move(first));
    }
    tokens_.Skip();
    ASSIGN_OR_RETURN(ExprPtr next, (this->*operand)());
    chain->operands.push_back(std::move(next));
    chain->operators.push_back(found->second);
  }
}

Result<ExprPtr> ExprParser::Sum() {
  return ArithmeticChain(&ExprParser::Concat, {{"+", Operator::kAdd}, {"-", Operator::kSubtract}});
}

Result<ExprPtr> ExprParser::Concat() {
  const Position position = tokens_.position();
  ASSIGN_OR_RETURN(ExprPtr first, Product());
  if (!tokens_.AtOperator("~")) return first;
  ExprPtr chain = MakeExpr(ExprKind::kConcat, position);
  chain->operands.push_back(std::move(first));
  while (tokens_.TakeOperator("~")) {
    ASSIGN_OR_RETURN(ExprPtr next, Product());
    chain->operands.push_back(std::move(next));
  }
  return chain;
}

Result<ExprPtr> ExprParser::Product() {
  return ArithmeticChain(
      &ExprParser::Power,
      {{"*", Operator::kMultiply}, {"/", Operator::kDivide}, {"//", Operator::kFloorDivide}, {"%", Operator::kModulo}});
}

// From the left, as Jinja does it, though Python goes from the right.
Result<ExprPtr> ExprParser::Power() {
  const Position position = tokens_.position();
  ASSIGN_OR_RETURN(ExprPtr first, Unary(true));
  if (!tokens_.AtOperator("**")) return first;
  ExprPtr chain = MakeExpr(ExprKind::kArithmetic, position);
  chain->operands.push_back(std::move(first));
  while (tokens_.TakeOperator("**")) {
    ASSIGN_OR_RETURN(ExprPtr next, Unary(true));
    // Jinja writes a folded constant without parentheses, so that Python reads -2 ** x as -(2 ** x), but -2 ** 2 is 4.
    if (chain->operands.front()->kind == ExprKind::kMinus && next->kind != ExprKind::kLiteral) {
      return ErrorAt(Code::kUnsupported, position, "a negative number to a power that is no literal is not supported");
    }
    chain->operands.push_back(std::move(next));
    chain->operators.push_back(Operator::kPower);
  }
  return chain;
}

Result<ExprPtr> ExprParser::Unary(bool with_filters) {
  ExprPtr base;
  if (tokens_.AtOperator("-") || tokens_.AtOperator("+")) {
    const Nesting nesting(depth_);
    RETURN_IF_ERROR(CheckDepth());
    base = MakeExpr(tokens_.AtOperator("-") ? ExprKind::kMinus : ExprKind::kPlus, tokens_.position());
    tokens_.Skip();
    ASSIGN_OR_RETURN(ExprPtr operand, Unary(false));
    base->operands.push_back(std::move(operand));
  } else {
    ASSIGN_OR_RETURN(base, Primary());
  }
  return WithChain(std::move(base), with_filters);
}

Result<ExprPtr> ExprParser::Primary() {
  const Token& token = tokens_.current();
  if (token.kind == TokenKind::kName) return NameOrConstant();
  if (token.kind == TokenKind::kString || token.kind == TokenKind::kInteger || token.kind == TokenKind::kFloat) return Literal();
  if (tokens_.AtOperator("[")) return ListLiteral();
  if (tokens_.AtOperator("{")) return DictLiteral();
  if (!tokens_.AtOperator("(")) return tokens_.Expected("an expression");
  const Position position = tokens_.position();
  tokens_.Skip();
  if (tokens_.TakeOperator(")")) return MakeExpr(ExprKind::kTuple, position);
  ASSIGN_OR_RETURN(ExprPtr inner, TupleOrExpression());
  RETURN_IF_ERROR(tokens_.ExpectOperator(")"));
  return inner;
}

Result<ExprPtr> ExprParser::NameOrConstant() {
  ExprPtr expr = MakeExpr(ExprKind::kLiteral, tokens_.position());
  const std::string name = tokens_.current().text;
  tokens_.Skip();
  if (name == "none" || name == "None") {
    expr->literal = Value::None();
  } else if (IsConstantName(name)) {
    expr->literal = Value::Bool(name == "true" || name == "True");
  } else {
    expr->kind = ExprKind::kName;
    expr->name = names_.Intern(name);
    if (expr->name < kReservedNames) mentioned[expr->name] = true;
  }
  return expr;
}

Result<ExprPtr> ExprParser::Literal() {
  ExprPtr expr = MakeExpr(ExprKind::kLiteral, tokens_.position());
  const Token& token = tokens_.current();
  if (token.kind == TokenKind::kInteger) {
    expr->literal = Value::Int(token.integer);
  } else if (token.kind == TokenKind::kFloat) {
    expr->literal = Value::Float(token.real);
  } else {
    std::string text;
    for (; tokens_.AtKind(TokenKind::kString); tokens_.Skip()) text += tokens_.current().text;
    expr->literal = Value::String(nullptr, std::move(text));
    return expr;
  }
  tokens_.Skip();
  return expr;
}

Result<ExprPtr> ExprParser::ListLiteral() {
  ExprPtr list = MakeExpr(ExprKind::kList, tokens_.position());
  tokens_.Skip();
  while (!tokens_.AtOperator("]")) {
    if (!list->operands.empty()) {
      RETURN_IF_ERROR(tokens_.ExpectOperator(","));
      if (tokens_.AtOperator("]")) break;
    }
    ASSIGN_OR_RETURN(ExprPtr item, Expression());
    list->operands.push_back(std::move(item));
  }
  tokens_.Skip();
  return list;
}

Result<ExprPtr> ExprParser::DictLiteral() {
  ExprPtr dict = MakeExpr(ExprKind::kDict, tokens_.position());
  tokens_.Skip();
  while (!tokens_.AtOperator("}")) {
    if (!dict->operands.empty()) {
      RETURN_IF_ERROR(tokens_.ExpectOperator(","));
      if (tokens_.AtOperator("}")) break;
    }
    ASSIGN_OR_RETURN(ExprPtr key, Expression());
    RETURN_IF_ERROR(tokens_.ExpectOperator(":"));
    ASSIGN_OR_RETURN(ExprPtr value, Expression());
    dict->operands.push_back(std::move(key));
    dict->operands.push_back(std::move(value));
  }
  tokens_.Skip();
  return dict;
}

namespace {

// The recursion follows the nesting of the source.
bool IsConstant(const Expr& expr) {
  const auto constant = [](const ExprPtr& part) { return !part || IsConstant(*part); };
  for (const Postfix& step : expr.chain) {
    if (step.kind == Postfix::Kind::kCall || !constant(step.first) || !constant(step.second) || !constant(step.third))
      return false;
    if (!std::all_of(step.arguments.positional.begin(), step.arguments.positional.end(), constant)) return false;
  }
  return expr.kind != ExprKind::kName && std::all_of(expr.operands.begin(), expr.operands.end(), constant);
}

}  // namespace

Result<ExprPtr> ExprParser::WithChain(ExprPtr base, bool with_filters) {
  ExprPtr whole = MakeExpr(ExprKind::kPostfix, base->position);
  RETURN_IF_ERROR(PostfixChain(*whole));
  const auto is_slice = [](const Postfix& step) { return step.kind == Postfix::Kind::kSlice; };
  if (std::any_of(whole->chain.begin(), whole->chain.end(), is_slice) && IsConstant(*base) && IsConstant(*whole)) {
    for (Postfix& step : whole->chain) step.constant = true;
  }
  if (with_filters) RETURN_IF_ERROR(FilterChain(*whole));
  if (whole->chain.empty()) return base;
  whole->operands.push_back(std::move(base));
  return whole;
}

Status ExprParser::PostfixChain(Expr& owner) {
  while (true) {
    if (tokens_.AtOperator(".")) {
      ASSIGN_OR_RETURN(Postfix step, Attribute());
      owner.chain.push_back(std::move(step));
    } else if (tokens_.AtOperator("[")) {
      ASSIGN_OR_RETURN(Postfix step, Subscript());
      owner.chain.push_back(std::move(step));
    } else if (tokens_.AtOperator("(")) {
      ASSIGN_OR_RETURN(Postfix step, Call());
      owner.chain.push_back(std::move(step));
    } else {
      return Status();
    }
  }
}

Status ExprParser::FilterChain(Expr& owner) {
  while (true) {
    if (tokens_.TakeOperator("|")) {
      ASSIGN_OR_RETURN(Postfix step, Filter());
      owner.chain.push_back(std::move(step));
    } else if (tokens_.AtName("is")) {
      ASSIGN_OR_RETURN(Postfix step, Test());
      owner.chain.push_back(std::move(step));
    } else if (tokens_.AtOperator("(")) {
      ASSIGN_OR_RETURN(Postfix step, Call());
      owner.chain.push_back(std::move(step));
    } else {
      return Status();
    }
  }
}

Result<Postfix> ExprParser::Attribute() {
  Postfix step{.kind = Postfix::Kind::kAttribute, .position = tokens_.position()};
  tokens_.Skip();
  if (tokens_.AtKind(TokenKind::kInteger)) {
    step.kind = Postfix::Kind::kSubscript;
    ASSIGN_OR_RETURN(step.first, Literal());
    return step;
  }
  ASSIGN_OR_RETURN(step.name, tokens_.ExpectName("a name or a number after '.'"));
  step.key = Value::String(nullptr, step.name);
  return step;
}

Result<Postfix> ExprParser::Subscript() {
  Postfix step{.kind = Postfix::Kind::kSubscript, .position = tokens_.position()};
  tokens_.Skip();
  if (tokens_.AtOperator("]")) {
    step.first = MakeExpr(ExprKind::kTuple, step.position);  // x[] asks for the key (), as in Jinja
  } else {
    RETURN_IF_ERROR(Subscribed(step));
  }
  if (tokens_.AtOperator(",")) {
    ExprPtr tuple = MakeExpr(ExprKind::kTuple, step.position);
    if (step.kind == Postfix::Kind::kSlice) return tokens_.Expected("']' (several slices are not supported)");
    tuple->operands.push_back(std::move(step.first));
    while (tokens_.TakeOperator(",") && !tokens_.AtOperator("]")) {
      ASSIGN_OR_RETURN(ExprPtr item, Expression());
      tuple->operands.push_back(std::move(item));
    }
    step.first = std::move(tuple);
  }
  RETURN_IF_ERROR(tokens_.ExpectOperator("]"));
  return step;
}

// Null where the bound is left out.
Result<ExprPtr> ExprParser::SliceBound() {
  if (tokens_.AtOperator(":") || tokens_.AtOperator("]") || tokens_.AtOperator(",")) return ExprPtr();
  return Expression();
}

Status ExprParser::Subscribed(Postfix& out) {
  ASSIGN_OR_RETURN(out.first, SliceBound());
  if (!tokens_.TakeOperator(":")) return out.first ? Status() : tokens_.Expected("a subscript");
  out.kind = Postfix::Kind::kSlice;
  ASSIGN_OR_RETURN(out.second, SliceBound());
  if (!tokens_.TakeOperator(":")) return Status();
  ASSIGN_OR_RETURN(out.third, SliceBound());
  return Status();
}

Result<Postfix> ExprParser::Call() {
  Postfix step{.kind = Postfix::Kind::kCall, .position = tokens_.position()};
  ASSIGN_OR_RETURN(step.arguments, CallArguments());
  return step;
}

// The current token is the name behind the bar.
Result<Postfix> ExprParser::Filter() {
  Postfix step{.kind = Postfix::Kind::kFilter, .position = tokens_.position()};
  ASSIGN_OR_RETURN(step.name, tokens_.ExpectName("the name of a filter"));
  step.filter = FindFilter(step.name);
  if (tokens_.AtOperator("(")) {
    ASSIGN_OR_RETURN(step.arguments, CallArguments());
  }
  return step;
}

Result<std::vector<Postfix>> ExprParser::Filters(bool after_bar) {
  std::vector<Postfix> filters;
  while (after_bar || tokens_.TakeOperator("|")) {
    after_bar = false;
    ASSIGN_OR_RETURN(Postfix step, Filter());
    filters.push_back(std::move(step));
  }
  return filters;
}

Result<Postfix> ExprParser::Test() {
  Postfix step{.kind = Postfix::Kind::kTest, .position = tokens_.position()};
  tokens_.Skip();
  step.negated = tokens_.TakeName("not");
  ASSIGN_OR_RETURN(step.name, tokens_.ExpectName("the name of a test"));
  step.test = FindTest(step.name);
  RETURN_IF_ERROR(TestArguments(step));
  return step;
}

// In parentheses, or one primary expression without them: "is divisibleby 3".
Status ExprParser::TestArguments(Postfix& test) {
  if (tokens_.AtOperator("(")) {
    ASSIGN_OR_RETURN(test.arguments, CallArguments());
    return Status();
  }
  const Token& token = tokens_.current();
  const bool starts = token.kind == TokenKind::kName || token.kind == TokenKind::kString || token.kind == TokenKind::kInteger ||
                      token.kind == TokenKind::kFloat || tokens_.AtOperator("[") || tokens_.AtOperator("{");
  if (!starts || tokens_.AtName("else") || tokens_.AtName("or") || tokens_.AtName("and")) return Status();
  if (tokens_.AtName("is")) return ErrorAt(Code::kInvalidArgument, token.position, "tests cannot be chained with 'is'");
  ASSIGN_OR_RETURN(ExprPtr base, Primary());
  ASSIGN_OR_RETURN(ExprPtr argument, WithChain(std::move(base), false));
  test.arguments.positional.push_back(std::move(argument));
  return Status();
}

Result<Arguments> ExprParser::CallArguments() {
  Arguments out;
  RETURN_IF_ERROR(tokens_.ExpectOperator("("));
  for (bool first = true; !tokens_.AtOperator(")"); first = false) {
    if (!first) {
      RETURN_IF_ERROR(tokens_.ExpectOperator(","));
      if (tokens_.AtOperator(")")) break;
    }
    RETURN_IF_ERROR(OneArgument(out));
  }
  RETURN_IF_ERROR(tokens_.ExpectOperator(")"));
  return out;
}

Status ExprParser::OneArgument(Arguments& out) {
  const auto wrong_order = [&] { return ErrorAt(Code::kInvalidArgument, tokens_.position(), "the arguments are out of order"); };
  if (tokens_.AtOperator("*") || tokens_.AtOperator("**")) {
    const bool twice = tokens_.AtOperator("**");
    if (out.double_star || (!twice && out.star)) return wrong_order();
    tokens_.Skip();
    ASSIGN_OR_RETURN((twice ? out.double_star : out.star), Expression());
    return Status();
  }
  const bool keyword =
      tokens_.AtKind(TokenKind::kName) && tokens_.ahead().kind == TokenKind::kOperator && tokens_.ahead().text == "=";
  if (keyword) return out.double_star ? wrong_order() : KeywordArgument(out);
  if (out.star || out.double_star || !out.named.empty()) return wrong_order();
  ASSIGN_OR_RETURN(ExprPtr value, Expression());
  out.positional.push_back(std::move(value));
  return Status();
}

Status ExprParser::KeywordArgument(Arguments& out) {
  const Position position = tokens_.position();
  std::string name = tokens_.current().text;
  tokens_.Skip();
  tokens_.Skip();
  const auto same = [&](const auto& other) { return other.first == name; };
  if (std::any_of(out.named.begin(), out.named.end(), same)) {
    return ErrorAt(Code::kInvalidArgument, position, fmt::format("the argument '{}' is given twice", name));
  }
  if (out.named.size() >= 255) return ErrorAt(Code::kResourceExhausted, position, "more than 255 named arguments");
  ASSIGN_OR_RETURN(ExprPtr value, Expression());
  out.named.emplace_back(std::move(name), std::move(value));
  return Status();
}

Result<NameId> ExprParser::TargetName() {
  const Position position = tokens_.position();
  ASSIGN_OR_RETURN(const std::string name, tokens_.ExpectName("a name to assign to"));
  if (IsConstantName(name)) return ErrorAt(Code::kInvalidArgument, position, fmt::format("cannot assign to '{}'", name));
  return names_.Intern(name);
}

Result<Target> ExprParser::TargetPart(bool with_attribute) {
  const Nesting nesting(depth_);
  RETURN_IF_ERROR(CheckDepth());
  Target target{.position = tokens_.position()};
  if (tokens_.TakeOperator("(")) {
    ASSIGN_OR_RETURN(target, AssignTarget(false));
    RETURN_IF_ERROR(tokens_.ExpectOperator(")"));
    return target;
  }
  ASSIGN_OR_RETURN(target.name, TargetName());
  if (with_attribute && tokens_.TakeOperator(".")) {
    target.kind = Target::Kind::kAttribute;
    ASSIGN_OR_RETURN(target.attribute, tokens_.ExpectName("the attribute of a namespace"));
  }
  return target;
}

Result<Target> ExprParser::AssignTarget(bool with_attribute) {
  Target tuple{.kind = Target::Kind::kTuple, .position = tokens_.position()};
  ASSIGN_OR_RETURN(Target first, TargetPart(with_attribute));
  if (!tokens_.AtOperator(",")) return first;
  tuple.items.push_back(std::move(first));
  while (tokens_.TakeOperator(",")) {
    if (AtTupleEnd()) break;
    ASSIGN_OR_RETURN(Target next, TargetPart(with_attribute));
    tuple.items.push_back(std::move(next));
  }
  return tuple;
}

}  // namespace millrace::jinja
