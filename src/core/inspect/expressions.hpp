// Expressions: what of the user's the server evaluates for every row that a run writes.
//
// Reads only. Error regime: throws Failure.
#pragma once

#include <string>

#include "core/ports/ports.hpp"

namespace cowrie {

/** Asks for the expressions of the indexes of the target's tables: table, index, a SELECT list, and
 *  the functions that they call and that have no search_path of their own, as commands. */
std::string index_expressions_query(const Target &target);

/** Asks for the CHECKs of the sessions that are not declared: name, expression, whether it has been
 *  validated, functions as above. */
std::string checks_query(const Target &target);

/** Asks for a unique or exclusion index of the table $1 or its partitions that is INVALID, and the
 *  table it is on. */
extern const char *const invalid_unique_query;

/** Refuses indexes that could not be built before, and those whose expressions cannot be evaluated
 * under the settings of a run: their functions find names by search_path. */
void refuse_unusable_indexes(Database &database);

/** Refuses CHECKs that cannot be evaluated under these settings, and those that are not valid and
 *  that rows violate: an UPDATE of such a row is refused, whatever it changes. */
void refuse_unusable_checks(Database &database);

} // namespace cowrie
