// Plan: findings -> ordered steps by phase.
//
// What it may know: the declaration, what was observed, and the DDL and derivation texts. Error
// regime: never fails; what cannot be repaired has been refused before.
#pragma once

#include <vector>

#include "core/plan/row_facts.hpp"
#include "core/plan/step.hpp"
#include "core/ports/target.hpp"
#include "core/schema/situation.hpp"

namespace cowrie {

/** Plans what is missing of all phases, or of those after the recorded one for a resumable
 * database. Objects may exist already; their rows are kept. */
std::vector<Step> plan_migration(const Schema &declared, const Schema &observed,
                                 const Target &target, const Situation &situation,
                                 const RowFacts &rows = {});

} // namespace cowrie
