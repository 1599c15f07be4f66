// Distribution: tables whose rows the extension citus keeps in shards.
//
// Nothing is linked to that extension: its catalog is asked by SQL. Error regime: throws Failure.
#pragma once

#include "pg/catalog/target.hpp"

namespace cowrie::pg {

/** Refuses (0A000) tables of the target that Citus has distributed, to all nodes or to some: what
 *  reads or changes such a table here does not see its rows. Asks with a session of its own. */
void refuse_distributed_tables(const ResolvedTarget &target);

} // namespace cowrie::pg
