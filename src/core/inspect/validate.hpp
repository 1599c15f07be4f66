// Validate: database and declaration, compared; and what only the rows can tell.
//
// Reads only. Error regime: findings are rows; throws what the port throws.
#pragma once

#include <vector>

#include "core/ports/ports.hpp"
#include "core/schema/situation.hpp"

namespace cowrie {

/** Compares database and declaration; no row means complete. `version` is 15, or one that is
 * declared, and that of the target. */
std::vector<Finding> validate(Database &database, int version);

/** What only the rows can tell, once all columns are there: unfilled sessions and orphans. */
std::vector<Finding> data_findings(Database &database, const Situation &situation);

/** Counts the rows of a table that its foreign key refers from to no row. */
std::string orphans_query(const Target &target, const Table &table, const Constraint &foreign_key);

/** Counts the rows of a table that its foreign key refers from to no row. */
std::int64_t orphans_of(Database &database, const Table &table, const Constraint &foreign_key);

} // namespace cowrie
