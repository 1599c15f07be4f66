// Markup: HTML as it is written, piece by piece.
#include "core/report/markup.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "core/report/words.hpp"

namespace cowrie::report {

HtmlText &HtmlText::text(std::string_view utf8) {
  while (!utf8.empty()) {
    const Character next = next_character(utf8);
    if (!next.shown) {
      html_ += name_of(next.code);
      continue;
    }
    switch (next.code) {
    case '&':
      html_ += "&amp;";
      break;
    case '<':
      html_ += "&lt;";
      break;
    case '>':
      html_ += "&gt;";
      break;
    case '"':
      html_ += "&quot;";
      break;
    case '\'':
      html_ += "&#39;";
      break;
    default:
      if (next.code < 0x80)
        html_ += static_cast<char>(next.code);
      else
        html_ += "&#" + std::to_string(static_cast<unsigned>(next.code)) + ";";
    }
  }
  return *this;
}

HtmlText &HtmlText::isolated(std::string_view utf8) {
  const bool plain = std::all_of(utf8.begin(), utf8.end(),
                                 [](char each) { return static_cast<unsigned char>(each) < 0x80; });
  return plain ? text(utf8) : markup("<bdi>").text(utf8).markup("</bdi>");
}

HtmlText &HtmlText::number(double value) {
  std::array<char, 40> digits{};
  (void)std::snprintf(digits.data(), digits.size(), "%.2f", value);
  std::string number = digits.data();
  number.erase(number.find_last_not_of('0') + 1);
  if (number.back() == '.')
    number.pop_back();
  html_ += number;
  return *this;
}

} // namespace cowrie::report
