// Online: the migration beside an application that goes on writing. The same declaration, diff,
// plan and derivation as at once, in many short transactions.
//
// What it may know: the ports. Error regime: throws Failure, after the ledger has committed it.
#pragma once

#include "core/ports/online_ports.hpp"

namespace cowrie {

struct OnlineOptions {
  bool repair = false;
  bool waits_for_cut_over = false; ///< until somebody allows it
  Pace pace;
};

/** Migrates to the version of the target, or resumes an interrupted online migration. Returns false
 * when it was asked to stop before the end. */
bool migrate_online(const OnlinePorts &ports, const OnlineOptions &options);

} // namespace cowrie
