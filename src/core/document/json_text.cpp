// JSON text: string escapes, tokens, depth.
//
// What it may know: bytes. Error regime: never throws but std::bad_alloc; every loop is bounded by
// the view it was given, whatever is in it.
#include "core/document/json_text.hpp"

#include <algorithm>
#include <cstring>

#include "core/base/ascii.hpp"
#include "core/base/text.hpp"
#include "core/document/json_number.hpp"
#include "core/base/pure.hpp"

namespace cowrie::json {

namespace {

constexpr std::string_view replacement_character = "\xEF\xBF\xBD"; // U+FFFD
constexpr std::size_t excerpt_size = 200;

/** One escape of a string body. */
struct Escape {
  std::size_t size = 0;   ///< bytes of the body that it takes; at least 1
  char32_t character = 0; ///< what it stands for
  bool replaced = false;  ///< U+0000, a lone surrogate, or no escape at all: U+FFFD instead
  bool well_formed = false;
};

int hex_value(char c) noexcept {
  if (ascii::is_digit(c))
    return c - '0';
  const char upper = ascii::upper(c);
  return upper >= 'A' && upper <= 'F' ? upper - 'A' + 10 : -1;
}

/** Reads `\uXXXX` at the start of a text; negative: there is none. */
std::int32_t code_unit(std::string_view text) noexcept {
  if (text.size() < 6 || text[0] != '\\' || text[1] != 'u')
    return -1;
  std::int32_t unit = 0;
  for (std::size_t i = 2; i < 6; ++i) {
    const int digit = hex_value(text[i]);
    if (digit < 0)
      return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

/** Reads the escape that a text starts with. */
Escape read_escape(std::string_view text) noexcept {
  static constexpr std::string_view letters = "\"\\/bfnrt";
  static constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
  if (text.size() < 2)
    return {text.size(), 0, true, false};
  if (text[1] != 'u') {
    const std::size_t letter = letters.find(text[1]);
    if (letter == std::string_view::npos)
      return {1, 0, true, false};
    return {2, static_cast<char32_t>(meanings[letter]), false, true};
  }
  const std::int32_t unit = code_unit(text);
  if (unit < 0)
    return {1, 0, true, false};
  if (unit == 0)
    return {6, 0, true, true};
  if (unit < 0xD800 || unit > 0xDFFF)
    return {6, static_cast<char32_t>(unit), false, true};
  const std::int32_t low = unit < 0xDC00 ? code_unit(text.substr(6)) : -1;
  if (low < 0xDC00 || low > 0xDFFF)
    return {6, 0, true, true};
  return {12, static_cast<char32_t>(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)), false,
          true};
}

void append_utf8(std::string &out, char32_t character) {
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (character < 0x80) {
    put(character);
  } else if (character < 0x800) {
    put(0xC0 | (character >> 6));
    put(0x80 | (character & 0x3F));
  } else if (character < 0x10000) {
    put(0xE0 | (character >> 12));
    put(0x80 | ((character >> 6) & 0x3F));
    put(0x80 | (character & 0x3F));
  } else {
    put(0xF0 | (character >> 18));
    put(0x80 | ((character >> 12) & 0x3F));
    put(0x80 | ((character >> 6) & 0x3F));
    put(0x80 | (character & 0x3F));
  }
}

/** Appends a string body for jsonb: as it is, but for the escapes that jsonb refuses. */
void append_body_for_jsonb(std::string &out, std::string_view body) {
  while (!body.empty()) {
    const std::size_t plain = std::min(body.find('\\'), body.size());
    out.append(body.substr(0, plain));
    body.remove_prefix(plain);
    if (body.empty())
      return;
    const Escape escape = read_escape(body);
    out.append(escape.replaced ? replacement_character : body.substr(0, escape.size));
    body.remove_prefix(escape.size);
  }
}

/** Returns the size of the string token (with its quotes) that a text starts with. */
std::size_t string_token_size(std::string_view text) noexcept {
  std::size_t at = 1;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"')
      return at + 1;
    at += c == '\\' ? 2 : 1;
  }
  return text.size();
}

/** Returns the size of the well-formed UTF-8 sequence that a text starts with; 0: there is none. */
std::size_t utf8_sequence_size(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto in = [&](std::size_t i, unsigned low, unsigned high) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80)
    return 1;
  if (lead >= 0xC2 && lead <= 0xDF)
    return in(1, 0x80, 0xBF) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF)
    return in(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF) && in(2, 0x80, 0xBF) ? 3
                                                                                              : 0;
  if (lead >= 0xF0 && lead <= 0xF4)
    return in(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF) && in(2, 0x80, 0xBF) &&
                   in(3, 0x80, 0xBF)
               ? 4
               : 0;
  return 0;
}

/** Counts '[' and '{', in strings too. It reads every byte of every document, so it takes sixteen
 * at a time; compilers differ in whether they would do that to a plain loop. */
std::size_t opening_brackets(std::string_view text) noexcept {
  using Bytes = std::uint8_t __attribute__((vector_size(16)));
  constexpr std::size_t width = sizeof(Bytes);
  constexpr std::size_t rounds_per_byte_counter = 255;
  constexpr std::uint8_t case_bit = 0x20; // the only difference between '[' and '{'
  std::size_t count = 0;
  std::size_t at = 0;
  while (text.size() - at >= width) {
    const std::size_t rounds = std::min((text.size() - at) / width, rounds_per_byte_counter);
    Bytes counters = {};
    for (std::size_t round = 0; round < rounds; ++round, at += width) {
      Bytes bytes;
      std::memcpy(&bytes, text.data() + at, width);
      // A comparison gives 0 or -1 in each byte.
      counters -= reinterpret_cast<Bytes>((bytes | case_bit) == static_cast<std::uint8_t>('{'));
    }
    for (std::size_t i = 0; i < width; ++i)
      count += counters[i];
  }
  for (; at < text.size(); ++at)
    count += (text[at] | case_bit) == '{' ? 1 : 0;
  return count;
}

} // namespace

std::string_view trim_end(std::string_view token) noexcept {
  while (!token.empty() && ascii::is_json_space(token.back()))
    token.remove_suffix(1);
  return token;
}

Kind kind_of(std::string_view token) noexcept {
  if (token.empty())
    return Kind::missing;
  switch (token.front()) {
  case '{':
    return Kind::object;
  case '[':
    return Kind::array;
  case '"':
    return token.size() >= 2 && token.back() == '"' && well_escaped(body_of(token)) ? Kind::string
                                                                                    : Kind::broken;
  case 'n':
    return token == "null" ? Kind::null : Kind::broken;
  case 't':
    return token == "true" ? Kind::boolean : Kind::broken;
  case 'f':
    return token == "false" ? Kind::boolean : Kind::broken;
  default:
    return JsonNumber{}.read(token) ? Kind::number : Kind::broken;
  }
}

bool well_escaped(std::string_view body) noexcept {
  for (;;) {
    const std::size_t at = body.find('\\');
    if (at == std::string_view::npos)
      return true;
    body.remove_prefix(at);
    const Escape escape = read_escape(body);
    if (!escape.well_formed)
      return false;
    body.remove_prefix(escape.size);
  }
}

void append_text(std::string &out, std::string_view body) {
  while (!body.empty()) {
    const std::size_t plain = std::min(body.find('\\'), body.size());
    out.append(body.substr(0, plain));
    body.remove_prefix(plain);
    if (body.empty())
      return;
    const Escape escape = read_escape(body);
    if (escape.replaced)
      out.append(replacement_character);
    else
      append_utf8(out, escape.character);
    body.remove_prefix(escape.size);
  }
}

std::string_view text_of(std::string_view body, std::string &scratch) {
  if (body.find('\\') == std::string_view::npos)
    return body;
  scratch.clear();
  append_text(scratch, body);
  return scratch;
}

void append_for_jsonb(std::string &out, std::string_view value) {
  std::size_t copied = 0;
  std::size_t at = 0;
  while (at < value.size()) {
    const char c = value[at];
    if (c == '"') {
      const std::string_view token = value.substr(at, string_token_size(value.substr(at)));
      if (std::memchr(token.data(), '\\', token.size()) != nullptr) {
        out.append(value.substr(copied, at - copied));
        append_body_for_jsonb(out, token);
        copied = at + token.size();
      }
      at += token.size();
    } else if (c == '-' || ascii::is_digit(c)) {
      const std::size_t end = value.find_first_not_of("+-.0123456789eE", at);
      const std::string_view token = value.substr(at, end == value.npos ? end : end - at);
      // Whatever is short and has no exponent fits: no need to take it apart.
      const bool plain = token.size() < 1000 && token.find_first_of("eE") == token.npos;
      JsonNumber number;
      if (!plain && number.read(token) && !number.fits_numeric()) {
        out.append(value.substr(copied, at - copied));
        out.append(1, '"').append(token).append(1, '"');
        copied = at + token.size();
      }
      at += token.size();
    } else {
      ++at;
    }
  }
  out.append(value.substr(copied));
}

bool unfit_for_jsonb(std::string_view value) noexcept {
  std::size_t at = 0;
  while (at < value.size()) {
    const char c = value[at];
    if (c == '"') {
      const std::string_view token = value.substr(at, string_token_size(value.substr(at)));
      for (std::size_t i = token.find('\\'); i < token.size(); i = token.find('\\', i)) {
        const Escape escape = read_escape(token.substr(i));
        if (escape.replaced)
          return true;
        i += escape.size;
      }
      at += token.size();
    } else if (c == '-' || ascii::is_digit(c)) {
      const std::size_t end = value.find_first_not_of("+-.0123456789eE", at);
      const std::string_view token = value.substr(at, end == value.npos ? end : end - at);
      JsonNumber number;
      if (number.read(token) && !number.fits_numeric())
        return true;
      at += token.size();
    } else {
      ++at;
    }
  }
  return false;
}

std::string excerpt(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t size = utf8_sequence_size(text);
    const bool usable = size > 0 && text.front() != '\0';
    const std::string_view piece = usable ? text.substr(0, size) : replacement_character;
    if (out.size() + piece.size() > excerpt_size)
      break;
    out.append(piece);
    text.remove_prefix(size > 0 ? size : 1);
  }
  return out;
}

std::size_t character_count(std::string_view text) noexcept {
  std::size_t count = 0;
  for (const char c : text)
    count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

bool nested_deeper_than(std::string_view text, std::size_t limit) noexcept {
  // Almost every document has fewer brackets than the limit.
  if (text.size() <= limit || opening_brackets(text) <= limit)
    return false;
  std::size_t depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    switch (text[at]) {
    case '"':
      at += string_token_size(text.substr(at)) - 1;
      break;
    case '[':
    case '{':
      if (++depth > limit)
        return true;
      break;
    case ']':
    case '}':
      depth -= depth > 0 ? 1 : 0;
      break;
    default:
      break;
    }
  }
  return false;
}

} // namespace cowrie::json
