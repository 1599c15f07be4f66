// Online: the migration beside an application that goes on writing. The same declaration, diff,
// plan and derivation as at once, in many short transactions.
//
// What it may know: the ports. Error regime: throws Failure, after the ledger has committed it.
#pragma once

#include "core/ports/online_ports.hpp"

namespace cowrie {

struct OnlineOptions {
  bool repair = false;
  std::int64_t batch_size = 10000; ///< sessions per batch at most
  std::int64_t pause_us = 0;       ///< between two batches
};

/** Migrates to the version of the target, or resumes an interrupted online migration. Returns false
 * when it was asked to stop before the end. */
bool migrate_online(const OnlinePorts &ports, const OnlineOptions &options);

} // namespace cowrie
