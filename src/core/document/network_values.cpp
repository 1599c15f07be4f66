// Network values: IP addresses, AS numbers and country codes.
//
// What it may know: text. Error regime: never throws but std::bad_alloc.
#include "core/document/network_values.hpp"

#include <cstddef>
#include <utility>

#include "core/base/ascii.hpp"
#include "core/document/ip_address.hpp"
#include "core/document/json_number.hpp"
#include "core/base/pure.hpp"

namespace cowrie {

namespace {

constexpr std::uint64_t largest_asn = 2147483647; // what the application's INTEGER columns hold

Parsed<std::int32_t> asn_in_range(std::uint64_t number) noexcept {
  if (number < 1 || number > largest_asn)
    return {ValueState::out_of_range, 0};
  return {ValueState::used, static_cast<std::int32_t>(number)};
}

} // namespace

Parsed<std::string> parse_ip(std::string_view text) {
  IpAddress address;
  const ValueState state = parse_ip_address(text, address);
  if (state != ValueState::used)
    return {state, {}};
  IpText canonical;
  return {state, std::string(format_ip_address(address, canonical))};
}

Parsed<std::int32_t> parse_asn_text(std::string_view text) noexcept {
  text = ascii::trim(text);
  if (text.empty())
    return {ValueState::absent, 0};
  bool negative = false;
  if (text.size() >= 2 && ascii::equals_ignoring_case(text.substr(0, 2), "AS")) {
    text.remove_prefix(2);
  } else if (text.front() == '-') {
    negative = true; // a number all the same, only none in range
    text.remove_prefix(1);
  }
  if (text.empty())
    return {ValueState::invalid, 0};
  std::uint64_t number = 0;
  for (const char c : text) {
    if (!ascii::is_digit(c))
      return {ValueState::invalid, 0};
    // Stops growing once it is out of range; the remaining characters must be digits all the same.
    if (number <= largest_asn)
      number = number * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return negative ? Parsed<std::int32_t>{ValueState::out_of_range, 0} : asn_in_range(number);
}

Parsed<std::int32_t> parse_asn_number(std::string_view token) noexcept {
  JsonNumber number;
  if (!number.read(token) || !number.is_whole())
    return {ValueState::invalid, 0};
  if (number.is_negative())
    return {ValueState::out_of_range, 0};
  // Ten digits are the most that a usable number has; the value is not computed beyond them.
  if (number.integer_digits() > 10)
    return {ValueState::out_of_range, 0};
  return asn_in_range(number.whole_value());
}

Parsed<std::string> parse_country(std::string_view text) {
  if (text.empty())
    return {ValueState::absent, {}};
  if (text.size() != 2)
    return {ValueState::invalid, {}};
  std::string code = {ascii::upper(text[0]), ascii::upper(text[1])};
  if (!ascii::is_upper_letter(code[0]) || !ascii::is_upper_letter(code[1]) || code == "XX")
    return {ValueState::invalid, {}};
  return {ValueState::used, std::move(code)};
}

} // namespace cowrie
