#include "net/detail/framing.h"

#include <algorithm>

#include "net/detail/text_classes.h"
#include "net/http_request.h"

namespace millrace::net::detail {
namespace {

constexpr int kMaxChunkDigits = 16;
constexpr size_t kMaxLengthDigits = 19;  // every such number fits 64 bits

// True when each '%' is followed by two hex digits and nothing decodes to NUL, CR or LF.
bool EscapesAreSafe(std::string_view text) {
  std::string decoded;
  return PercentDecode(text, decoded) && decoded.find_first_of(std::string_view("\0\r\n", 3)) == std::string::npos;
}

}  // namespace

FieldLine ReadFieldLine(std::string_view line) {
  FieldLine field;
  if (IsBlank(line.front())) {
    field.fault = {400, "folded headers are not allowed"};
    return field;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) {
    field.fault = {400, "header without colon"};
    return field;
  }
  field.name = line.substr(0, colon);
  field.value = TrimBlanks(line.substr(colon + 1));
  if (!IsToken(field.name)) {
    field.fault = {400, "header name is not a token"};
  } else if (!std::ranges::all_of(field.value, IsValueChar)) {
    field.fault = {400, "control character in a header"};
  }
  return field;
}

// Refuses as soon as the line or the head would grow above its limit, whichever comes first in the stream: so the verdict does
// not depend on how many bytes one call brings.
bool HeadReader::TakeOverBudget(size_t take) {
  const bool request_line = lines_ == 0;
  const size_t line_end = line_begin_ + (request_line ? limits_.request_line_bytes : limits_.header_line_bytes) + 2;
  if (bytes_.size() + take <= std::min(line_end, limits_.head_bytes)) return false;
  if (line_end > limits_.head_bytes) {
    Fail(431, "request head too large");
  } else if (request_line) {
    Fail(414, "request line too long");
  } else {
    Fail(431, "header too long");
  }
  return true;
}

size_t HeadReader::Feed(std::string_view bytes) {
  size_t taken = 0;
  while (taken < bytes.size() && !complete_ && !fault_) {
    const std::string_view rest = bytes.substr(taken);
    started_ = true;
    if (bytes_.empty() && !IsTokenChar(rest.front()) && (leading_line_ || rest.front() != '\r')) {
      Fail(400, "request line expected");  // at the first byte: binary protocols on the wrong port are told at once
      break;
    }
    const size_t line_feed = rest.find('\n');
    const size_t take = line_feed == std::string_view::npos ? rest.size() : line_feed + 1;
    if (TakeOverBudget(take)) break;
    bytes_.append(rest.substr(0, take));
    taken += take;
    if (line_feed != std::string_view::npos) FinishLine();
  }
  return taken;
}

void HeadReader::FinishLine() {
  std::string_view line = std::string_view(bytes_).substr(line_begin_);
  line.remove_suffix(1);
  if (line.empty() || line.back() != '\r') return Fail(400, "line end is not CRLF");
  line.remove_suffix(1);
  if (lines_ == 0 && line.empty()) {  // RFC 9112 2.2: one empty line before a request is forgiven
    leading_line_ = true;
    bytes_.clear();
    return;
  }
  line_begin_ = bytes_.size();
  if (lines_++ == 0) return CheckRequestLine(line);
  if (line.empty()) return CheckWhole();
  if (++facts_.field_count > limits_.headers) return Fail(431, "too many headers");
  CheckField(line);
}

void HeadReader::CheckRequestLine(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) return Fail(400, "request line is not 'method target version'");
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, second - first - 1);
  const std::string_view version = line.substr(second + 1);
  if (!IsToken(method)) return Fail(400, "method is not a token");
  if (version.size() != 8 || !version.starts_with("HTTP/") || !IsDigit(version[5]) || version[6] != '.' || !IsDigit(version[7])) {
    return Fail(400, "malformed HTTP version");
  }
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return Fail(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
  facts_.minor_version = version[7] - '0';
  method_ = SpanOf(method);
  target_ = SpanOf(target);
  CheckTarget();
}

void HeadReader::CheckTarget() {
  std::string_view target = View(target_);
  if (target == "*" && View(method_) == "OPTIONS") return;
  if (!target.starts_with('/')) {
    const size_t scheme = target.find("://");
    if (scheme == std::string_view::npos) return Fail(400, "target is neither a path nor an absolute URI");
    const std::string_view name = target.substr(0, scheme);
    if (!EqualsIgnoreCase(name, "http") && !EqualsIgnoreCase(name, "https")) return Fail(400, "target has an unknown scheme");
    target.remove_prefix(scheme + 3);
    const size_t authority = std::min(target.find_first_of("/?"), target.size());
    target.remove_prefix(authority);  // compared with Host when the head is whole
  }
  const size_t question = std::min(target.find('?'), target.size());
  if (!std::ranges::all_of(target.substr(0, question), IsPathChar) ||
      !std::ranges::all_of(target.substr(question), IsQueryChar)) {
    return Fail(400, "character in the target that must be percent-encoded");
  }
  if (!EscapesAreSafe(target)) return Fail(400, "malformed or forbidden percent-encoding in the target");
}

void HeadReader::CheckField(std::string_view line) {
  const FieldLine field = ReadFieldLine(line);
  if (field.fault) {
    fault_ = field.fault;
    return;
  }
  CheckKnownField(field.name, field.value);
}

void HeadReader::CheckKnownField(std::string_view name, std::string_view value) {
  if (EqualsIgnoreCase(name, "host")) {
    if (++facts_.host_count > 1) return Fail(400, "repeated Host");
    host_ = SpanOf(value);
  } else if (EqualsIgnoreCase(name, "content-length")) {
    CheckLength(value);
  } else if (EqualsIgnoreCase(name, "transfer-encoding")) {
    CheckCoding(value);
  } else if (EqualsIgnoreCase(name, "connection")) {
    ReadConnection(value, close_, keep_);
  } else if (EqualsIgnoreCase(name, "proxy-connection")) {  // means nothing to us, but the second parser demands a list here too
    bool ignored = false;
    ReadConnection(value, ignored, ignored);
  } else if (EqualsIgnoreCase(name, "expect")) {
    if (!EqualsIgnoreCase(value, "100-continue")) return Fail(417, "unknown expectation");
    facts_.expects_continue = true;
  } else if (EqualsIgnoreCase(name, "content-encoding")) {
    if (!EqualsIgnoreCase(value, "identity")) return Fail(415, "compressed request bodies are not accepted");
  }
}

void HeadReader::CheckLength(std::string_view value) {
  if (facts_.has_length) return Fail(400, "repeated Content-Length");
  if (value.empty() || value.size() > kMaxLengthDigits || !std::ranges::all_of(value, IsDigit)) {
    return Fail(400, "Content-Length is not a plain number");
  }
  if (value.size() > 1 && value.front() == '0') return Fail(400, "Content-Length with leading zero");  // octal for some readers
  facts_.has_length = true;
  for (const char c : value) facts_.length = facts_.length * 10 + static_cast<uint64_t>(c - '0');
}

void HeadReader::CheckCoding(std::string_view value) {
  if (facts_.chunked) return Fail(400, "repeated Transfer-Encoding");
  if (!EqualsIgnoreCase(value, "chunked")) {
    std::string lower(value);
    std::ranges::transform(lower, lower.begin(), ToLower);
    // A list that hides "chunked" is how two readers are made to disagree; a plain other coding is only unknown.
    if (lower.find("chunked") != std::string::npos || !IsToken(value)) return Fail(400, "malformed Transfer-Encoding");
    return Fail(501, "only the chunked transfer coding is known");
  }
  facts_.chunked = true;
}

void HeadReader::ReadConnection(std::string_view value, bool& close, bool& keep) {
  while (!value.empty()) {
    const size_t comma = std::min(value.find(','), value.size());
    const std::string_view option = TrimBlanks(value.substr(0, comma));
    if (!option.empty() && !IsToken(option)) return Fail(400, "malformed Connection");
    close = close || EqualsIgnoreCase(option, "close");
    keep = keep || EqualsIgnoreCase(option, "keep-alive");
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
}

void HeadReader::CheckWhole() {
  if (facts_.chunked && facts_.has_length) return Fail(400, "Content-Length together with Transfer-Encoding");
  if (facts_.chunked && facts_.minor_version == 0) return Fail(400, "Transfer-Encoding in HTTP/1.0");
  if (facts_.host_count == 0 && facts_.minor_version == 1) return Fail(400, "Host is missing");
  const std::string_view target = View(target_);
  if (!target.starts_with('/') && target != "*") {
    std::string_view authority = target.substr(target.find("://") + 3);
    authority = authority.substr(0, authority.find_first_of("/?"));
    if (authority.empty() || !EqualsIgnoreCase(authority, View(host_))) return Fail(400, "absolute target contradicts Host");
  }
  facts_.keep_alive = !close_ && (facts_.minor_version == 1 || keep_);
  complete_ = true;
}

HeadFacts HeadReader::facts() const {
  HeadFacts facts = facts_;
  facts.method = View(method_);
  facts.target = View(target_);
  facts.host = View(host_);
  return facts;
}

size_t ChunkReader::Feed(std::string_view bytes, size_t body_limit, std::string& body) {
  size_t taken = 0;
  while (taken < bytes.size() && state_ != State::kDone && !fault_) {
    if (state_ == State::kData) {
      const size_t part = static_cast<size_t>(std::min<uint64_t>(size_, bytes.size() - taken));
      body.append(bytes.substr(taken, part));
      taken += part;
      size_ -= part;
      if (size_ == 0) state_ = State::kDataCr;
      continue;
    }
    const char c = bytes[taken++];
    switch (state_) {
      case State::kSize:
        OnSizeByte(c);
        break;
      case State::kExtension:
        OnExtensionByte(c);
        break;
      case State::kSizeEnd:
        OnSizeEnd(c, body_limit - std::min(body_limit, body.size()));
        break;
      case State::kDataCr:
        if (c != '\r') Fail(400, "chunk data does not end with CRLF");
        state_ = State::kDataLf;
        break;
      case State::kDataLf:
        if (c != '\n') Fail(400, "chunk data does not end with CRLF");
        state_ = State::kSize;
        break;
      case State::kTrailer:
        OnTrailerByte(c);
        break;
      case State::kData:
      case State::kDone:
        break;
    }
  }
  return taken;
}

void ChunkReader::OnSizeByte(char c) {
  const int digit = HexDigit(c);
  if (digit >= 0) {
    if (++digits_ > kMaxChunkDigits) return Fail(400, "chunk size has more than 16 digits");
    size_ = size_ * 16 + static_cast<uint64_t>(digit);
    return;
  }
  if (digits_ == 0 || (c != ';' && c != '\r')) return Fail(400, "chunk size is not a hexadecimal number");
  state_ = c == ';' ? State::kExtension : State::kSizeEnd;
}

void ChunkReader::OnExtensionByte(char c) {
  if (c == '\r') {
    state_ = State::kSizeEnd;
    return;
  }
  if (!IsValueChar(c)) return Fail(400, "control character in a chunk extension");
  if (++extension_ > limits_.chunk_extension_bytes || ++extensions_ > limits_.chunk_extensions_bytes) {
    Fail(400, "chunk extensions too long");
  }
}

void ChunkReader::OnSizeEnd(char c, size_t room) {
  if (c != '\n') return Fail(400, "chunk size line does not end with CRLF");
  if (size_ > room) return Fail(413, "request body too large");
  state_ = size_ == 0 ? State::kTrailer : State::kData;
  digits_ = 0;
  extension_ = 0;
}

void ChunkReader::OnTrailerByte(char c) {
  if (++trailers_ > limits_.trailer_bytes) return Fail(431, "trailers too large");
  if (c != '\n') {
    line_.push_back(c);
    return;
  }
  if (line_.empty() || line_.back() != '\r') return Fail(400, "line end is not CRLF");
  line_.pop_back();
  if (line_.empty()) {
    state_ = State::kDone;
    return;
  }
  const FieldLine field = ReadFieldLine(line_);
  fault_ = field.fault;
  // Dropped like every trailer, these would still be read by a reader that merges trailers into the head.
  for (const std::string_view name : {"content-length", "transfer-encoding", "host"}) {
    if (!fault_ && EqualsIgnoreCase(field.name, name)) Fail(400, "framing header in a trailer");
  }
  line_.clear();
}

}  // namespace millrace::net::detail
