// Unfilled sessions: those that lack something which their document tells.
//
// Nearly every session has its snapshot, and a row tells by its NULL bits whether anything is NULL:
// the rows are scanned without being taken apart, and only the documents of the others are read.
// Error regime: throws.
#pragma once

#include "core/ports/ports.hpp"
#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

/** Counts the sessions of one leaf as `snapshot` shows them; see Database::count_unfilled(). */
FillCount count_unfilled(Oid leaf, Snapshot snapshot, bool snapshots_are_final);

} // namespace cowrie::pg
