// Network values: parse and canonicalise IP addresses, ASNs and country codes.
//
// What it may know: text. No JSON, no server. Error regime: never throws but std::bad_alloc;
// a value is used, absent or rejected with a reason.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cowrie {

/** What became of a value. */
enum class ValueState : std::uint8_t { absent, used, invalid, out_of_range };

template <typename T> struct Parsed {
  ValueState state = ValueState::absent;
  T value{};
};

/** Canonical text of an IP address (RFC 5952; v4-mapped v6 as v4). ASCII white space around it is
 *  ignored; ports, zones, netmasks, leading zeros and host names are invalid; blank is absent. */
Parsed<std::string> parse_ip(std::string_view text);

/** An AS number written as text: digits, with or without `AS` before them, blanks around them.
 *  An integer outside 1..2147483647 is out_of_range. */
Parsed<std::int32_t> parse_asn_text(std::string_view text) noexcept;

/** An AS number written as a JSON number token (`4134`, `4134.0`, `1e3`): its value must be whole.
 */
Parsed<std::int32_t> parse_asn_number(std::string_view token) noexcept;

/** An ISO 3166 alpha-2 code in any case, returned in upper case; `XX` is invalid. */
Parsed<std::string> parse_country(std::string_view text);

} // namespace cowrie
