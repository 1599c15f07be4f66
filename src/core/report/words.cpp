// Words: numbers and changes of sizes as people read them, and text that may have been written by
// anybody.
#include "core/report/words.hpp"

#include <array>
#include <cstdio>

#include "core/base/figures.hpp"

namespace cowrie::report {
namespace {

/** How many bytes a character has whose first byte this is; 0: none begins so. */
int length_of(unsigned char first) noexcept {
  if (first < 0x80)
    return 1;
  if (first >= 0xC2 && first < 0xE0)
    return 2;
  if (first >= 0xE0 && first < 0xF0)
    return 3;
  return first >= 0xF0 && first < 0xF5 ? 4 : 0;
}

struct Range {
  char32_t first, last;
};

/** The controls, the marks and overrides of direction, what is never shown, and tags. */
constexpr std::array<Range, 12> hidden = {{{0x00, 0x1F},
                                           {0x7F, 0x9F},
                                           {0xAD, 0xAD},
                                           {0x61C, 0x61C},
                                           {0x180E, 0x180E},
                                           {0x200B, 0x200B},
                                           {0x200E, 0x200F},
                                           {0x2028, 0x202E},
                                           {0x2060, 0x206F},
                                           {0xFEFF, 0xFEFF},
                                           {0xFFF9, 0xFFFB},
                                           {0xE0000, 0xE0FFF}}};

bool is_hidden(char32_t code) noexcept {
  for (const Range &each : hidden)
    if (code >= each.first && code <= each.last)
      return true;
  return false;
}

/** What is no character of any text: half of a surrogate, and the noncharacters. */
bool is_none(char32_t code) noexcept {
  return (code >= 0xD800 && code <= 0xDFFF) || (code >= 0xFDD0 && code <= 0xFDEF) ||
         (code & 0xFFFE) == 0xFFFE || code > 0x10FFFF;
}

} // namespace

std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  const std::size_t first = number < 0 ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string change(std::int64_t bytes) { return (bytes > 0 ? "+" : "") + size_pretty(bytes); }

Character next_character(std::string_view &text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const int length = length_of(byte(0));
  char32_t code = length == 1 ? byte(0) : byte(0) & (0xFFU >> (length + 1));
  bool sound = length > 0 && text.size() >= static_cast<std::size_t>(length);
  for (int i = 1; sound && i < length; ++i) {
    sound = (byte(i) & 0xC0U) == 0x80;
    code = code << 6U | (byte(i) & 0x3FU);
  }
  constexpr std::array<char32_t, 5> least = {0, 0, 0x80, 0x800, 0x10000};
  if (!sound || code < least[length]) {
    text.remove_prefix(1);
    return {0xFFFD, true};
  }
  text.remove_prefix(length);
  if (is_none(code))
    return {0xFFFD, true};
  return {code, !is_hidden(code)};
}

std::string name_of(char32_t code) {
  std::array<char, 16> text{};
  (void)std::snprintf(text.data(), text.size(), "U+%04X", static_cast<unsigned>(code));
  return text.data();
}

void append_utf8(std::string &text, char32_t code) {
  const auto tail = [&](unsigned shift) {
    text += static_cast<char>(0x80U | (code >> shift & 0x3FU));
  };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xC0U | code >> 6U);
    tail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xE0U | code >> 12U);
    tail(6);
    tail(0);
  } else {
    text += static_cast<char>(0xF0U | code >> 18U);
    tail(12);
    tail(6);
    tail(0);
  }
}

std::string cut(std::string_view text, std::size_t characters) {
  std::string_view rest = text;
  for (std::size_t i = 0; i < characters && !rest.empty(); ++i)
    (void)next_character(rest);
  if (rest.empty())
    return std::string(text);
  return std::string(text.substr(0, text.size() - rest.size())) + "...";
}

} // namespace cowrie::report
