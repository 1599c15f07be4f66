// JSON numbers: the one pass that takes a token apart.
//
// What it may know: text. Error regime: never throws.
#include "core/document/json_number.hpp"

#include <algorithm>
#include <cstddef>

#include "core/base/ascii.hpp"
#include "core/base/pure.hpp"

namespace cowrie {

namespace {
// Far above the length of any document, far below an overflow of the sums made with it.
constexpr std::int64_t exponent_cap = std::int64_t{1} << 40;
} // namespace

bool JsonNumber::read(std::string_view token) noexcept {
  *this = JsonNumber{};
  std::size_t at = 0;
  const auto peek = [&] { return at < token.size() ? token[at] : '\0'; };
  if (peek() == '-') {
    negative_ = true;
    ++at;
  }
  const std::size_t integer_start = at;
  while (ascii::is_digit(peek()))
    ++at;
  const std::size_t integer_size = at - integer_start;
  if (integer_size == 0 || (integer_size > 1 && token[integer_start] == '0'))
    return false;
  std::size_t fraction_size = 0;
  if (peek() == '.') {
    const std::size_t fraction_start = ++at;
    while (ascii::is_digit(peek()))
      ++at;
    fraction_size = at - fraction_start;
    if (fraction_size == 0)
      return false;
  }
  const std::string_view mantissa = token.substr(integer_start, at - integer_start);
  if (peek() == 'e' || peek() == 'E') {
    ++at;
    const bool negative_exponent = peek() == '-';
    if (peek() == '-' || peek() == '+')
      ++at;
    const std::size_t exponent_start = at;
    for (; ascii::is_digit(peek()); ++at)
      exponent_ = std::min(exponent_cap, exponent_ * 10 + (peek() - '0'));
    if (at == exponent_start)
      return false;
    if (negative_exponent)
      exponent_ = -exponent_;
  }
  if (at != token.size())
    return false;

  const std::int64_t fraction = static_cast<std::int64_t>(fraction_size);
  scale_ = std::max<std::int64_t>(0, fraction - exponent_);
  const std::size_t first = mantissa.find_first_not_of("0.");
  if (first == std::string_view::npos)
    return true;
  const std::size_t last = mantissa.find_last_not_of("0.");
  digits_ = mantissa.substr(first, last - first + 1);
  // Positions without the decimal point: it stands at index integer_size of the mantissa.
  const auto position = [&](std::size_t index) {
    return static_cast<std::int64_t>(index > integer_size ? index - 1 : index);
  };
  significant_ = position(last) - position(first) + 1;
  point_ = static_cast<std::int64_t>(integer_size) - position(first) + exponent_;
  return true;
}

std::uint64_t JsonNumber::whole_value() const noexcept {
  std::uint64_t value = 0;
  for (const char c : digits_)
    if (c != '.')
      value = value * 10 + static_cast<std::uint64_t>(c - '0');
  for (std::int64_t digits = significant_; digits < integer_digits(); ++digits)
    value *= 10;
  return value;
}

bool JsonNumber::fits_numeric() const noexcept {
  constexpr std::int64_t most_integer_digits = 131072;
  constexpr std::int64_t most_scale = 16383;
  constexpr std::int64_t most_exponent = 2147483647 / 2; // beyond it numeric_in refuses even 0e…
  return integer_digits() <= most_integer_digits && scale_ <= most_scale &&
         exponent_ < most_exponent && exponent_ > -most_exponent;
}

} // namespace cowrie
