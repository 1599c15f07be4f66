// Conversion: how the values of a column of another type become values of the declared one.
//
// What it may know: types as format_type() writes them, and the functions of this extension. Error
// regime: never fails; a value that does not fit is found by `survives`, or raises when it is
// asked.
#pragma once

#include <string>

#include "core/ports/target.hpp"
#include "core/schema/schema.hpp"

namespace cowrie {

struct Conversion {
  std::string values; ///< SQL over the observed column, of the declared type
  /** SQL condition over a row that is not NULL there: its value is the same afterwards. Empty: it
   *  always is. Evaluating it may raise for a value that does not fit at all. */
  std::string survives;
  /** SQL condition: the value is changed on the way, as the rules say and by no more; empty: never.
   */
  std::string adjusted;
};

/**
 * Converts a column: json to jsonb (what jsonb cannot hold is replaced by U+FFFD: `adjusted`), inet
 * to its host part, times without time zone as UTC, everything else by way of its text.
 * `alias` stands before the column: `s.`.
 */
Conversion conversion(const Target &target, const Column &declared, const Column &observed,
                      const std::string &alias = {});

/** Tells whether the column holds a list where one text is declared. */
bool is_list_of_texts(const Column &observed) noexcept;

} // namespace cowrie
