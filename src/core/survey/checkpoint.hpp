// Checkpoint: the acceptance criteria of the migration, measured on the migrated database.
//
// Changes nothing. Error regime: throws what the port throws; what cannot be measured has not
// passed and says why.
#pragma once

#include <vector>

#include "core/ports/ports.hpp"
#include "core/survey/hazard.hpp"

namespace cowrie {

/** Measures all criteria, in the order of the specification. */
std::vector<Criterion> checkpoint(Database &database, Ledger &ledger);

} // namespace cowrie
