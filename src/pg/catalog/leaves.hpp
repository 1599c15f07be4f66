// Leaves: the tables that the rows of a table are in: itself, or its partitions down to those that
// have none.
//
// Who names session_summaries means all of them; who opens a table, reads its size or its places
// (ctid), or locks it, does that leaf by leaf. Error regime: throws.
#pragma once

#include "pg/catalog/target.hpp"

namespace cowrie::pg {

/** The table and everything below it, parents first, as ALTER TABLE goes down. Takes no lock. */
std::vector<Oid> tree_of(Oid table);

/** Of these, the ones that hold rows, in the same order. */
std::vector<Oid> leaves_of(Oid table);

/** Refuses (42809) partitions that are no ordinary permanent tables. */
void refuse_unsupported_partitions(const ResolvedTarget &target);

/** Refuses partitions that are about to be detached, and partitioning by a column that a run fills:
 * a row would have to move. Needs an SPI session. */
void refuse_unsuitable_partitions(const ResolvedTarget &target);

} // namespace cowrie::pg
