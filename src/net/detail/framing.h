// Our own framing check: reads request heads and chunked bodies under every rule and limit, before anything else interprets them.
// Both readers work on a stream cut anywhere; their verdict depends on the bytes only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/limits.h"

namespace millrace::net::detail {

struct Fault {
  int status = 0;           // 0 = none
  const char* reason = "";  // fixed text
  explicit operator bool() const { return status != 0; }
};

// What a checked head says; views into HeadReader::bytes().
struct HeadFacts {
  std::string_view method;
  std::string_view target;
  std::string_view host;  // of the first Host header
  int minor_version = 1;
  size_t field_count = 0;
  size_t host_count = 0;
  bool has_length = false;
  uint64_t length = 0;
  bool chunked = false;
  bool keep_alive = true;
  bool expects_continue = false;
};

class HeadReader {
 public:
  explicit HeadReader(const ParseLimits& limits) : limits_(limits) {}

  size_t Feed(std::string_view bytes);  // how many were taken; stops behind the head and at a fault
  bool started() const { return started_; }
  bool complete() const { return complete_; }
  const Fault& fault() const { return fault_; }
  const std::string& bytes() const { return bytes_; }  // the head so far, without a leading empty line
  HeadFacts facts() const;                             // when complete

 private:
  struct Span {  // views would dangle while bytes_ grows
    size_t begin = 0;
    size_t size = 0;
  };
  void Fail(int status, const char* reason) { fault_ = {status, reason}; }
  bool TakeOverBudget(size_t take);
  void FinishLine();
  void CheckRequestLine(std::string_view line);
  void CheckTarget();
  void CheckField(std::string_view line);
  void CheckKnownField(std::string_view name, std::string_view value);
  void CheckLength(std::string_view value);
  void CheckCoding(std::string_view value);
  void ReadConnection(std::string_view value, bool& close, bool& keep);
  void CheckWhole();
  std::string_view View(Span span) const { return std::string_view(bytes_).substr(span.begin, span.size); }
  Span SpanOf(std::string_view view) const { return {static_cast<size_t>(view.data() - bytes_.data()), view.size()}; }

  const ParseLimits limits_;
  std::string bytes_;
  size_t line_begin_ = 0;
  size_t lines_ = 0;
  bool started_ = false;
  bool leading_line_ = false;  // one empty line before the request line was skipped
  bool complete_ = false;
  bool close_ = false;  // Connection: close
  bool keep_ = false;   // Connection: keep-alive
  Fault fault_;
  Span method_, target_, host_;
  HeadFacts facts_;
};

// One "name: value" line of a head or a trailer, without its line end.
struct FieldLine {
  std::string_view name;
  std::string_view value;
  Fault fault;
};
FieldLine ReadFieldLine(std::string_view line);

// A chunked body with its trailers, appended to a string.
class ChunkReader {
 public:
  explicit ChunkReader(const ParseLimits& limits) : limits_(limits) {}

  size_t Feed(std::string_view bytes, size_t body_limit, std::string& body);
  bool complete() const { return state_ == State::kDone; }
  const Fault& fault() const { return fault_; }

 private:
  enum class State { kSize, kExtension, kSizeEnd, kData, kDataCr, kDataLf, kTrailer, kDone };
  void Fail(int status, const char* reason) { fault_ = {status, reason}; }
  void OnSizeByte(char c);
  void OnExtensionByte(char c);
  void OnSizeEnd(char c, size_t room);
  void OnTrailerByte(char c);

  const ParseLimits limits_;
  State state_ = State::kSize;
  uint64_t size_ = 0;
  int digits_ = 0;
  size_t extension_ = 0;
  size_t extensions_ = 0;
  size_t trailers_ = 0;
  std::string line_;  // of a trailer
  Fault fault_;
};

}  // namespace millrace::net::detail
