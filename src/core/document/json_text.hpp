// JSON text: tokens, strings and depth, below the level of a document.
//
// Two facts of PostgreSQL shape it: a `json` column accepts \u0000 and lone surrogates, `jsonb`
// accepts neither. Both become U+FFFD here, so that what is stored as jsonb and what is stored as
// text agree. What it may know: bytes. Error regime: never throws but std::bad_alloc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cowrie::json {

enum class Kind : std::uint8_t { missing, null, boolean, number, string, object, array, broken };

/** Tells what a trimmed token is; of containers only the first byte is looked at, everything else
 *  must be well-formed. An empty token is `missing`. */
Kind kind_of(std::string_view token) noexcept;

/** Removes JSON white space from the end: tokens reach up to the next token. */
std::string_view trim_end(std::string_view token) noexcept;

/** Returns what stands between the quotes of a string token. */
inline std::string_view body_of(std::string_view string_token) noexcept {
  return string_token.substr(1, string_token.size() - 2);
}

/** Returns the text of a string body: the body itself when it has no escape, else `scratch`. */
std::string_view text_of(std::string_view body, std::string &scratch);

/** Appends the text of a string body, escapes resolved. A broken escape gives U+FFFD. */
void append_text(std::string &out, std::string_view body);

/** Tells whether every escape in a string body is one that JSON knows. */
bool well_escaped(std::string_view body) noexcept;

/** Appends a raw value (with its quotes, brackets, escapes) in a form that jsonb accepts: numbers
 *  that numeric cannot hold become strings of the same text. */
void append_for_jsonb(std::string &out, std::string_view value);

/** Tells whether append_for_jsonb() changes the meaning of a raw value: it holds \u0000, a lone
 *  surrogate or a number that numeric cannot hold. */
bool unfit_for_jsonb(std::string_view value) noexcept;

/** Returns up to 200 bytes of a text, cut between characters, without NUL; what is not UTF-8
 *  becomes U+FFFD. */
std::string excerpt(std::string_view text);

/** Counts the characters of UTF-8 text. */
std::size_t character_count(std::string_view text) noexcept;

/** Tells whether containers are nested deeper than `limit`. Linear, without recursion; also for
 *  text that is no JSON. */
bool nested_deeper_than(std::string_view text, std::size_t limit) noexcept;

} // namespace cowrie::json
