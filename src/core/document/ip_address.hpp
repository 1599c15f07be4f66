// IP addresses as sixteen bytes: two spellings of one address are equal.
//
// What it may know: text. Error regime: never throws; a value is used, absent or invalid.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/document/network_values.hpp"

namespace cowrie {

/** An IPv6 address in network order; an IPv4 address is its v4-mapped form. */
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};

  friend bool operator==(const IpAddress &a, const IpAddress &b) noexcept {
    return a.bytes == b.bytes;
  }
  friend bool operator!=(const IpAddress &a, const IpAddress &b) noexcept { return !(a == b); }
};

/** Room for any canonical text and its terminator: 45 bytes is the longest IPv6 text. */
using IpText = std::array<char, 46>;

/** Reads an address by the rules of parse_ip(); `address` changes only when the value is used. */
ValueState parse_ip_address(std::string_view text, IpAddress &address) noexcept;

/** Writes the canonical text, as host(inet) does; returns it, inside `text`. */
std::string_view format_ip_address(const IpAddress &address, IpText &text) noexcept;

} // namespace cowrie
