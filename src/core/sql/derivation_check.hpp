// Derivation check: the statement that finds what no session explains.
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

/** The one statement that compares with the sessions: a row (table, reason, count) each. */
std::string derivation_check(const Target &target, const CleanupScope &scope,
                             const Table &observed_sessions);

} // namespace cowrie
