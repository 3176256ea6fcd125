// Values of a running template: JSON values, the few Python things that templates can see (tuples, views, ranges, one-shot iterators,
// namespaces, callables), and the budget that every one of them is counted against. No value refers to anything of the host.
//
// A Value is a small handle; text and containers are shared and, once built, never change, except iterators, loops, cyclers and
// namespaces, which templates change by design. Values of one render stay on the thread of that render. Literals belong to the parsed
// program and are shared by all renders: they are never counted and never changed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "jinja/chat_template.h"

namespace millrace::jinja {

// What is left of one render. Steps are charged before the work, memory is counted by the objects themselves.
class Budget {
 public:
  explicit Budget(const TemplateLimits& limits) : limits_(limits) {}

  // kResourceExhausted when the steps are used up or the live values have grown too large.
  Status Charge(uint64_t steps);
  Status ChargeBytes(uint64_t bytes) { return Charge(1 + bytes / 64); }
  // Of looking for one text in another: short patterns are tried at every place, long ones are not.
  Status ChargeSearch(uint64_t bytes, uint64_t pattern_bytes) {
    return Charge(1 + bytes * (1 + std::min<uint64_t>(pattern_bytes, 16) / 2) / 64);
  }
  // Asks before something of `bytes` is built; also charges the steps of copying it.
  Status Allow(uint64_t bytes);
  // The same for text that grows piece by piece: only the sum counts, and no steps.
  Status Fits(uint64_t bytes) const;
  // A container of `depth` levels.
  Status AllowDepth(uint32_t depth);

  const TemplateLimits& limits() const { return limits_; }
  void Grow(size_t bytes) { live_bytes_ += bytes; }
  void Shrink(size_t bytes) { live_bytes_ -= bytes; }

 private:
  TemplateLimits limits_;
  uint64_t steps_ = 0;
  uint64_t live_bytes_ = 0;
};

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kBigInt,  // above int64: from JSON only; can be shown and compared with itself, arithmetic refuses it
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kView,  // d.keys(), d.values(), d.items()
  kRange,
  kIterator,  // what lazy filters return: may be walked once
  kNamespace,
  kLoop,
  kMacro,
  kFunction,  // a global such as range
  kMethod,    // a method with its receiver, not yet called
  kCycler,
  kJoiner,
};

// Base of everything shared. `depth` is the number of container levels below and including this one; keeping it bounded bounds every
// recursion over values, their destruction included.
struct Object {
  Object(Budget* owner, size_t size, uint32_t levels) : budget(owner), bytes(size), depth(levels) {
    if (budget != nullptr) budget->Grow(bytes);
  }
  virtual ~Object() {
    if (budget != nullptr) budget->Shrink(bytes);
  }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  Budget* budget;  // null: a literal
  size_t bytes;
  uint32_t depth;
};

struct Text;
struct List;
struct Dict;
struct Range;
struct Iterator;
struct Namespace;

class Value {
 public:
  Value() = default;  // undefined without a reason
  static Value None() { return Value(Kind::kNone); }
  static Value Bool(bool value);
  static Value Int(int64_t value);
  static Value BigInt(uint64_t value);
  static Value Float(double value);
  // `text` must be UTF-8. Null budget: a literal.
  static Value String(Budget* budget, std::string text);
  static Value Markup(Budget* budget, std::string text);
  static Value Undefined(Budget* budget, std::string reason);
  static Value FromObject(Kind kind, std::shared_ptr<Object> object);
  // An object that something else keeps alive for as long as any value of the render.
  static Value FromUnowned(Kind kind, Object* object);

  Kind kind() const { return kind_; }
  bool Is(Kind kind) const { return kind_ == kind; }
  bool is_number() const { return kind_ >= Kind::kBool && kind_ <= Kind::kFloat; }
  bool is_integral() const { return kind_ == Kind::kBool || kind_ == Kind::kInt; }  // fits int64
  bool is_array() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }

  bool as_bool() const { return integer_ != 0; }
  int64_t as_int() const { return integer_; }                          // kBool and kInt
  uint64_t as_big() const { return static_cast<uint64_t>(integer_); }  // kBigInt
  double as_float() const { return float_; }                           // kFloat
  double ToDouble() const;                                             // any number
  const Text& text() const;                                            // kString
  std::string_view str() const;                                        // kString
  const std::vector<Value>& items() const;                             // kList, kTuple, kView
  const Dict& dict() const;
  const Range& range() const;
  std::string_view undefined_reason() const;
  Object* object() const { return object_.get(); }
  template <typename T>
  T& As() const {
    return *static_cast<T*>(object_.get());
  }

  uint32_t depth() const { return object_ == nullptr ? 0 : object_->depth; }
  std::string_view type_name() const;  // as Python names the type: "str", "int", "NoneType", "dict"

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kUndefined;
  union {
    int64_t integer_ = 0;
    double float_;
  };
  std::shared_ptr<Object> object_;
};

struct Text final : Object {
  Text(Budget* budget, std::string text, bool is_markup);
  std::string data;
  size_t length;  // code points
  bool markup;    // marked by the filter `safe`; Python would escape what is added to it
  bool ascii() const { return length == data.size(); }
};

// kList, kTuple, kView.
struct List final : Object {
  List(Budget* budget, std::vector<Value> values, uint32_t depth);
  std::vector<Value> items;
  std::string view_name;  // "dict_items" and so on
  bool is_group = false;  // of the filter groupby: items are also named grouper and list
};

// Keeps the order of insertion; later values for an equal key replace earlier ones in their place.
struct Dict final : Object {
  using Entry = std::pair<Value, Value>;
  Dict(Budget* budget, std::vector<Entry> sorted_entries, std::vector<uint32_t> hash_index, uint32_t depth);

  // Null when absent; an error when the key is not hashable.
  Result<const Value*> Find(const Value& key, Budget& budget) const;

  std::vector<Entry> entries;
  std::vector<uint32_t> index;  // open addressing over entries, position + 1; empty for small ones
};

// Collects the entries of a Dict.
class DictBuilder {
 public:
  explicit DictBuilder(Budget* budget) : budget_(budget) {}
  Status Set(Value key, Value value);  // kInvalidArgument for keys that are not hashable
  // Sets a key without value; false when it was there already.
  Result<bool> Add(Value key);
  Result<Value> Take();

 private:
  void Reindex();

  Budget* budget_;
  std::vector<Dict::Entry> entries_;
  std::vector<uint64_t> hashes_;  // of the keys of entries_
  std::vector<uint32_t> index_;
};

struct Range final : Object {
  Range(Budget* owner, int64_t from, int64_t to, int64_t by, int64_t length)
      : Object(owner, sizeof(Range), 1), start(from), stop(to), step(by), count(length) {}
  int64_t start, stop, step, count;
};

struct Iterator final : Object {
  Iterator(Budget* budget, std::vector<Value> values, uint32_t depth);
  std::vector<Value> items;
  size_t next = 0;
};

struct Namespace final : Object {
  explicit Namespace(Budget* owner) : Object(owner, sizeof(Namespace), 0) {}
  std::vector<std::pair<std::string, Value>> members;
};

struct Cycler final : Object {
  Cycler(Budget* budget, std::vector<Value> values, uint32_t depth);
  std::vector<Value> items;
  size_t position = 0;
};

struct Joiner final : Object {
  Joiner(Budget* owner, Value text) : Object(owner, sizeof(Joiner), 1), separator(std::move(text)) {}
  Value separator;
  bool used = false;
};

// A method of a receiver, or a global function (receiver undefined).
struct Method final : Object {
  Method(Budget* owner, Value self, std::string method, uint32_t levels)
      : Object(owner, sizeof(Method), levels), receiver(std::move(self)), name(std::move(method)) {}
  Value receiver;
  std::string name;
};

Result<Value> MakeList(Budget& budget, std::vector<Value> items);
Result<Value> MakeTuple(Budget& budget, std::vector<Value> items);
Result<Value> MakeView(Budget& budget, std::string_view name, std::vector<Value> items);
Result<Value> MakeIterator(Budget& budget, std::vector<Value> items);
Result<Value> MakeMethod(Budget& budget, Value receiver, std::string_view name);

// 1 + the deepest of `items`.
uint32_t DepthAbove(const std::vector<Value>& items);

// The JSON value with all below it. Errors: strings that are not UTF-8, nesting above the limit, memory.
Result<Value> FromJson(const Json& json, Budget& budget);

}  // namespace millrace::jinja
