// State row: the rows that a run writes to schema_state, with what the server would add to them.
//
// Error regime: throws what the port throws, and Failure for what it refuses.
#pragma once

#include "core/ports/ports.hpp"

namespace cowrie {

/** Asks for the columns of the table $1 (schema_state) that are neither key nor value: name, type,
 *  default (NULL: none), and the expression of one that is generated. Those that take their value
 *  from a sequence are left out, as asking would use it up. */
extern const char *const state_columns_query;

/** Asks for the CHECKs of the table $1 that depend on these columns or on functions: those on key
 *  and value alone have been asked before, with the refusals of the catalog. */
extern const char *const state_checks_query;

/** Refuses a schema_state that would not accept these rows: defaults, expressions of generated
 *  columns and CHECKs of its other columns are evaluated, as the owner. */
void refuse_unwritable_state(Database &database);

} // namespace cowrie
