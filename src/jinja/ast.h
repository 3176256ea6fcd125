// The parsed form of a template. Written once by the parser, then only read, from any number of threads.
//
// Nodes nest no deeper than TemplateLimits::max_depth; chains of operators, postfix operations and branches are flat lists, so that
// their length does not count.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "jinja/chat_template.h"
#include "jinja/ops.h"
#include "jinja/token.h"
#include "jinja/value.h"

namespace millrace::jinja {

struct Expr;
struct Stmt;
struct FilterEntry;
struct TestEntry;
using ExprPtr = std::unique_ptr<Expr>;
using Block = std::vector<Stmt>;
using NameId = uint32_t;  // index into Program::names

struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star, double_star;  // *args and **kwargs, else null
};

// One step of a chain behind a primary expression: .name [key] [a:b:c] (args) |filter(args) is [not] test(args)
struct Postfix {
  enum class Kind : uint8_t { kAttribute, kSubscript, kSlice, kCall, kFilter, kTest };
  Kind kind;
  Position position;
  std::string name = {};                        // attribute, filter or test
  Value key = {};                               // kAttribute: the name as a value
  ExprPtr first = {}, second = {}, third = {};  // kSubscript: first; kSlice: its bounds, null where left out
  Arguments arguments = {};                     // kCall, kFilter, kTest
  const FilterEntry* filter = nullptr;          // null where there is none of that name, in a branch: see checks.h
  const TestEntry* test = nullptr;              // likewise
  bool negated = false;                         // is not
  bool constant = false;                        // kSlice: made of literals alone, value and bounds
};

enum class ExprKind : uint8_t {
  kLiteral,
  kName,
  kList,
  kTuple,
  kDict,  // operands: key, value, key, value
  kNot,   // operands[0], likewise kMinus and kPlus
  kMinus,
  kPlus,
  kAnd,  // any number of operands
  kOr,
  kCompare,     // operands[i] comparisons[i] operands[i + 1]
  kArithmetic,  // folded from the left: operands[0] operators[0] operands[1] ...
  kConcat,
  kConditional,  // operands: condition, value, and the value of else if there is one
  kPostfix,      // operands[0] and a chain
};

struct Expr {
  ExprKind kind;
  Position position;
  Value literal;
  NameId name = 0;
  std::vector<ExprPtr> operands;
  std::vector<Comparison> comparisons;
  std::vector<Operator> operators;
  std::vector<Postfix> chain;
};

// Where an assignment or a loop puts its value.
struct Target {
  enum class Kind : uint8_t { kName, kTuple, kAttribute };
  Kind kind = Kind::kName;
  Position position = {};
  NameId name = 0;                 // kName; kAttribute: the namespace
  std::string attribute = {};      // kAttribute
  std::vector<Target> items = {};  // kTuple
};

// Parameters and body of a macro or of a call block.
struct MacroDefinition {
  std::string name;
  Position position;
  std::vector<NameId> parameters;
  std::vector<std::string> parameter_names;
  std::vector<ExprPtr> defaults;  // of the last parameters
  bool takes_varargs = false;     // the body mentions varargs, kwargs or caller
  bool takes_kwargs = false;
  bool takes_caller = false;
};

enum class StmtKind : uint8_t {
  kText,
  kOutput,       // exprs, one after the other
  kIf,           // exprs[i] guards blocks[i]; one more block is the else
  kFor,          // targets[0] in exprs[0], filtered by exprs[1] if present; blocks: body and perhaps else
  kSet,          // targets[0] = exprs[0]
  kSetBlock,     // targets[0] = blocks[0], through `filters`
  kFilterBlock,  // blocks[0] through `filters`
  kMacro,        // macro, blocks[0]
  kCall,         // exprs[0] is a call; macro and blocks[0] are its caller
  kWith,         // targets[i] = exprs[i] around blocks[0]
  kScope,        // blocks[0] with variables of its own
  kBreak,
  kContinue,
};

struct Stmt {
  StmtKind kind;
  Position position;
  std::string text = {};
  std::vector<ExprPtr> exprs = {};
  std::vector<Target> targets = {};
  std::vector<Postfix> filters = {};
  std::vector<std::unique_ptr<Block>> blocks = {};
  std::unique_ptr<MacroDefinition> macro = {};
  bool recursive = false;                        // kFor: the body may call `loop`
  std::vector<std::vector<NameId>> hidden = {};  // for each block with variables of its own: see scopes.h
};

struct Program {
  TemplateLimits limits;
  std::vector<std::string> names;  // every variable that occurs; NameId is the index
  Block body;
  std::vector<NameId> hidden;  // by the body
};

// The names that the interpreter itself binds, in this order at the start of Program::names.
enum ReservedName : NameId { kLoopName, kCallerName, kVarargsName, kKwargsName, kReservedNames };

}  // namespace millrace::jinja
