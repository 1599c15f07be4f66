// Index rebuild: gives tables whose rows have moved their indexes again.
//
// The server builds one index at a time, and where that is large, several processes sort for it.
// Partitions have many small ones: each by its own workers costs more than it saves. So where no
// table is most of the work, each process builds whole indexes, of whichever table is next.
//
// Error regime: throws; an error of a worker is raised here. Everything goes with the
// (sub)transaction.
#pragma once

#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

/** Builds all indexes of tables that this (sub)transaction has given new files. Needs ACCESS
 * EXCLUSIVE on them; not in parallel mode. An index violated by the rows is the error that REINDEX
 * raises. */
void rebuild_indexes(const std::vector<Oid> &tables);

} // namespace cowrie::pg
