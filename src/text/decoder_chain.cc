#include "text/decoder_chain.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/token_text.h"

namespace millrace::text {

// Takes tokens, whole or in parts, and hands them on. Parts are whole code points.
class DecoderChain::Step {
 public:
  virtual ~Step() = default;
  // `begins`: the text begins a token, else it goes on with the one before.
  virtual void Put(std::string_view text, bool begins) = 0;
  // After the last token; hands on what was held back and is then as new.
  virtual void End() = 0;
  virtual size_t pending() const { return 0; }

  Step* next = nullptr;
};

namespace {

using Step = DecoderChain::Step;

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Bytes to well-formed UTF-8, each maximal ill-formed part as U+FFFD.
class Utf8Repair {
 public:
  void Append(std::string_view bytes, std::string& out) {
    pending_ += bytes;
    std::string_view rest = pending_;
    while (!rest.empty()) {
      size_t taken = Utf8SequenceLength(rest);
      if (taken > 0) {
        out += rest.substr(0, taken);
      } else {
        if (Utf8IsIncomplete(rest)) break;
        taken = IllFormedLength(rest);
        out += kReplacement;
      }
      rest.remove_prefix(taken);
    }
    pending_.erase(0, pending_.size() - rest.size());
  }
  void Flush(std::string& out) {
    out += Utf8Sanitize(pending_);
    pending_.clear();
  }
  size_t pending() const { return pending_.size(); }

 private:
  // Of the maximal ill-formed part at the start of `text`, which neither is nor begins a well-formed sequence.
  static size_t IllFormedLength(std::string_view text) {
    size_t length = 1;
    while (length < text.size() && Utf8IsIncomplete(text.substr(0, length + 1))) ++length;
    return length;
  }

  std::string pending_;  // an incomplete UTF-8 sequence or empty
};

// The end of the chain.
class Collector : public Step {
 public:
  void Put(std::string_view text, bool) override { out->append(text); }
  void End() override {}

  std::string* out = nullptr;  // set during a call
};

// All tokens become one; `separator` stands between them.
class JoinStep : public Step {
 public:
  explicit JoinStep(std::string_view separator) : separator_(separator) {}
  void Put(std::string_view text, bool begins) override {
    if (begins && !first_ && !separator_.empty()) next->Put(separator_, false);
    next->Put(text, first_);
    first_ = false;
  }
  void End() override {
    if (first_) next->Put("", true);
    first_ = true;
    next->End();
  }

 private:
  std::string_view separator_;
  bool first_ = true;
};

class ByteLevelStep : public Step {
 public:
  void Put(std::string_view text, bool) override {
    const std::optional<std::string> bytes = BytesFromAlphabet(text);
    out_.clear();
    repair_.Append(bytes ? std::string_view(*bytes) : text, out_);
    next->Put(out_, std::exchange(first_, false));
  }
  void End() override {
    out_.clear();
    repair_.Flush(out_);
    next->Put(out_, std::exchange(first_, true));
    next->End();
  }
  size_t pending() const override { return repair_.pending(); }

 private:
  Utf8Repair repair_;
  std::string out_;
  bool first_ = true;
};

class ByteFallbackStep : public Step {
 public:
  void Put(std::string_view text, bool begins) override {
    const std::optional<uint8_t> byte = ByteOfToken(text);
    if (!byte) {
      EndRun();
      next->Put(text, begins);
      return;
    }
    out_.clear();
    const char raw = static_cast<char>(*byte);
    repair_.Append({&raw, 1}, out_);
    next->Put(out_, !std::exchange(in_run_, true));
  }
  void End() override {
    EndRun();
    next->End();
  }
  size_t pending() const override { return repair_.pending(); }

 private:
  void EndRun() {
    in_run_ = false;
    out_.clear();
    repair_.Flush(out_);
    if (!out_.empty()) next->Put(out_, false);
  }

  Utf8Repair repair_;
  std::string out_;
  bool in_run_ = false;
};

// `parts`: a token may come in several parts, so its end may be the beginning of `from`.
class ReplaceStep : public Step {
 public:
  ReplaceStep(std::string from, std::string to, bool parts) : from_(std::move(from)), to_(std::move(to)), parts_(parts) {}
  void Put(std::string_view text, bool begins) override {
    if (begins) Release();
    buffer_.assign(held_).append(text);
    held_.clear();
    out_.clear();
    size_t done = 0;
    for (size_t at = buffer_.find(from_); at != std::string::npos; at = buffer_.find(from_, done)) {
      out_.append(buffer_, done, at - done).append(to_);
      done = at + from_.size();
    }
    const std::string_view rest = std::string_view(buffer_).substr(done);
    const size_t kept = parts_ ? BeginningAtEnd(rest) : 0;
    out_.append(rest.substr(0, rest.size() - kept));
    held_ = rest.substr(rest.size() - kept);
    next->Put(out_, begins);
  }
  void End() override {
    Release();
    next->End();
  }
  size_t pending() const override { return held_.size(); }

 private:
  void Release() {
    if (!held_.empty()) next->Put(held_, false);
    held_.clear();
  }
  // The longest end of `text` that `from` begins with.
  size_t BeginningAtEnd(std::string_view text) const {
    size_t length = std::min(text.size(), from_.size() - 1);
    while (length > 0 && text.substr(text.size() - length) != std::string_view(from_).substr(0, length)) --length;
    return length;
  }

  std::string from_, to_;
  bool parts_;
  std::string held_, buffer_, out_;
};

class StripStep : public Step {
 public:
  StripStep(StripDecoder step, bool parts) : step_(std::move(step)), parts_(parts) {}
  void Put(std::string_view text, bool begins) override {
    if (begins) {
      leading_ = step_.start;
      run_ = 0;
    }
    const size_t size = step_.content.size();
    for (; leading_ > 0 && text.starts_with(step_.content); --leading_) text.remove_prefix(size);
    if (!text.empty()) leading_ = 0;
    size_t trailing = 0;  // characters at the end that may have to go
    std::string_view rest = text;
    for (; trailing < step_.stop && rest.ends_with(step_.content); ++trailing) rest.remove_suffix(size);
    out_.clear();
    // What was held back stays for sure as far as `stop` characters stand behind it.
    const size_t certain = rest.empty() ? std::max(run_ + trailing, step_.stop) - step_.stop : run_;
    for (size_t i = 0; i < certain; ++i) out_ += step_.content;
    run_ = rest.empty() ? run_ + trailing - certain : trailing;
    out_ += rest;
    if (!parts_) run_ = 0;
    next->Put(out_, begins);
  }
  void End() override {
    run_ = 0;
    next->End();
  }
  size_t pending() const override { return run_ * step_.content.size(); }

 private:
  StripDecoder step_;
  bool parts_;
  size_t leading_ = 0;  // characters that may still go at the start of this token
  size_t run_ = 0;      // characters held back at its end
  std::string out_;
};

class MetaspaceStep : public Step {
 public:
  explicit MetaspaceStep(MetaspaceDecoder step) : step_(std::move(step)) {}
  void Put(std::string_view text, bool begins) override {
    if (begins) ++tokens_;
    const bool drops = tokens_ == 1 && step_.scheme != PrependScheme::kNever;
    next->Put(ReplaceAll(text, step_.replacement, drops ? "" : " "), begins);
  }
  void End() override {
    tokens_ = 0;
    next->End();
  }

 private:
  MetaspaceDecoder step_;
  size_t tokens_ = 0;
};

// Of whole tokens.
class WordPieceStep : public Step {
 public:
  explicit WordPieceStep(WordPieceDecoder step) : step_(std::move(step)) {}
  void Put(std::string_view text, bool begins) override {
    out_.clear();
    if (!std::exchange(first_, false)) {
      if (text.starts_with(step_.prefix)) {
        text.remove_prefix(step_.prefix.size());
      } else {
        out_ = ' ';
      }
    }
    out_ += text;
    if (step_.clean_up) {
      for (const auto& [from, to] : WordPieceCleanUp()) {
        if (out_.find(from) != std::string::npos) out_ = ReplaceAll(out_, from, to);
      }
    }
    next->Put(out_, begins);
  }
  void End() override {
    first_ = true;
    next->End();
  }

 private:
  WordPieceDecoder step_;
  bool first_ = true;
  std::string out_;
};

// Of whole tokens. One with the suffix waits until it is known whether it is the last.
class SuffixStep : public Step {
 public:
  explicit SuffixStep(std::string suffix) : suffix_(std::move(suffix)) {}
  void Put(std::string_view text, bool begins) override {
    if (waiting_) next->Put(ReplaceAll(*waiting_, suffix_, " "), true);
    waiting_.reset();
    if (text.find(suffix_) == std::string_view::npos) return next->Put(text, begins);
    waiting_ = std::string(text);
  }
  void End() override {
    if (waiting_) next->Put(ReplaceAll(*waiting_, suffix_, ""), true);
    waiting_.reset();
    next->End();
  }
  size_t pending() const override { return waiting_ ? waiting_->size() : 0; }

 private:
  std::string suffix_;
  std::optional<std::string> waiting_;
};

}  // namespace

// Makes the steps and knows what reaches each of them.
class DecoderChain::Builder {
 public:
  explicit Builder(std::vector<std::unique_ptr<Step>>& steps) : steps_(steps) {}

  void operator()(const ByteLevelDecoder&) {
    Add(std::make_unique<ByteLevelStep>());
    parts_ = fused_ = true;
  }
  void operator()(const ReplaceDecoder& step) { Add(std::make_unique<ReplaceStep>(step.from, step.to, parts_)); }
  void operator()(const ByteFallbackDecoder&) {
    Add(std::make_unique<ByteFallbackStep>());
    parts_ = true;
  }
  void operator()(const FuseDecoder&) { Join(""); }
  void operator()(const StripDecoder& step) { Add(std::make_unique<StripStep>(step, parts_)); }
  void operator()(const MetaspaceDecoder& step) { Add(std::make_unique<MetaspaceStep>(step)); }
  void operator()(const WordPieceDecoder& step) {
    if (!fused_) return Add(std::make_unique<WordPieceStep>(step));
    if (step.clean_up) CleanUp(WordPieceCleanUp());  // the one token is the first
  }
  void operator()(const SuffixDecoder& step) {
    if (!fused_) return Add(std::make_unique<SuffixStep>(step.suffix));
    Add(std::make_unique<ReplaceStep>(step.suffix, "", true));  // the one token is the last
  }

  void Join(std::string_view separator) {
    Add(std::make_unique<JoinStep>(separator));
    parts_ = fused_ = true;
  }
  void CleanUp(std::span<const Replacement> replacements) {
    if (!fused_) Join("");
    for (const auto& [from, to] : replacements) {
      Add(std::make_unique<ReplaceStep>(std::string(from), std::string(to), true));
    }
  }
  void Add(std::unique_ptr<Step> step) {
    if (!steps_.empty()) steps_.back()->next = step.get();
    steps_.push_back(std::move(step));
  }

 private:
  std::vector<std::unique_ptr<Step>>& steps_;
  bool parts_ = false;  // tokens may come in parts
  bool fused_ = false;  // all is one token
};

DecoderChain::DecoderChain(std::span<const DecoderStep> steps, bool clean_up_spaces) {
  Builder builder(steps_);
  for (const DecoderStep& step : steps) std::visit(builder, step);
  if (steps.empty()) builder.Join(" ");
  if (clean_up_spaces) builder.CleanUp(SpaceCleanUp());
  builder.Add(std::make_unique<Collector>());
}

DecoderChain::~DecoderChain() = default;
DecoderChain::DecoderChain(DecoderChain&&) noexcept = default;
DecoderChain& DecoderChain::operator=(DecoderChain&&) noexcept = default;

void DecoderChain::Put(std::string_view file_text, std::string& out) {
  static_cast<Collector&>(*steps_.back()).out = &out;
  steps_.front()->Put(file_text, true);
}

void DecoderChain::End(std::string& out) {
  static_cast<Collector&>(*steps_.back()).out = &out;
  steps_.front()->End();
}

size_t DecoderChain::pending_bytes() const {
  size_t sum = 0;
  for (const auto& step : steps_) sum += step->pending();
  return sum;
}

}  // namespace millrace::text
