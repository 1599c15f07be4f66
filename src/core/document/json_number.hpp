// JSON numbers as decimal digits and an exponent: exact, and of any length.
//
// What it may know: text. Error regime: never throws; read() tells whether it is a number.
#pragma once

#include <cstdint>
#include <string_view>

namespace cowrie {

/**
 * A JSON number token taken apart. Nothing is ever expanded: `1e999999999999` costs as much as `1`.
 * It is a view: the token must outlive it.
 */
class JsonNumber {
public:
  /** Takes a token apart; false: it is no number by the grammar of RFC 8259. */
  bool read(std::string_view token) noexcept;

  bool is_zero() const noexcept { return significant_ == 0; }
  /** Tells whether it is below zero: -0 is not. */
  bool is_negative() const noexcept { return negative_ && !is_zero(); }
  /** Tells whether it has no fraction: 4134.0 and 1e3 have none. */
  bool is_whole() const noexcept { return is_zero() || significant_ <= point_; }
  /** Returns the count of digits before the decimal point; 0 or less for zero and below 1. */
  std::int64_t integer_digits() const noexcept { return is_zero() ? 0 : point_; }
  /** Returns the value of a whole number of at most 19 digits, without its sign. */
  std::uint64_t whole_value() const noexcept;

  /** Tells whether PostgreSQL's numeric, and so jsonb, can hold it: up to 131072 digits before the
   *  decimal point and 16383 after it (numeric.c: set_var_from_str, make_result). */
  bool fits_numeric() const noexcept;

private:
  std::string_view digits_; ///< from the first significant digit on; may hold the decimal point
  std::int64_t significant_ = 0; ///< count of digits from the first to the last that is not 0
  std::int64_t point_ = 0;       ///< the value is 0.d1d2d3… * 10^point
  std::int64_t scale_ = 0;       ///< digits after the decimal point once the exponent is applied
  std::int64_t exponent_ = 0;    ///< saturated
  bool negative_ = false;
};

} // namespace cowrie
