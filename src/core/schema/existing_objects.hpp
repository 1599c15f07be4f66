// Existing objects: what exists of the declaration, in whatever shape.
//
// What it may know: the words of a schema. Error regime: never fails.
#pragma once

#include <string>
#include <vector>

#include "core/schema/diff.hpp"

namespace cowrie {

/** An object of the declaration that exists in the database, in whatever shape. */
struct ExistingObject {
  ObjectType object_type;
  std::string table;
  std::string name; ///< the name it has in the database
  int phase;
  std::string declared; ///< the name it has in the declaration
};

/**
 * Lists what exists of the phases after `after_phase`, in whatever shape and as often as it exists.
 * An index counts under its declared name, or under any name when it has the declared definition
 * and concerns a column that version 16 adds: a DBA's own BRIN index on event times is no trace of
 * a migration.
 */
std::vector<ExistingObject> existing_objects(const Schema &declared, const Schema &observed,
                                             int after_phase = 0);

/**
 * Lists the indexes and constraints that go along with the tables of the phases after
 * `after_phase` and are nobody else's: the declared ones in whatever shape, and those that the
 * application's ORM gives to its tables. What is not listed here is a user's own.
 */
std::vector<ExistingObject> parts_of_existing_tables(const Schema &declared, const Schema &observed,
                                                     int after_phase = 0);

} // namespace cowrie
