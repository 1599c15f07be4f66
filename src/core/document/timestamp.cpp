// Timestamps: ISO 8601 text -> microseconds since 1970-01-01 UTC.
#include "core/document/timestamp.hpp"

#include <cstddef>

#include "core/base/ascii.hpp"
#include "core/base/pure.hpp"

namespace cowrie {

namespace {

constexpr std::int64_t microseconds_per_second = 1000000;

class Cursor {
public:
  explicit Cursor(std::string_view text) noexcept : text_(text) {}

  bool at_end() const noexcept { return at_ == text_.size(); }
  char peek() const noexcept { return at_end() ? '\0' : text_[at_]; }
  /** Steps over one of these characters. */
  bool accept(std::string_view characters) noexcept {
    if (at_end() || characters.find(text_[at_]) == std::string_view::npos)
      return false;
    ++at_;
    return true;
  }
  /** Reads a number of exactly `count` digits. */
  bool number(int count, int &value) noexcept {
    if (text_.size() - at_ < static_cast<std::size_t>(count))
      return false;
    value = 0;
    for (int i = 0; i < count; ++i, ++at_) {
      if (!ascii::is_digit(text_[at_]))
        return false;
      value = value * 10 + (text_[at_] - '0');
    }
    return true;
  }
  /** Reads at least one digit of a fraction; rounds to microseconds, half to even as PostgreSQL. */
  bool fraction(int &microseconds) noexcept {
    microseconds = 0;
    int digits = 0;
    int first_dropped = 0;
    bool more_dropped = false;
    for (; ascii::is_digit(peek()); ++at_, ++digits) {
      const int digit = text_[at_] - '0';
      if (digits < 6)
        microseconds = microseconds * 10 + digit;
      else if (digits == 6)
        first_dropped = digit;
      else
        more_dropped = more_dropped || digit != 0;
      if (digits == 8) // the count only matters up to here
        --digits;
    }
    if (digits == 0)
      return false;
    for (; digits < 6; ++digits)
      microseconds *= 10;
    const bool above_half = first_dropped > 5 || (first_dropped == 5 && more_dropped);
    const bool half = first_dropped == 5 && !more_dropped;
    if (above_half || (half && microseconds % 2 == 1))
      ++microseconds;
    return true;
  }

private:
  std::string_view text_;
  std::size_t at_ = 0;
};

/** Returns the days since 1970-01-01 (proleptic Gregorian calendar); false: no such day. */
bool days_of(int year, int month, int day, std::int64_t &days) noexcept {
  static constexpr int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (year < 1 || month < 1 || month > 12 || day < 1 ||
      day > month_days[month - 1] + (month == 2 && leap ? 1 : 0))
    return false;
  const int before = year - 1;
  days = std::int64_t{before} * 365 + before / 4 - before / 100 + before / 400;
  for (int m = 1; m < month; ++m)
    days += month_days[m - 1] + (m == 2 && leap ? 1 : 0);
  constexpr std::int64_t days_to_1970 = 719162;
  days += day - 1 - days_to_1970;
  return true;
}

/** Reads `HH:MM[:SS[.f]]`, or `HHMM[SS[.f]]` in the basic form, as microseconds of the day. */
bool time_of_day(Cursor &cursor, bool basic, std::int64_t &time) noexcept {
  int hour = 0;
  int minute = 0;
  int second = 0;
  int microseconds = 0;
  if (!cursor.number(2, hour) || (!basic && !cursor.accept(":")) || !cursor.number(2, minute))
    return false;
  const bool with_seconds = basic ? ascii::is_digit(cursor.peek()) : cursor.accept(":");
  if (with_seconds) {
    if (!cursor.number(2, second))
      return false;
    if (cursor.accept(".") && !cursor.fraction(microseconds))
      return false;
  }
  // As in PostgreSQL: second 60 is the next minute, 24:00:00 the next day.
  if (hour > 24 || minute > 59 || second > 60 ||
      (hour == 24 && (minute > 0 || second > 0 || microseconds > 0)))
    return false;
  time =
      ((hour * 60 + minute) * std::int64_t{60} + second) * microseconds_per_second + microseconds;
  return true;
}

/** Reads `Z`, `±HH[:MM[:SS]]` or `±HHMM` as seconds east of UTC. */
bool offset_of(Cursor &cursor, std::int64_t &offset) noexcept {
  if (cursor.accept("Zz")) {
    offset = 0;
    return true;
  }
  const bool west = cursor.peek() == '-';
  int hour = 0;
  int minute = 0;
  int second = 0;
  if (!cursor.accept("+-") || !cursor.number(2, hour))
    return false;
  if (cursor.accept(":")) {
    if (!cursor.number(2, minute))
      return false;
    if (cursor.accept(":") && !cursor.number(2, second))
      return false;
  } else if (!cursor.at_end() && !cursor.number(2, minute)) {
    return false;
  }
  if (hour > 15 || minute > 59 || second > 59)
    return false;
  offset = (hour * 60 + minute) * std::int64_t{60} + second;
  if (west)
    offset = -offset;
  return true;
}

} // namespace

Parsed<std::int64_t> parse_timestamp(std::string_view text) noexcept {
  constexpr Parsed<std::int64_t> invalid{ValueState::invalid, 0};
  if (text.empty())
    return {ValueState::absent, 0};
  Cursor cursor(ascii::trim(text));
  int year = 0;
  int month = 0;
  int day = 0;
  if (!cursor.number(4, year))
    return invalid;
  const bool basic = !cursor.accept("-");
  if (!cursor.number(2, month) || (!basic && !cursor.accept("-")) || !cursor.number(2, day))
    return invalid;
  std::int64_t days = 0;
  if (!days_of(year, month, day, days))
    return invalid;
  std::int64_t time = 0;
  std::int64_t offset = 0;
  if (!cursor.at_end()) {
    if (!cursor.accept(basic ? "Tt" : "Tt ") || !time_of_day(cursor, basic, time))
      return invalid;
    if (!cursor.at_end() && (!offset_of(cursor, offset) || !cursor.at_end()))
      return invalid;
  } else if (basic) {
    return invalid; // eight digits could as well be a number
  }
  constexpr std::int64_t seconds_per_day = 86400;
  return {ValueState::used, (days * seconds_per_day - offset) * microseconds_per_second + time};
}

} // namespace cowrie
