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

/** Plans what is missing of phases 1 to 5, or of k + 1 to 5 for a resumable database. Objects may
 *  exist already; their rows are kept. */
std::vector<Step> plan_migration(const Schema &declared, const Schema &observed,
                                 const Target &target, const Situation &situation,
                                 const RowFacts &rows = {});

/** Tells which column of the sessions ALTER TABLE must convert or a copy of the heap cannot read as
 *  it is, and why; empty: there is none. */
std::string unfit_column(const Table &declared, const Table &observed);

} // namespace cowrie
