// ASCII: character classes that no locale changes.
//
// What it may know: bytes. Error regime: never fails.
#pragma once

#include <cstddef>
#include <string_view>

namespace cowrie::ascii {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }
/** White space of JSON, which has no vertical tab and no form feed. */
constexpr bool is_json_space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
constexpr bool is_control(char c) noexcept {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}
constexpr char upper(char c) noexcept {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}
constexpr bool is_upper_letter(char c) noexcept { return c >= 'A' && c <= 'Z'; }

constexpr std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && is_space(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && is_space(text.back()))
    text.remove_suffix(1);
  return text;
}

/** Compares without case; `upper_case` is written in upper case. */
constexpr bool equals_ignoring_case(std::string_view text, std::string_view upper_case) noexcept {
  if (text.size() != upper_case.size())
    return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (upper(text[i]) != upper_case[i])
      return false;
  return true;
}

} // namespace cowrie::ascii
