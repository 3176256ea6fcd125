// A running for loop: the items still to come, filtered one by one as they are needed, and what the template sees as `loop`.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "jinja/eval.h"

namespace millrace::jinja {

class LoopState final : public LoopObject {
 public:
  // `outer` is the scope around the loop; `level` counts the calls of a recursive loop inside each other. Evaluates nothing yet.
  LoopState(Evaluator& evaluator, const Stmt& stmt, Value source, size_t outer, uint32_t level);

  // Reads the items of what is not a list. To be called once, before Next.
  Status Prepare();
  // Steps to the next item; false at the end.
  Result<bool> Next();
  const Value& current() const { return current_; }
  // The condition can no longer be evaluated: its variables are gone.
  void End() { ended_ = true; }
  // loop(items) of a recursive loop: what its body makes of these items.
  Result<Value> Recurse(const CallArguments& arguments) override;

  Result<Value> Attribute(std::string_view name) override;
  Result<Value> Call(std::string_view method, const CallArguments& arguments) override;

 private:
  // The next item that satisfies the condition, consumed; unset at the end.
  Result<std::optional<Value>> Pull();
  std::optional<Value> PullUnfiltered();
  Result<bool> Satisfies(const Value& item);
  Result<Value> Repack(const Target& target, const Value& item);
  Result<const Value*> Peek();  // null at the end
  Result<int64_t> Count();

  Evaluator& evaluator_;
  const Stmt& stmt_;
  Value source_;
  size_t outer_;
  uint64_t outer_serial_;
  uint32_t level_;
  std::vector<Value> own_items_;
  size_t position_ = 0;
  std::deque<Value> ahead_;  // pulled, not yet reached
  bool ended_ = false;
  int64_t index_ = -1;
  Value previous_, current_;
  std::optional<std::vector<Value>> changed_;
};

}  // namespace millrace::jinja
