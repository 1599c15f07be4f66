// IP addresses: the strict reader and the canonical writer.
//
// What it may know: text, and the C library's IPv6 conversion. Error regime: never throws.
#include "core/document/ip_address.hpp"

#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "core/base/ascii.hpp"
#include "core/base/pure.hpp"

namespace cowrie {

namespace {

constexpr std::array<std::uint8_t, 12> v4_mapped_prefix = {0, 0, 0, 0, 0,    0,
                                                           0, 0, 0, 0, 0xff, 0xff};

/** Reads four decimal numbers of one to three digits, none with a leading zero. */
bool read_v4(std::string_view text, std::uint8_t *out) noexcept {
  std::size_t at = 0;
  for (int part = 0; part < 4; ++part) {
    if (part > 0) {
      if (at == text.size() || text[at] != '.')
        return false;
      ++at;
    }
    const std::size_t start = at;
    unsigned number = 0;
    while (at < text.size() && at - start < 3 && ascii::is_digit(text[at]))
      number = number * 10 + static_cast<unsigned>(text[at++] - '0');
    const std::size_t digits = at - start;
    if (digits == 0 || number > 255 || (digits > 1 && text[start] == '0'))
      return false;
    out[part] = static_cast<std::uint8_t>(number);
  }
  return at == text.size();
}

/** Reads an IPv6 address. The C library's reader knows neither zones nor masks, and takes at most
 *  four hexadecimal digits a group and no leading zero in a dotted tail: strict enough. */
bool read_v6(std::string_view text, IpAddress &address) noexcept {
  IpText terminated;
  if (text.size() >= terminated.size() || text.find('\0') != std::string_view::npos)
    return false;
  std::memcpy(terminated.data(), text.data(), text.size());
  terminated[text.size()] = '\0';
  return inet_pton(AF_INET6, terminated.data(), address.bytes.data()) == 1;
}

char *write_octet(char *to, unsigned octet) noexcept {
  if (octet >= 100)
    *to++ = static_cast<char>('0' + octet / 100);
  if (octet >= 10)
    *to++ = static_cast<char>('0' + octet / 10 % 10);
  *to++ = static_cast<char>('0' + octet % 10);
  return to;
}

} // namespace

ValueState parse_ip_address(std::string_view text, IpAddress &address) noexcept {
  text = ascii::trim(text);
  if (text.empty())
    return ValueState::absent;
  IpAddress read;
  if (read_v4(text, read.bytes.data() + v4_mapped_prefix.size()))
    std::memcpy(read.bytes.data(), v4_mapped_prefix.data(), v4_mapped_prefix.size());
  else if (!read_v6(text, read))
    return ValueState::invalid;
  address = read;
  return ValueState::used;
}

std::string_view format_ip_address(const IpAddress &address, IpText &text) noexcept {
  const std::uint8_t *bytes = address.bytes.data();
  if (std::memcmp(bytes, v4_mapped_prefix.data(), v4_mapped_prefix.size()) == 0) {
    char *end = write_octet(text.data(), bytes[12]);
    for (int part = 13; part < 16; ++part) {
      *end++ = '.';
      end = write_octet(end, bytes[part]);
    }
    return {text.data(), static_cast<std::size_t>(end - text.data())};
  }
  // PostgreSQL's pg_inet_net_ntop() and the C library's function have the same ancestor: lower
  // case, the first longest run of zero groups as `::`, and `::1.2.3.4` for what RFC 4291 calls
  // IPv4-compatible.
  if (inet_ntop(AF_INET6, bytes, text.data(), static_cast<socklen_t>(text.size())) == nullptr)
    return {};
  return {text.data(), std::strlen(text.data())};
}

} // namespace cowrie
