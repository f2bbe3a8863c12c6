#include "cli/moment.h"

#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <string>

#include "base/text.h"

namespace afloat::cli {
namespace {

constexpr std::int64_t minute_ms = 60'000;

std::int64_t ms_of(std::tm local) {
  local.tm_isdst = -1;
  return static_cast<std::int64_t>(std::mktime(&local)) * 1000;
}

std::tm local_of(std::int64_t unix_ms) {
  const auto seconds = static_cast<std::time_t>(unix_ms / 1000);
  std::tm local{};
  localtime_r(&seconds, &local);
  return local;
}

}  // namespace

Result<std::int64_t> parse_moment(std::string_view given, std::int64_t after_ms) {
  const std::string text(trim(given));
  const auto unclear =
      fail(ErrorKind::invalid_argument,
           fmt::format("\"{}\" is not a time; write 03:00, \"2026-11-26 03:00\", +2h or +90min", text));
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, used = 0;
  long long count = 0;
  char unit[4] = {};
  const auto whole = [&] { return used == static_cast<int>(text.size()); };
  if (std::sscanf(text.c_str(), "+%lld%3[a-z]%n", &count, unit, &used) == 2 && whole()) {
    const std::string_view of(unit);
    const auto minutes = of == "h" ? 60 : of == "min" || of == "m" ? 1 : 0;
    if (minutes == 0 || count <= 0 || count > 100'000) return unclear;
    return after_ms + count * minutes * minute_ms;
  }
  used = 0;
  if (std::sscanf(text.c_str(), "%2d:%2d%n", &hour, &minute, &used) == 2 && whole()) {
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59) return unclear;
    auto local = local_of(after_ms);
    local.tm_hour = hour;
    local.tm_min = minute;
    local.tm_sec = 0;
    auto moment = ms_of(local);
    if (moment > after_ms) return moment;
    ++local.tm_mday;
    return ms_of(local);
  }
  used = 0;
  char between = ' ';
  if (std::sscanf(text.c_str(), "%4d-%2d-%2d%c%2d:%2d%n", &year, &month, &day, &between, &hour, &minute, &used) == 6 &&
      whole() && (between == ' ' || between == 'T')) {
    std::tm local{};
    local.tm_year = year - 1900;
    local.tm_mon = month - 1;
    local.tm_mday = day;
    local.tm_hour = hour;
    local.tm_min = minute;
    const auto moment = ms_of(local);
    const auto read = local_of(moment);
    if (read.tm_mday != day || read.tm_mon != month - 1 || hour > 23 || minute > 59) return unclear;
    if (moment <= after_ms)
      return fail(ErrorKind::invalid_argument,
                  fmt::format("{} is not after {}; give a later time", text, shown_moment(after_ms)));
    return moment;
  }
  return unclear;
}

std::string shown_moment(std::int64_t unix_ms) {
  const auto local = local_of(unix_ms);
  char text[64];
  std::strftime(text, sizeof text, "%a %Y-%m-%d %H:%M", &local);
  return text;
}

}  // namespace afloat::cli
