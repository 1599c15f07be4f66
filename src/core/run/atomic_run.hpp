// Atomic run: the migration in one transaction. Phases, failure policy, resumption, proof.
//
// What it may know: the ports. Error regime: throws Failure with phase and step in its context;
// with the policy `keep` an ordinary failure becomes a row instead.
#pragma once

#include <string>
#include <vector>

#include "core/ports/ports.hpp"

namespace cowrie {

enum class OnFailure : std::uint8_t {
  abort, ///< the error is raised and takes everything with it
  keep,  ///< the failing phase is rolled back, completed phases stay
};

struct MigrateOptions {
  bool repair = false;
  bool dry_run = false;
  OnFailure on_failure = OnFailure::abort;
};

/** Migrates to the version of the target; a row per step. */
std::vector<StepResult> migrate(Database &database, Ledger &ledger, Monitor &monitor,
                                const MigrateOptions &options);

} // namespace cowrie
