// Cleanup: the declaration, backwards. It refuses rather than destroys.
//
// What it may know: the ports. Error regime: throws Failure; one transaction, never CASCADE.
#pragma once

#include <optional>
#include <vector>

#include "core/ports/ports.hpp"

namespace cowrie {

/** Asks for all bytes of the relation $1. */
extern const char *const relation_size_query;

struct CleanupOptions {
  std::optional<int> to_phase; ///< nothing: to the end of the version before that of the target
  bool dry_run = false;
  bool force = false;
};

/** Takes the version of the target back to the one before, or to the end of a phase; a row per
 *  step. */
std::vector<StepResult> cleanup(Database &database, Ledger &ledger, Monitor &monitor,
                                const CleanupOptions &options);

} // namespace cowrie
