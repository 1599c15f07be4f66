// Deferred constraints: those of the tables that a run writes are checked at once while it writes.
//
// What a table defers is done at the end of the transaction, which a security-restricted operation
// may not leave anything to. At the end of each statement it may be done, as the owner of the
// tables. Error regime: throws.
#pragma once

#include "pg/catalog/target.hpp"

namespace cowrie::pg {

/** Has deferrable constraints and constraint triggers of the tables work at once in this
 *  transaction. */
void defer_nothing(const ResolvedTarget &target);

/** What was deferred at the beginning of a transaction is deferred again, for what the caller does
 *  next in the same transaction. */
void defer_again(const ResolvedTarget &target);

} // namespace cowrie::pg
