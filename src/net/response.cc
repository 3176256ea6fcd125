#include "net/response.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "net/detail/text_classes.h"

namespace millrace::net {
namespace {

struct Phrase {
  int status;
  std::string_view text;
};
constexpr std::array kPhrases = {
    Phrase{100, "Continue"},
    Phrase{200, "OK"},
    Phrase{201, "Created"},
    Phrase{202, "Accepted"},
    Phrase{204, "No Content"},
    Phrase{304, "Not Modified"},
    Phrase{400, "Bad Request"},
    Phrase{401, "Unauthorized"},
    Phrase{403, "Forbidden"},
    Phrase{404, "Not Found"},
    Phrase{405, "Method Not Allowed"},
    Phrase{408, "Request Timeout"},
    Phrase{409, "Conflict"},
    Phrase{413, "Content Too Large"},
    Phrase{414, "URI Too Long"},
    Phrase{415, "Unsupported Media Type"},
    Phrase{417, "Expectation Failed"},
    Phrase{422, "Unprocessable Content"},
    Phrase{429, "Too Many Requests"},
    Phrase{431, "Request Header Fields Too Large"},
    Phrase{499, "Client Closed Request"},
    Phrase{500, "Internal Server Error"},
    Phrase{501, "Not Implemented"},
    Phrase{503, "Service Unavailable"},
    Phrase{504, "Gateway Timeout"},
    Phrase{505, "HTTP Version Not Supported"},
};

struct Date {
  int64_t year;
  unsigned month;  // 1 to 12
  unsigned day;
};

// Days since 1970-01-01 to the proleptic Gregorian calendar, by counting 400-year eras that begin on 1 March: no C library time
// zone state, no locale.
Date CivilFromDays(int64_t days) {
  days += 719468;
  const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const auto day_of_era = static_cast<unsigned>(days - era * 146097);
  const unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned shifted_month = (5 * day_of_year + 2) / 153;  // 0 = March
  const unsigned month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  return {static_cast<int64_t>(year_of_era) + era * 400 + (month <= 2 ? 1 : 0), month,
          day_of_year - (153 * shifted_month + 2) / 5 + 1};
}

}  // namespace

std::string_view ReasonPhrase(int status) {
  const auto found = std::ranges::find(kPhrases, status, &Phrase::status);
  return found == kPhrases.end() ? "Unknown" : found->text;
}

std::string HttpDate(int64_t wall_ns) {
  static constexpr std::array<std::string_view, 7> kDays = {"Thu", "Fri", "Sat", "Sun",
                                                            "Mon", "Tue", "Wed"};  // day 0 was a Thursday
  static constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const int64_t seconds = std::max<int64_t>(wall_ns, 0) / 1'000'000'000;
  const int64_t days = seconds / 86400;
  const int64_t rest = seconds % 86400;
  const Date date = CivilFromDays(days);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[static_cast<size_t>(days % 7)], date.day,
                     kMonths[date.month - 1], date.year, rest / 3600, rest / 60 % 60, rest % 60);
}

bool AppendHeader(std::string_view name, std::string_view value, std::string& out) {
  if (!detail::IsToken(name) || !std::ranges::all_of(value, detail::IsValueChar)) return false;
  out.append(name).append(": ").append(value).append("\r\n");
  return true;
}

std::string RenderHead(const Response& response, const ResponseFraming& framing, std::string_view request_id, int64_t wall_ns) {
  std::string out;
  out.reserve(256);
  fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", response.status, ReasonPhrase(response.status));
  AppendHeader("Date", HttpDate(wall_ns), out);
  AppendHeader("Connection", framing.keep_alive ? "keep-alive" : "close", out);
  AppendHeader("X-Content-Type-Options", "nosniff", out);
  if (!request_id.empty()) AppendHeader("x-request-id", request_id, out);
  if (!response.content_type.empty() && response.status != 204) AppendHeader("Content-Type", response.content_type, out);
  if (framing.chunked) {
    AppendHeader("Transfer-Encoding", "chunked", out);
  } else if (framing.has_length) {
    AppendHeader("Content-Length", fmt::format_int(framing.content_length).str(), out);
  }
  for (const Headers::Field& field : response.headers) AppendHeader(field.name, field.value, out);
  out.append("\r\n");
  return out;
}

void AppendChunk(std::string_view data, std::string& out) {
  fmt::format_to(std::back_inserter(out), "{:x}\r\n", data.size());
  out.append(data).append("\r\n");
}

}  // namespace millrace::net
