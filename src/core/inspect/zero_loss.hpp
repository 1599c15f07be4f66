// Zero loss: what proves that a run has lost or changed no session, and what the first run of a
// migration has recorded for later comparisons.
//
// Error regime: throws what the port throws.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "core/ports/ports.hpp"

namespace cowrie {

/** `count (3 before, 2 now), documents`: what differs; empty when nothing does. */
std::string differences(const Fingerprint &before, const Fingerprint &now);

/** Scans the sessions: the fingerprint of all, and of those created before the statement began. */
std::pair<Fingerprint, Fingerprint> scan_fingerprints(Database &database);

/** Compares the sessions with what a run has recorded before its first change. */
std::string lost_since(Database &database, const FillResult &proof);

/** What the first run of the latest migration recorded before its first change. */
struct FirstRun {
  std::string run;             ///< its number in the ledger
  std::string started;         ///< in the server's words
  std::int64_t settled_us = 0; ///< then, or when the oldest transaction of that moment began
  Fingerprint settled;         ///< of the sessions created up to then
};

/** Nothing: the ledger has no such run. Runs that ended early belong to the one that resumed them;
 *  a cleanup, and a run after a finished one, begin anew. */
std::optional<FirstRun> first_run(Ledger &ledger);

struct Comparison {
  std::string differs;       ///< as differences() says it
  std::int64_t sessions = 0; ///< that were compared
  std::int64_t updated = 0;  ///< of them, those with an updated_at after the start of that run
  Fingerprint now;           ///< of the same sessions
};

/** Compares the sessions that the first run has settled with what it recorded of them. */
Comparison compare_with(Database &database, const FirstRun &first);

} // namespace cowrie
