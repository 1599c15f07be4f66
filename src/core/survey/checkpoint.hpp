// Checkpoint: the acceptance criteria of the migration, measured on the migrated database.
//
// Changes nothing. Error regime: throws what the port throws; what cannot be measured has not
// passed and says why.
#pragma once

#include <vector>

#include "core/inspect/zero_loss.hpp"
#include "core/ports/ports.hpp"
#include "core/survey/assessment_query.hpp"
#include "core/survey/hazard.hpp"

namespace cowrie {

/** What was found on the way, for who wants more than the criteria: so nothing is read twice. */
struct CheckpointFacts {
  std::optional<Amounts> documents;     ///< what the documents of all sessions give
  std::optional<FirstRun> first;        ///< what the sessions were compared with
  std::optional<Comparison> comparison; ///< and what came of that
};

/** Measures all criteria, in the order of the specification. */
std::vector<Criterion> checkpoint(Database &database, Ledger &ledger,
                                  CheckpointFacts *facts = nullptr);

} // namespace cowrie
