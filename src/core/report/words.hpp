// Words: numbers and changes of sizes as people read them, and text that may have been written by
// anybody.
//
// Error regime: never fails.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cowrie::report {

/** `1,234,567`. */
std::string grouped(std::int64_t number);

/** `+12 MB`, `-40 kB`, `0 bytes`. */
std::string change(std::int64_t bytes);

/** What a character of UTF-8 text is, one after another. */
struct Character {
  char32_t code = 0;
  bool shown = true; ///< false: nobody sees it, or it changes how others are shown
};

/** Takes the first character away. Bytes that are no UTF-8, and what no document may hold, are
 * U+FFFD, one for each byte. */
Character next_character(std::string_view &text) noexcept;

/** `U+202E`. */
std::string name_of(char32_t code);

void append_utf8(std::string &text, char32_t code);

/** The text, at most so many characters of it, with three points where something is left out. */
std::string cut(std::string_view text, std::size_t characters);

} // namespace cowrie::report
