// Fill: a statement is one raw string with named holes.
//
// Error regime: throws std::logic_error for a hole that is unknown or stays open: that is a mistake
// in this source, and every statement is written by a unit test.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace cowrie::sql {

struct Hole {
  std::string_view name;
  std::string value;
};

/** Writes the values into the holes of a text: `SELECT count(*) FROM {sessions}`. What is written
 *  into a hole is not read again; `{}` and `{a,b}` are no holes but text. */
std::string fill(std::string_view text, std::initializer_list<Hole> holes);

} // namespace cowrie::sql
