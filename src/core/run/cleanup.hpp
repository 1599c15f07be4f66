// Cleanup: the declaration, backwards. It refuses rather than destroys.
//
// What it may know: the ports. Error regime: throws Failure; one transaction, never CASCADE.
#pragma once

#include <vector>

#include "core/ports/ports.hpp"

namespace cowrie {

/** Asks for all bytes of the relation $1. */
extern const char *const relation_size_query;

struct CleanupOptions {
  int to_phase = 0;
  bool dry_run = false;
  bool force = false;
};

/** Takes version 16 back to version 15, or to the end of a phase; a row per step. */
std::vector<StepResult> cleanup(Database &database, Ledger &ledger, Monitor &monitor,
                                const CleanupOptions &options);

} // namespace cowrie
