// Methods of strings, lists, tuples, dicts, cyclers, joiners and loops: what Python's immutable sandbox lets a template call.
#include <algorithm>
#include <limits>
#include <optional>
#include <span>

#include "base/unicode_ranges.h"
#include "base/utf8.h"
#include "jinja/ops.h"
#include "jinja/runtime.h"
#include "jinja/text.h"

namespace millrace::jinja {
namespace {

using Run = Result<Value> (*)(const Value& self, const CallArguments& arguments, Runtime& runtime);
struct MethodEntry {
  std::string_view name;
  Run run;
};

Result<Value> TextList(const std::vector<std::string_view>& parts, Runtime& runtime) {
  RETURN_IF_ERROR(runtime.budget.Allow(parts.size() * (sizeof(Value) + sizeof(Text))));
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const std::string_view part : parts) items.push_back(Value::String(&runtime.budget, std::string(part)));
  return MakeList(runtime.budget, std::move(items));
}

// --- str ---

template <std::string (*kMap)(std::string_view)>
Result<Value> MapText(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("a method of str", arguments, {}));
  RETURN_IF_ERROR(runtime.budget.Charge(self.str().size() / 4));
  return NewText(kMap(self.str()), runtime);
}

template <bool (*kHolds)(std::string_view)>
Result<Value> AskText(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("a method of str", arguments, {}));
  RETURN_IF_ERROR(runtime.budget.Charge(self.str().size() / 4));
  return Value::Bool(kHolds(self.str()));
}

template <bool (*kHolds)(char32_t)>
bool All(std::string_view text) {
  return AllCharacters(text, kHolds);
}

bool IsAlphanumeric(char32_t c) { return IsAlphabetic(c) || IsDecimal(c) || IsDigit(c) || IsNumeric(c); }
bool IsAscii(std::string_view text) { return CountCodePoints(text) == text.size(); }
bool IsAllPrintable(std::string_view text) { return text.empty() || AllCharacters(text, IsPrintable); }

template <Side kSide>
Result<Value> StripMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("strip", arguments, {"chars"}));
  std::optional<std::string_view> chars;
  if (!bound.IsNoneOrMissing(0)) {
    ASSIGN_OR_RETURN(chars, bound.Text(0, ""));
  }
  RETURN_IF_ERROR(runtime.budget.ChargeBytes(self.str().size() + (chars ? chars->size() * 8 : 0)));
  return NewText(std::string(Strip(self.str(), chars, kSide)), runtime);
}

template <std::vector<std::string_view> (*kSplit)(std::string_view, std::optional<std::string_view>, size_t)>
Result<Value> SplitMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("split", arguments, {"sep", "maxsplit"}));
  std::optional<std::string_view> separator;
  if (!bound.IsNoneOrMissing(0)) {
    ASSIGN_OR_RETURN(separator, bound.Text(0, ""));
    if (separator->empty()) return Error(Code::kInvalidArgument, "split: the separator is empty");
  }
  ASSIGN_OR_RETURN(const int64_t limit, bound.Integer(1, -1));
  RETURN_IF_ERROR(runtime.budget.Allow(self.str().size()));
  RETURN_IF_ERROR(runtime.budget.ChargeSearch(self.str().size(), separator ? separator->size() : 1));
  // Before splitting: as many parts as the text could have.
  const size_t most = separator ? CountOccurrences(self.str(), *separator) + 1 : self.str().size() / 2 + 1;
  RETURN_IF_ERROR(runtime.budget.Fits(most * sizeof(std::string_view)));
  return TextList(kSplit(self.str(), separator, limit < 0 ? kNoLimit : static_cast<size_t>(limit)), runtime);
}

Result<Value> SplitLinesMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("splitlines", arguments, {"keepends"}));
  ASSIGN_OR_RETURN(const bool keep_ends, bound.Flag(0));
  RETURN_IF_ERROR(runtime.budget.Allow(self.str().size() * 16));
  return TextList(SplitLines(self.str(), keep_ends), runtime);
}

template <bool kLast>
Result<Value> PartitionMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("partition", arguments, {"sep"}));
  RETURN_IF_ERROR(bound.Required(0));
  ASSIGN_OR_RETURN(const std::string_view separator, bound.Text(0, ""));
  if (separator.empty()) return Error(Code::kInvalidArgument, "partition: the separator is empty");
  RETURN_IF_ERROR(runtime.budget.Allow(self.str().size()));
  RETURN_IF_ERROR(runtime.budget.ChargeSearch(self.str().size(), separator.size()));
  const std::string_view text = self.str();
  const size_t at = kLast ? FindLast(text, separator) : FindFirst(text, separator);
  const auto make = [&](std::string_view part) { return Value::String(&runtime.budget, std::string(part)); };
  if (at == std::string_view::npos) {
    return kLast ? MakeTuple(runtime.budget, {make(""), make(""), self}) : MakeTuple(runtime.budget, {self, make(""), make("")});
  }
  return MakeTuple(runtime.budget, {make(text.substr(0, at)), make(separator), make(text.substr(at + separator.size()))});
}

// The part of a text that str methods with start and end look at.
struct Window {
  std::string_view text;
  int64_t start;        // in characters
  bool beyond = false;  // the start lies behind the end of the text or of the window: nothing is found there, not even ""
};

Result<Window> WindowOf(const Value& self, const Bound& bound, size_t first, Runtime& runtime) {
  const auto length = static_cast<int64_t>(self.text().length);
  int64_t ends[2] = {0, length};
  for (size_t i = 0; i < 2; ++i) {
    if (bound.IsNoneOrMissing(first + i)) continue;
    ASSIGN_OR_RETURN(ends[i], bound.Integer(first + i, ends[i]));
    if (ends[i] < 0) ends[i] = std::max<int64_t>(ends[i] + length, 0);
  }
  ends[1] = std::min(ends[1], length);
  RETURN_IF_ERROR(runtime.budget.ChargeBytes(self.str().size()));
  if (ends[0] > ends[1]) return Window{{}, ends[0], true};
  const size_t from = ByteOffset(self.str(), static_cast<size_t>(ends[0]));
  const size_t to = ByteOffset(self.str(), static_cast<size_t>(ends[1]));
  return Window{self.str().substr(from, to - from), ends[0]};
}

template <bool kEnd>
Result<Value> AffixMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of(kEnd ? "endswith" : "startswith", arguments, {"prefix", "start", "end"}));
  ASSIGN_OR_RETURN(const Value affix, bound.Required(0));
  ASSIGN_OR_RETURN(const Window window, WindowOf(self, bound, 1, runtime));
  const std::span<const Value> choices = affix.Is(Kind::kTuple) ? std::span(affix.items()) : std::span(&affix, 1);
  for (const Value& choice : choices) {
    if (!choice.Is(Kind::kString)) return TypeError(kEnd ? "endswith" : "startswith", choice);
    RETURN_IF_ERROR(runtime.budget.ChargeBytes(choice.str().size()));
    if (window.beyond) continue;
    if (kEnd ? window.text.ends_with(choice.str()) : window.text.starts_with(choice.str())) return Value::Bool(true);
  }
  return Value::Bool(false);
}

enum class Search : uint8_t { kFind, kFindLast, kIndex, kIndexLast, kCount };

template <Search kSearch>
Result<Value> SearchMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("find", arguments, {"sub", "start", "end"}));
  RETURN_IF_ERROR(bound.Required(0));
  ASSIGN_OR_RETURN(const std::string_view pattern, bound.Text(0, ""));
  ASSIGN_OR_RETURN(const Window window, WindowOf(self, bound, 1, runtime));
  RETURN_IF_ERROR(runtime.budget.ChargeSearch(window.text.size(), pattern.size()));
  if (kSearch == Search::kCount) {
    return Value::Int(window.beyond ? 0 : static_cast<int64_t>(CountOccurrences(window.text, pattern)));
  }
  const bool last = kSearch == Search::kFindLast || kSearch == Search::kIndexLast;
  const size_t at = window.beyond ? std::string_view::npos
                    : last        ? FindLast(window.text, pattern)
                                  : FindFirst(window.text, pattern);
  if (at != std::string_view::npos) {
    return Value::Int(window.start + static_cast<int64_t>(CountCodePoints(window.text.substr(0, at))));
  }
  if (kSearch == Search::kFind || kSearch == Search::kFindLast) return Value::Int(-1);
  return Error(Code::kInvalidArgument, "index: the text does not occur");
}

Result<Value> ReplaceMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("replace", arguments, {"old", "new", "count"}));
  RETURN_IF_ERROR(bound.Required(0));
  RETURN_IF_ERROR(bound.Required(1));
  ASSIGN_OR_RETURN(const std::string_view pattern, bound.Text(0, ""));
  ASSIGN_OR_RETURN(const std::string_view with, bound.Text(1, ""));
  ASSIGN_OR_RETURN(const int64_t limit, bound.Integer(2, -1));
  RETURN_IF_ERROR(runtime.budget.ChargeSearch(self.str().size(), 2 * pattern.size()));  // once to count, once to replace
  const uint64_t occurrences = CountOccurrences(self.str(), pattern);
  const uint64_t count = limit < 0 ? occurrences : std::min(occurrences, static_cast<uint64_t>(limit));
  // Texts are far below 2^32 bytes each: neither factor nor sum can overflow.
  RETURN_IF_ERROR(runtime.budget.Allow(self.str().size() + count * with.size()));
  return NewText(Replace(self.str(), pattern, with, count), runtime);
}

Result<Value> JoinMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("join", arguments, {"iterable"}));
  ASSIGN_OR_RETURN(const Value iterable, bound.Required(0));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(iterable, runtime.budget));
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].Is(Kind::kString)) return TypeError("join", items[i]);
    RETURN_IF_ERROR(runtime.budget.ChargeBytes(self.str().size() + items[i].str().size()));
    RETURN_IF_ERROR(runtime.budget.Fits(out.size() + self.str().size() + items[i].str().size()));
    if (i > 0) out += self.str();
    out += items[i].str();
  }
  return NewText(std::move(out), runtime);
}

Result<Value> FormatMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  return FormatBraces(self, arguments.positional, arguments.named, runtime.budget);
}

Result<Value> FormatMapMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("format_map", arguments, {"mapping"}));
  ASSIGN_OR_RETURN(const Value mapping, bound.Required(0));
  if (!arguments.named.empty() || !mapping.Is(Kind::kDict)) return TypeError("format_map", mapping);
  NamedValues named;
  RETURN_IF_ERROR(runtime.budget.Allow(mapping.dict().entries.size() * 64));
  for (const auto& [key, value] : mapping.dict().entries) {
    if (key.Is(Kind::kString)) named.emplace_back(key.str(), value);
  }
  return FormatBraces(self, {}, named, runtime.budget);
}

template <bool kEnd>
Result<Value> RemoveAffixMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of(kEnd ? "removesuffix" : "removeprefix", arguments, {"affix"}));
  RETURN_IF_ERROR(bound.Required(0));
  ASSIGN_OR_RETURN(const std::string_view affix, bound.Text(0, ""));
  std::string_view text = self.str();
  if (kEnd && text.ends_with(affix)) text.remove_suffix(affix.size());
  if (!kEnd && text.starts_with(affix)) text.remove_prefix(affix.size());
  return NewText(std::string(text), runtime);
}

enum class Justify : uint8_t { kLeft, kRight, kCenter };

template <Justify kJustify>
Result<Value> JustifyMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("ljust, rjust or center", arguments, {"width", "fillchar"}));
  RETURN_IF_ERROR(bound.Required(0));
  ASSIGN_OR_RETURN(const int64_t width, bound.Integer(0, 0));
  ASSIGN_OR_RETURN(const std::string_view fill, bound.Text(1, " "));
  if (CountCodePoints(fill) != 1) return Error(Code::kInvalidArgument, "the fill character must be one character");
  const auto length = static_cast<int64_t>(self.text().length);
  const int64_t missing = std::max<int64_t>(width > length ? width - length : 0, 0);
  RETURN_IF_ERROR(runtime.budget.Fits(static_cast<uint64_t>(missing)));
  RETURN_IF_ERROR(runtime.budget.Allow(self.str().size() + static_cast<uint64_t>(missing) * fill.size()));
  int64_t left = kJustify == Justify::kLeft ? 0 : missing;
  if (kJustify == Justify::kCenter) left = missing / 2 + (missing & width & 1);  // as CPython rounds
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += self.str();
  for (int64_t i = left; i < missing; ++i) out += fill;
  return NewText(std::move(out), runtime);
}

Result<Value> ZfillMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("zfill", arguments, {"width"}));
  RETURN_IF_ERROR(bound.Required(0));
  ASSIGN_OR_RETURN(const int64_t width, bound.Integer(0, 0));
  const auto length = static_cast<int64_t>(self.text().length);
  const uint64_t missing = width > length ? static_cast<uint64_t>(width - length) : 0;
  RETURN_IF_ERROR(runtime.budget.Allow(self.str().size()));
  RETURN_IF_ERROR(runtime.budget.Allow(missing));
  const bool sign = self.str().starts_with('+') || self.str().starts_with('-');
  std::string out(self.str().substr(0, sign ? 1 : 0));
  out.append(static_cast<size_t>(missing), '0').append(self.str().substr(sign ? 1 : 0));
  return NewText(std::move(out), runtime);
}

Result<Value> ExpandTabsMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("expandtabs", arguments, {"tabsize"}));
  ASSIGN_OR_RETURN(const int64_t given, bound.Integer(0, 8));
  const uint64_t size = given < 0 ? 0 : static_cast<uint64_t>(given);
  RETURN_IF_ERROR(runtime.budget.Fits(size));
  RETURN_IF_ERROR(runtime.budget.Allow(self.str().size() + CountOccurrences(self.str(), "\t") * size));
  std::string out;
  uint64_t column = 0;
  for (const char c : self.str()) {
    if (c == '\t') {
      const uint64_t spaces = size == 0 ? 0 : size - column % size;
      out.append(static_cast<size_t>(spaces), ' ');
      column += spaces;
      continue;
    }
    out += c;
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) ++column;
    if (c == '\n' || c == '\r') column = 0;
  }
  return NewText(std::move(out), runtime);
}

// Full case folding differs from lower case for a handful of characters; only where it cannot is it done.
Result<Value> CasefoldMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  if (!self.text().ascii()) return Error(Code::kUnsupported, "casefold of text beyond ASCII is not supported");
  return MapText<Lower>(self, arguments, runtime);
}

constexpr MethodEntry kTextMethods[] = {
    {"capitalize", MapText<Capitalize>},
    {"casefold", CasefoldMethod},
    {"center", JustifyMethod<Justify::kCenter>},
    {"count", SearchMethod<Search::kCount>},
    {"endswith", AffixMethod<true>},
    {"expandtabs", ExpandTabsMethod},
    {"find", SearchMethod<Search::kFind>},
    {"format", FormatMethod},
    {"format_map", FormatMapMethod},
    {"index", SearchMethod<Search::kIndex>},
    {"isalnum", AskText<All<IsAlphanumeric>>},
    {"isalpha", AskText<All<IsAlphabetic>>},
    {"isascii", AskText<IsAscii>},
    {"isdecimal", AskText<All<IsDecimal>>},
    {"isdigit", AskText<All<IsDigit>>},
    {"islower", AskText<IsAllLower>},
    {"isnumeric", AskText<All<IsNumeric>>},
    {"isprintable", AskText<IsAllPrintable>},
    {"isspace", AskText<All<IsSpace>>},
    {"istitle", AskText<IsTitleCased>},
    {"isupper", AskText<IsAllUpper>},
    {"join", JoinMethod},
    {"ljust", JustifyMethod<Justify::kLeft>},
    {"lower", MapText<Lower>},
    {"lstrip", StripMethod<Side::kLeft>},
    {"partition", PartitionMethod<false>},
    {"removeprefix", RemoveAffixMethod<false>},
    {"removesuffix", RemoveAffixMethod<true>},
    {"replace", ReplaceMethod},
    {"rfind", SearchMethod<Search::kFindLast>},
    {"rindex", SearchMethod<Search::kIndexLast>},
    {"rjust", JustifyMethod<Justify::kRight>},
    {"rpartition", PartitionMethod<true>},
    {"rsplit", SplitMethod<SplitFromRight>},
    {"rstrip", StripMethod<Side::kRight>},
    {"split", SplitMethod<Split>},
    {"splitlines", SplitLinesMethod},
    {"startswith", AffixMethod<false>},
    {"strip", StripMethod<Side::kBoth>},
    {"swapcase", MapText<SwapCase>},
    {"title", MapText<TitleWords>},
    {"upper", MapText<Upper>},
    {"zfill", ZfillMethod},
};

// --- list and tuple ---

Result<Value> CountItems(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("count", arguments, {"value"}));
  ASSIGN_OR_RETURN(const Value wanted, bound.Required(0));
  int64_t count = 0;
  for (const Value& item : self.items()) {
    ASSIGN_OR_RETURN(const bool equal, Equal(item, wanted, runtime.budget));
    count += equal ? 1 : 0;
  }
  return Value::Int(count);
}

Result<Value> IndexOfItem(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("index", arguments, {"value", "start", "stop"}));
  ASSIGN_OR_RETURN(const Value wanted, bound.Required(0));
  const auto length = static_cast<int64_t>(self.items().size());
  ASSIGN_OR_RETURN(int64_t start, bound.Integer(1, 0));
  ASSIGN_OR_RETURN(int64_t stop, bound.Integer(2, length));
  if (start < 0) start = std::max<int64_t>(start + length, 0);
  if (stop < 0) stop = std::max<int64_t>(stop + length, 0);
  for (int64_t i = start; i < std::min(stop, length); ++i) {
    ASSIGN_OR_RETURN(const bool equal, Equal(self.items()[static_cast<size_t>(i)], wanted, runtime.budget));
    if (equal) return Value::Int(i);
  }
  return Error(Code::kInvalidArgument, "index: the value is not in the {}", self.type_name());
}

// Nothing changes a list or a dict, so a copy is the same one.
Result<Value> CopyMethod(const Value& self, const CallArguments& arguments, Runtime&) {
  RETURN_IF_ERROR(Bound::Of("copy", arguments, {}));
  return self;
}

constexpr MethodEntry kListMethods[] = {{"copy", CopyMethod}, {"count", CountItems}, {"index", IndexOfItem}};
constexpr MethodEntry kTupleMethods[] = {{"count", CountItems}, {"index", IndexOfItem}};

// --- dict ---

Result<Value> GetMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  if (!arguments.named.empty()) return Error(Code::kInvalidArgument, "'get' takes no named arguments");
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("get", arguments, {"key", "default"}));
  ASSIGN_OR_RETURN(const Value key, bound.Required(0));
  ASSIGN_OR_RETURN(const Value* const found, self.dict().Find(key, runtime.budget));
  if (found != nullptr) return *found;
  return bound[1] == nullptr ? Value::None() : *bound[1];
}

Result<Value> KeysMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("keys", arguments, {}));
  std::vector<Value> keys;
  RETURN_IF_ERROR(runtime.budget.Allow(self.dict().entries.size() * sizeof(Value)));
  for (const auto& entry : self.dict().entries) keys.push_back(entry.first);
  return MakeView(runtime.budget, "dict_keys", std::move(keys));
}

Result<Value> ValuesMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("values", arguments, {}));
  std::vector<Value> values;
  RETURN_IF_ERROR(runtime.budget.Allow(self.dict().entries.size() * sizeof(Value)));
  for (const auto& entry : self.dict().entries) values.push_back(entry.second);
  return MakeView(runtime.budget, "dict_values", std::move(values));
}

Result<Value> ItemsMethod(const Value& self, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("items", arguments, {}));
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict().entries) {
    ASSIGN_OR_RETURN(Value pair, MakeTuple(runtime.budget, {key, value}));
    items.push_back(std::move(pair));
  }
  return MakeView(runtime.budget, "dict_items", std::move(items));
}

Result<Value> FromKeysMethod(const Value&, const CallArguments& arguments, Runtime& runtime) {
  return CallGlobal("dict.fromkeys", arguments, runtime);
}

constexpr MethodEntry kDictMethods[] = {{"copy", CopyMethod},   {"fromkeys", FromKeysMethod}, {"get", GetMethod},
                                        {"items", ItemsMethod}, {"keys", KeysMethod},         {"values", ValuesMethod}};

// --- cycler, loop ---

Result<Value> CyclerNext(const Value& self, const CallArguments& arguments, Runtime&) {
  RETURN_IF_ERROR(Bound::Of("next", arguments, {}));
  auto& cycler = self.As<Cycler>();
  const Value current = cycler.items[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.items.size();
  return current;
}

Result<Value> CyclerReset(const Value& self, const CallArguments& arguments, Runtime&) {
  RETURN_IF_ERROR(Bound::Of("reset", arguments, {}));
  self.As<Cycler>().position = 0;
  return Value::None();
}

constexpr MethodEntry kCyclerMethods[] = {{"next", CyclerNext}, {"reset", CyclerReset}};

Result<Value> LoopCycle(const Value& self, const CallArguments& arguments, Runtime&) {
  return self.As<LoopObject>().Call("cycle", arguments);
}

Result<Value> LoopChanged(const Value& self, const CallArguments& arguments, Runtime&) {
  return self.As<LoopObject>().Call("changed", arguments);
}

constexpr MethodEntry kLoopMethods[] = {{"cycle", LoopCycle}, {"changed", LoopChanged}};

std::span<const MethodEntry> MethodsOf(Kind kind) {
  switch (kind) {
    case Kind::kString:
      return kTextMethods;
    case Kind::kList:
      return kListMethods;
    case Kind::kTuple:
      return kTupleMethods;
    case Kind::kDict:
      return kDictMethods;
    case Kind::kCycler:
      return kCyclerMethods;
    case Kind::kLoop:
      return kLoopMethods;
    default:
      return {};
  }
}

const MethodEntry* FindMethod(Kind kind, std::string_view name) {
  for (const MethodEntry& entry : MethodsOf(kind)) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

}  // namespace

bool HasMethod(const Value& receiver, std::string_view name) { return FindMethod(receiver.kind(), name) != nullptr; }

Result<Value> CallMethod(const Value& receiver, std::string_view name, const CallArguments& arguments, Runtime& runtime) {
  const MethodEntry* const method = FindMethod(receiver.kind(), name);
  if (method == nullptr) return Error(Code::kInternal, "no method '{}'", name);
  if (receiver.Is(Kind::kString) && receiver.text().markup) {
    return Error(Code::kUnsupported, "methods of text marked as safe are not supported");
  }
  return method->run(receiver, arguments, runtime);
}

}  // namespace millrace::jinja
