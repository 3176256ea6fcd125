// What functions, filters, tests and methods get from the running template: arguments, the budget, the time, and attribute access.
#pragma once

#include <deque>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/format.h"
#include "jinja/value.h"

namespace millrace::jinja {

struct Runtime {
  Budget& budget;
  int64_t now;  // seconds since 1970
  // Namespaces can contain each other in circles, so nothing owns them but the render.
  std::deque<std::unique_ptr<Namespace>>& namespaces;
  uint32_t filters_inside = 0;  // filters that run filters
  bool raised = false;          // the error on its way out is the template's own: raise_exception
};

struct CallArguments {
  std::vector<Value> positional = {};
  NamedValues named = {};
};

// Arguments sorted to the parameters of a built-in function.
class Bound {
 public:
  // Errors: too many, unknown, or twice. `function` is for messages.
  static Result<Bound> Of(std::string_view function, const CallArguments& arguments,
                          std::initializer_list<std::string_view> parameters);

  const Value* operator[](size_t index) const { return values_[index]; }  // null: not given
  Result<Value> Required(size_t index) const;
  Result<bool> Flag(size_t index) const;  // false when not given; Python's truth otherwise
  Result<int64_t> Integer(size_t index, int64_t otherwise) const;
  Result<std::string_view> Text(size_t index, std::string_view otherwise) const;
  bool IsNoneOrMissing(size_t index) const { return values_[index] == nullptr || values_[index]->Is(Kind::kNone); }

 private:
  std::string function_;
  std::vector<std::string> names_;
  std::vector<const Value*> values_;
};

// A loop, as the evaluator keeps it. Attributes may evaluate the loop's condition for the items to come.
struct LoopObject : Object {
  using Object::Object;
  virtual Result<Value> Attribute(std::string_view name) = 0;  // undefined when there is none of that name
  virtual Result<Value> Call(std::string_view method, const CallArguments& arguments) = 0;
  virtual Result<Value> Recurse(const CallArguments& arguments) = 0;  // the loop itself, called
};

// value.name: attributes and methods first, then items. `name` is a string.
Result<Value> GetAttribute(const Value& value, const Value& name, Runtime& runtime);
// value.name without items: undefined for the keys of a dict. `name` is a string.
Result<Value> GetOwnAttribute(const Value& value, const Value& name, Runtime& runtime);
// value[key]: items first, then attributes where key is a string.
Result<Value> GetItem(const Value& value, const Value& key, Runtime& runtime);
// Follows a path such as "function.name" or "0.id", as filters name attributes; a number is one step.
Result<Value> GetPath(const Value& value, const Value& path, Runtime& runtime);

bool HasMethod(const Value& receiver, std::string_view name);
// The method must exist, as HasMethod says.
Result<Value> CallMethod(const Value& receiver, std::string_view name, const CallArguments& arguments, Runtime& runtime);

// Global functions: range, dict, namespace, cycler, joiner, raise_exception, strftime_now.
bool IsGlobalFunction(std::string_view name);
Result<Value> CallGlobal(std::string_view name, const CallArguments& arguments, Runtime& runtime);

// Namespaces refuse names that begin with an underscore, as transformers' do.
Status CheckMemberName(std::string_view name);

Result<Value> NewText(std::string text, Runtime& runtime);

}  // namespace millrace::jinja
