// Unexplained rows: the statement that finds what no session explains: the derivation backwards.
//
// Error regime: never fails.
#pragma once

#include <string>

#include "core/ports/target.hpp"
#include "core/schema/schema.hpp"

namespace cowrie {

/** What a cleanup to the end of a phase is about. */
struct CleanupScope {
  const Schema &declared;
  const Schema &observed;
  int to_phase;
};

/** Counts the rows that no session explains: a row (table, reason, count) each. */
std::string unexplained_rows(const Target &target, const CleanupScope &scope,
                             const Table &observed_sessions);

} // namespace cowrie
