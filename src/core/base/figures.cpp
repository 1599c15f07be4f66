// Figures: sizes and durations as people read them.
#include "core/base/figures.hpp"

namespace cowrie {
namespace {

constexpr std::int64_t millisecond = 1000;
constexpr std::int64_t second = 1'000'000;

std::string two_digits(std::int64_t number) {
  return (number < 10 ? "0" : "") + std::to_string(number);
}

std::int64_t half_rounded(std::int64_t halves) noexcept {
  return (halves + (halves < 0 ? -1 : 1)) / 2;
}

} // namespace

std::string size_pretty(std::int64_t bytes) {
  constexpr std::int64_t largest_number = 10'240;
  const auto is_below = [](std::int64_t amount, std::int64_t limit) {
    return amount < limit && amount > -limit;
  };
  if (is_below(bytes, largest_number))
    return std::to_string(bytes) + " bytes";
  // From here on halves of the unit, which the last step rounds, as the server does.
  std::int64_t halves = bytes / 512;
  const char *unit = "kB";
  for (const char *larger : {"MB", "GB", "TB", "PB"}) {
    if (is_below(halves, 2 * largest_number - 1))
      break;
    halves /= 1024;
    unit = larger;
  }
  return std::to_string(half_rounded(halves)) + " " + unit;
}

std::int64_t whole_milliseconds(std::int64_t microseconds) noexcept {
  return (microseconds + (microseconds < 0 ? -1 : 1) * millisecond / 2) / millisecond * millisecond;
}

std::string duration(std::int64_t microseconds) {
  if (microseconds < millisecond)
    return "under 1 ms";
  if (microseconds < second)
    return std::to_string(microseconds / millisecond) + " ms";
  const std::int64_t tenths = (microseconds + second / 20) / (second / 10);
  if (tenths < 600)
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
  const std::int64_t seconds = (tenths + 5) / 10;
  if (seconds < 3600)
    return std::to_string(seconds / 60) + " min " + two_digits(seconds % 60) + " s";
  return std::to_string(seconds / 3600) + " h " + two_digits(seconds / 60 % 60) + " min";
}

} // namespace cowrie
