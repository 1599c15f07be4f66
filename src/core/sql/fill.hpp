// Fill: a statement is one raw string with named holes.
//
// Error regime: throws std::logic_error for a hole that is unknown or stays open: that is a mistake
// in this source, and every statement is written by a unit test.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "core/ports/target.hpp"

namespace cowrie::sql {

struct Hole {
  std::string_view name;
  std::string value;
};

/**
 * Writes values into the holes of a text: `SELECT count(*) FROM {sessions}`. What is written into a
 * hole is not read again; `{}` and `{a,b}` are no holes but text. Of the target come {sessions} and
 * the other tables, all work tables, {document_type}, and each function of the extension by its
 * name: {cowrie_latest}.
 */
std::string fill(const Target &target, std::string_view text,
                 std::initializer_list<Hole> holes = {});

/** The same without a target. */
std::string fill(std::string_view text, std::initializer_list<Hole> holes);

} // namespace cowrie::sql
