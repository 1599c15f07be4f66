// Markup: HTML as it is written, piece by piece.
//
// What is markup is a literal of this source: a string of any other kind is text, and is escaped.
// All that is written is ASCII, so that it says the same in every encoding. Error regime: never
// fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cowrie::report {

/** A literal. Nothing that was computed, read or received can be made one. */
class Markup {
public:
  template <std::size_t Size>
  // NOLINTNEXTLINE(google-explicit-constructor): a literal is markup where markup is wanted
  constexpr Markup(const char (&literal)[Size]) noexcept : text_(literal, Size - 1) {}
  template <std::size_t Size> Markup(char (&)[Size]) = delete;
  constexpr std::string_view text() const noexcept { return text_; }

private:
  std::string_view text_;
};

class HtmlText {
public:
  HtmlText &markup(Markup literal) {
    html_ += literal.text();
    return *this;
  }
  /** Text, wherever text may stand: between tags, or between the quotes of an attribute. What
   * cannot be seen is written by its number. */
  HtmlText &text(std::string_view utf8);
  /** Text of others between tags: its direction says nothing of what stands beside it. */
  HtmlText &isolated(std::string_view utf8);
  /** A number with at most two decimals. */
  HtmlText &number(double value);
  HtmlText &number(int value) {
    html_ += std::to_string(value);
    return *this;
  }
  std::string take() { return std::move(html_); }

private:
  std::string html_;
};

} // namespace cowrie::report
