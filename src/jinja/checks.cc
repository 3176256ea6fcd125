#include "jinja/checks.h"

namespace millrace::jinja {

Status UnknownName(const Postfix& step) {
  return Error(Code::kUnsupported, "no {} named '{}'", step.kind == Postfix::Kind::kFilter ? "filter" : "test", step.name);
}

namespace {

// All follow the nesting of the source, which the parser has bounded. `branch`: inside of an if.
Status CheckExpr(const Expr& expr, bool branch);

Status CheckStep(const Postfix& step, bool branch) {
  const bool unknown = (step.kind == Postfix::Kind::kFilter && step.filter == nullptr) ||
                       (step.kind == Postfix::Kind::kTest && step.test == nullptr);
  if (unknown && !branch) return ErrorAt(Code::kUnsupported, step.position, UnknownName(step).message());
  for (const ExprPtr* expr : {&step.first, &step.second, &step.third, &step.arguments.star, &step.arguments.double_star}) {
    if (*expr) RETURN_IF_ERROR(CheckExpr(**expr, branch));
  }
  for (const ExprPtr& expr : step.arguments.positional) RETURN_IF_ERROR(CheckExpr(*expr, branch));
  for (const auto& named : step.arguments.named) RETURN_IF_ERROR(CheckExpr(*named.second, branch));
  return Status();
}

Status CheckExpr(const Expr& expr, bool branch) {
  branch |= expr.kind == ExprKind::kConditional;
  for (const ExprPtr& operand : expr.operands) RETURN_IF_ERROR(CheckExpr(*operand, branch));
  for (const Postfix& step : expr.chain) RETURN_IF_ERROR(CheckStep(step, branch));
  return Status();
}

Status CheckBlock(const Block& block, bool branch) {
  for (const Stmt& stmt : block) {
    const bool is_if = stmt.kind == StmtKind::kIf;
    for (size_t i = 0; i < stmt.exprs.size(); ++i) {
      const bool loop_condition = stmt.kind == StmtKind::kFor && i == 1;
      RETURN_IF_ERROR(CheckExpr(*stmt.exprs[i], is_if || (branch && !loop_condition)));
    }
    // Everything that has variables of its own counts as outside again.
    for (const Postfix& filter : stmt.filters) RETURN_IF_ERROR(CheckStep(filter, false));
    if (stmt.macro) {
      for (const ExprPtr& value : stmt.macro->defaults) RETURN_IF_ERROR(CheckExpr(*value, false));
    }
    for (const auto& inner : stmt.blocks) RETURN_IF_ERROR(CheckBlock(*inner, is_if));
  }
  return Status();
}

}  // namespace

Status CheckNames(const Block& body) { return CheckBlock(body, false); }

}  // namespace millrace::jinja
